"""`scripts/bench_history` in its short form: every row of its table is there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "bench_history"


@pytest.mark.slow
def test_every_command_and_face_is_timed() -> None:
    asked = [sys.executable, str(SCRIPT), "--events", "600", "--rows", "600", "--best-of", "1", "--json"]
    table = json.loads(subprocess.run(asked, stdout=subprocess.PIPE, check=True, timeout=300).stdout)
    names = {row["what"].split(",")[0] for row in table}
    assert names >= {"status RUN", "history RUN --verify", "compare RUN OTHER", "panel /runs", "terminal UI"}
    assert all(row["short_processor_s"] >= 0 and row["long_processor_s"] >= 0 for row in table)
