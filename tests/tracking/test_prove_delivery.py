"""The proof of delivery, in its short form; docs/benchmarks.md has the long runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_training_and_its_server_in_trouble_lose_and_double_nothing() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "prove_delivery"), "--minutes", "0.4", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["proved"]
    assert figures["rows"] > 100
    assert figures["edits"] > 0
    assert sum(figures["troubles"].values()) >= 1
    assert (figures["missing_rows"], figures["duplicated_or_foreign_rows"], figures["lost_edits"]) == (0, 0, 0)
