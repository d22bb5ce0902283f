"""The benchmark of the engine's switches measures a switch on and off."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import environment

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "bench_training"


@pytest.mark.slow
def test_a_switch_is_measured_on_and_off_in_time_and_memory(tmp_path: Path, tiny_clip: Path) -> None:
    sizes = {"n_feats": 16, "n_blocks": 8, "num_frames": 8, "crop_size": 64, "batch_size": 2, "data": str(tiny_clip)}
    sets = [word for key, value in sizes.items() for word in ("--set", f"{key}={value}")]
    done = subprocess.run(
        [sys.executable, SCRIPT, "--switch", "gradient_checkpointing", "--blocks", "2", "--steps", "1", "--json", *sets],
        cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["rows"]
    assert row["switch"] == "gradient_checkpointing"
    assert row["ratio_of_cpu"] > 0
    assert 0 < row["memory_on"] < row["memory_off"]
