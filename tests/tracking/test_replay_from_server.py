"""`vsrpp replay RUN` on a host without the run folder: the tracking server is enough."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.support.processes import TrainingProcess, train_command, vsrpp
from tests.support.waiting import wait_until
from vsrpp import control
from vsrpp.paths import RunPaths

LONG = {"max_steps": 1_000_000, "log_every": 5, "validate_every": 40, "checkpoint_every": 40, "keep_last": 2}


def steer(run: RunPaths) -> None:
    """Two manual edits, a rollback, and a lower max_steps; paused, so that no step passes in between."""
    assert control.apply(run, {"max_lr": 5e-4}, origin="cli", author="anna").status == "applied"
    wait_until(
        lambda: len(control.checkpoint_steps(run)) > 1, 240, "a checkpoint to go back to, and steps to leave behind"
    )
    assert control.command(run, "pause", origin="cli").status == "done"
    step = control.checkpoint_steps(run)[-2]
    assert control.command(run, "rollback", {"step": step}, origin="cli").status == "done"
    assert control.apply(run, {"grad_clip": 0.5}, origin="cli").status == "applied"
    end = (control.status(run)["step"] // 40 + 2) * 40
    assert control.apply(run, {"max_steps": end}, origin="cli").status == "applied"
    assert control.command(run, "resume", origin="cli").status == "done"


@pytest.mark.slow
def test_a_steered_run_replays_identical_from_an_empty_folder(
    tmp_path: Path, tiny_clip: Path, empty_store: Path
) -> None:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    with TrainingProcess(tmp_path, train_command(tiny_clip, **LONG)) as training:
        run = RunPaths(training.run_dir())
        wait_until(lambda: control.is_live(run), 240, "the first step")
        steer(run)
        assert training.wait() == 0, training.output
    wanted = json.loads((run.checkpoint(control.status(run)["step"])).manifest.read_text())["files"]
    (tmp_path / "runs").rename(tmp_path / "away")
    done = vsrpp(tmp_path, "replay", run.run_id[:8], "--json")
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout)
    assert (verdict["run_id"], verdict["identical"], verdict["first_difference"]) == (run.run_id, True, None)
    assert verdict["sha256"] == wanted["model.safetensors"]["sha256"]
    assert not (tmp_path / "runs").exists(), "the replay leaves nothing"
