"""The benchmark of the recurrence, in a short form: version 2 holds its bar where version 1 misses it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import environment

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "bench_recurrence"


@pytest.mark.slow
def test_an_almost_untrained_small_network_diverges_in_version_1_alone(tmp_path: Path) -> None:
    kept = tmp_path / "rows.jsonl"
    command = [
        sys.executable,
        SCRIPT,
        "--case",
        "small",
        "--seed",
        "0",
        "--steps",
        "2",
        "--frames",
        "32",
        "--out",
        kept,
    ]
    done = subprocess.run([*command, "--json"], env=environment(tmp_path), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    old, new = json.loads(done.stdout)["rows"]
    assert (old["version"], new["version"]) == (1, 2)
    assert old["spread"] < -0.05 < new["spread"]
    assert len(kept.read_text().splitlines()) == 2
