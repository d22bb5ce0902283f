"""`vsrpp replay` starts as many processes as trained the run: real trainings and replays of two processes over gloo."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import TrainingProcess, train_command, vsrpp
from vsrpp.launch.replay_plan import ReplayRecord
from vsrpp.paths import RunPaths

pytestmark = pytest.mark.slow
SHORT = {"batch_size": 2, "max_steps": 10, "log_every": 1}


@pytest.fixture(scope="module")
def by_two(tmp_path_factory: pytest.TempPathFactory, tiny_clip: Path, empty_store: Path) -> Iterator[RunPaths]:
    """A finished run of two processes, in a folder of runs beside the tracking store."""
    folder = tmp_path_factory.mktemp("by_two")
    shutil.copy(empty_store, folder / "mlflow.db")
    with TrainingProcess(folder, [*train_command(tiny_clip, **SHORT), "--devices", "2"]) as run:
        assert run.wait() == 0, run.output
        yield RunPaths(run.run_dir())


def replay(run: RunPaths, *arguments: str) -> subprocess.CompletedProcess[str]:
    return vsrpp(run.root.parent.parent, "replay", *arguments)


def test_a_run_of_two_processes_is_replayed_by_two_and_identical(by_two: RunPaths) -> None:
    done = replay(by_two, "latest", "--json")
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout)
    assert (verdict["identical"], verdict["sha256"]) == (True, verdict["original_sha256"])
    assert "2 processes on this host" in done.stderr
    assert "⚠️" not in done.stderr


def test_another_number_of_processes_warns_first_and_tells_what_differs(by_two: RunPaths) -> None:
    done = replay(by_two, str(by_two.root), "--devices", "1")
    warning, *rest = done.stderr.splitlines()
    assert f"run {by_two.run_id} was trained by 2 processes and is replayed by 1 process" in warning
    assert done.returncode == 6, done.stdout + done.stderr
    difference = "\n".join(rest)
    assert "parted from its record at step" in difference
    assert "trained by 2 processes and is replayed by 1" in difference


def test_the_record_on_the_tracking_server_says_how_many_processes_it_takes(
    by_two: RunPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{by_two.root.parent.parent / 'mlflow.db'}")
    here, there = ReplayRecord.of(by_two.run_id, by_two.root.parent), ReplayRecord.of(by_two.run_id, tmp_path)
    assert (here.run, there.run) == (str(by_two.root), by_two.run_id)
    assert there.world_sizes == here.world_sizes == [2]
    assert there.run_config == here.run_config
