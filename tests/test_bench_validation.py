"""The benchmark of validation's memory measures each way and length; the peak does not follow the length."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import environment

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "bench_validation"
FRAMES = ("48", "144")


@pytest.mark.slow
def test_the_peak_does_not_grow_with_the_clip(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--how", "validation", "--frames", *FRAMES, "--size", "320x144", "--json"],
        cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    short, long = json.loads(done.stdout)
    assert (short["how"], short["frames"], long["frames"]) == ("validation", 48, 144)
    more_truth = long["truth_mib"] - short["truth_mib"]
    assert more_truth == pytest.approx(96 * 320 * 144 * 3 / 2**20)
    assert 0 < long["peak_mib"] < short["peak_mib"] + more_truth
