"""The benchmark of plug-ins measures a start and a step, with one and without."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import environment

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "bench_plugins"


@pytest.mark.slow
def test_a_start_and_a_step_are_measured_with_and_without_a_plugin(tmp_path: Path, tiny_clip: Path) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--rounds", "2", "--blocks", "5", "--steps", "2", "--data", tiny_clip, "--json"],
        cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["start_added_ms"] < 1000 * found["start_s"] / 2
    assert 0.5 < found["step_unused_term_ratio"] < 2
    assert 0.5 < found["step_network_ratio"] < 2
