"""A run whose folder is lost continues: its record and newest checkpoint are rebuilt from the tracking server."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.support.made_runs import MadeRun, made_run
from tests.support.processes import TrainingProcess, environment, train_command, vsrpp
from tests.support.reasons import raises
from tests.support.servers import assert_same_rows, client_of, models_of, runs_of, the_run
from tests.support.waiting import wait_until
from vsrpp import control
from vsrpp.cli import main
from vsrpp.control.backlog import backlog
from vsrpp.paths import RunPaths
from vsrpp.store import Event, Marks, RunReader, RunWriter
from vsrpp.tracking import messages
from vsrpp.tracking.connection import Connection, Target
from vsrpp.tracking.lock import FILE_NAME as LOCK
from vsrpp.tracking.lock import DeliveryLock
from vsrpp.tracking.mlflow_artifacts import MlflowArtifacts
from vsrpp.tracking.mlflow_rows import MlflowRows
from vsrpp.tracking.rebuild import rebuild, replace
from vsrpp.tracking.record import events_of
from vsrpp.tracking.sync import sync


def record_of(run: RunPaths) -> tuple[list[Event], dict[tuple[int, int, str], str]]:
    with RunReader(run.run_db) as reader:
        rows = {(row.branch, row.step, row.key): repr(row.value) for row in reader.metrics()}
        return list(reader.events()), rows


@pytest.fixture
def lost(runs: Path, uri: str, tmp_path: Path) -> MadeRun:
    """A run that died 50 steps after its newest checkpoint; its folder is moved to `elsewhere`."""
    run = made_run(runs, ended=False)
    run.train(50).edit("max_lr", 3e-4)
    run.close()
    assert sync(run.paths.root, uri).delivered
    shutil.move(run.paths.root, tmp_path / "elsewhere")
    return run


def test_the_folder_is_as_it_was(lost: MadeRun, uri: str, runs: Path, tmp_path: Path) -> None:
    before = RunPaths(tmp_path / "elsewhere")
    rebuilt = rebuild(lost.run_id[:5], uri, runs)
    assert rebuilt.paths.root == lost.paths.root
    assert record_of(rebuilt.paths) == record_of(before)
    assert (rebuilt.step, rebuilt.last_step) == (200, 250)
    assert rebuilt.summary == (
        f"Run {lost.run_id} was rebuilt from MLflow and continues from step 200, its newest uploaded checkpoint; steps 201"
        " to 250 are repeated; records of somewhere after event 8 were not uploaded and are lost. Do not resume it on somewhere."
    )
    assert control.verify(rebuilt.paths).ok
    assert control.checkpoint_steps(rebuilt.paths) == [100, 200], "the newest, and the best to go back to"
    assert rebuilt.paths.checkpoint(200).model.read_bytes() == before.checkpoint(200).model.read_bytes()
    assert json.loads(rebuilt.paths.runtime_config.read_text())["revision"] == 3
    assert json.loads(rebuilt.paths.runtime_config.read_text())["max_lr"] == 3e-4
    assert [path.name for path in runs.iterdir()] == [lost.run_id]


def test_going_on_delivers_nothing_twice(lost: MadeRun, uri: str, runs: Path) -> None:
    rebuilt = rebuild(lost.run_id, uri, runs)
    left = backlog(rebuilt.paths.root)
    assert (left.rows, left.artifacts) == (0, 0)
    lost.writer = RunWriter(rebuilt.paths.run_db)
    lost.event("restored", {"resume": True, "from_step": 200})
    lost.step = 200
    lost.train(50).train(50)
    lost.checkpoint()
    lost.end()
    models = [model.model_id for model in models_of(uri, lost.run_id)]
    assert sync(rebuilt.paths.root, uri).delivered
    assert_same_rows(uri, rebuilt.paths.run_db, lost.run_id)
    assert [model.model_id for model in models_of(uri, lost.run_id)][:2] == models
    assert len(models_of(uri, lost.run_id)) == 3
    assert the_run(uri, lost.run_id).info.status == "FINISHED"


def test_a_checkpoint_whose_events_were_lost_is_passed_over(lost: MadeRun, uri: str, runs: Path) -> None:
    there, client = the_run(uri, lost.run_id), client_of(uri)
    here = Path(client.download_artifacts(there.info.run_id, "timeline.jsonl", str(runs.parent)))
    here.write_text("\n".join(here.read_text().split("\n")[:4]) + "\n")
    client.log_artifact(there.info.run_id, str(here))
    for tag in ("vsrpp.chain_seq", "vsrpp.chain_head"):
        client.delete_tag(there.info.run_id, tag)
    rebuilt = rebuild(lost.run_id, uri, runs)
    assert rebuilt.step == 100
    assert control.verify(rebuilt.paths).ok


def test_without_a_run_or_with_something_in_its_place_nothing_is_made(lost: MadeRun, uri: str, runs: Path) -> None:
    with raises(messages.NO_RUN_ON_SERVER, run="nobody"):
        rebuild("nobody", uri, runs)
    lost.paths.root.mkdir()
    with raises(messages.FOLDER_OCCUPIED, folder=lost.paths.root):
        rebuild(lost.run_id, uri, runs)
    assert [path.name for path in runs.iterdir()] == [lost.run_id]


def test_a_damaged_folder_is_made_anew_and_moved_not_removed(
    runs: Path, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    run = made_run(runs)
    assert sync(run.paths.root, uri).delivered
    before = record_of(run.paths)
    where = ["--run-dir", str(runs)]
    assert main(["rebuild", run.run_id, *where]) == 2
    assert "so nothing was rebuilt" in capsys.readouterr().err
    run.paths.run_db.write_bytes(b"noise" * 1000)
    with DeliveryLock(run.paths.root) as lock:
        assert lock.take()
        with raises(messages.REBUILD_LIVE, run=run.run_id):
            replace(run.paths, uri)
    assert main(["rebuild", run.run_id, "--json", *where]) == 0
    made = json.loads(capsys.readouterr().out)
    assert record_of(run.paths) == before
    assert (control.status(run.paths)["state"], control.status(run.paths)["step"]) == ("finished", 200)
    assert (Path(made["set_aside"]) / "run.db").read_bytes().startswith(b"noise")
    assert [row.state for row in control.runs(runs)] == ["finished"]
    run.paths.run_db.unlink()
    assert main(["rebuild", run.run_id, *where]) == 0
    assert record_of(run.paths) == before
    assert sorted(path.name for path in (runs / ".damaged").iterdir()) == [run.run_id, f"{run.run_id}-2"]


def test_a_folder_that_cannot_be_made_anew_stays_where_it_is(runs: Path, uri: str) -> None:
    run = made_run(runs)
    run.paths.run_db.write_bytes(b"noise" * 1000)
    with raises(messages.NO_RUN_ON_SERVER, run=run.run_id):
        replace(run.paths, uri)
    assert [path.name for path in runs.iterdir()] == [run.run_id]


def test_no_database_is_made_by_looking_for_a_run(tmp_path: Path) -> None:
    with raises(messages.NO_DATABASE, path=tmp_path / "none.db"):
        rebuild("abc", f"sqlite:///{tmp_path / 'none.db'}", tmp_path / "runs")
    assert list(tmp_path.iterdir()) == []


def test_no_checkpoint_is_on_the_server_before_its_record(runs: Path, uri: str) -> None:
    run = made_run(runs, ended=False)
    connection = Connection(Target(uri=uri))
    reader, marks = RunReader(run.paths.run_db), Marks(run.paths.delivery_db)
    rows = MlflowRows(connection, run.paths, reader, marks)
    rows.open()
    uploads = MlflowArtifacts(connection, rows, run.paths, reader, marks)
    assert uploads.work(hurry=False), "pictures"
    assert not uploads.work(hurry=False), "the checkpoint waits for its record"
    while rows.work(hurry=False):
        pass
    while not models_of(uri, run.run_id):
        assert uploads.work(hurry=False), "the timeline, then the checkpoint"
    events = events_of(connection.client, the_run(uri, run.run_id))
    assert "checkpoint_saved" in [event.type for event in events]
    for file in (reader, marks, run):
        file.close()


# ---- a real training whose host is lost
def lose(training: TrainingProcess, run: RunPaths) -> None:
    """The trainer and its delivery process die together, and the disk is lost."""
    deliverer = int((run.root / LOCK).read_text())
    os.kill(training.process.pid, signal.SIGKILL)
    os.kill(deliverer, signal.SIGKILL)
    training.process.wait()
    shutil.rmtree(training.folder / "runs")


@pytest.mark.slow
def test_a_run_whose_host_was_lost_goes_on_in_the_same_mlflow_run_and_replays_identical(
    tmp_path: Path, tiny_clip: Path, empty_store: Path
) -> None:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    uri = environment(tmp_path)["MLFLOW_TRACKING_URI"]
    sets = {"max_steps": 1_000_000, "log_every": 5, "validate_every": 50, "checkpoint_every": 50}  # ended by an edit
    with TrainingProcess(tmp_path, train_command(tiny_clip, **sets)) as training:
        run = RunPaths(training.run_dir())
        wait_until(lambda: runs_of(uri, run.run_id), 300, "the run on the server")
        wait_until(lambda: models_of(uri, run.run_id), 300, "an uploaded checkpoint")
        assert control.apply(run, {"max_lr": 5e-4}, origin="cli").status == "applied"
        assert control.command(run, "pause", origin="cli").status == "done"
        end = (control.status(run)["step"] // 50 + 2) * 50
        assert control.apply(run, {"max_steps": end}, origin="cli").status == "applied"
        seq = control.history(run)[-1].seq
        tags = lambda: the_run(uri, run.run_id).data.tags  # noqa: E731
        wait_until(lambda: int(tags()["vsrpp.chain_seq"]) >= seq, 300, "the edits are on the server")
        mlflow_run_id = the_run(uri, run.run_id).info.run_id
        lose(training, run)
    done = vsrpp(tmp_path, "train", "--resume", run.run_id, "--no-panel", "--no-tensorboard", timeout_s=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Run {run.run_id} was rebuilt from MLflow and continues from step " in done.stdout
    there = the_run(uri, run.run_id)
    assert (there.info.run_id, there.info.status, there.data.tags["vsrpp.step"]) == (
        mlflow_run_id,
        "FINISHED",
        str(end),
    )
    assert_same_rows(uri, run.run_db, run.run_id)
    history = client_of(uri).get_metric_history(mlflow_run_id, "loss/total")
    assert set(Counter(metric.step for metric in history).values()) == {1}, "no step is there twice"
    assert {metric.step for metric in history} == set(range(5, end + 1, 5))
    assert vsrpp(tmp_path, "history", run.run_id, "--verify").returncode == 0
    replayed = vsrpp(tmp_path, "replay", run.run_id, "--json", timeout_s=900)
    assert json.loads(replayed.stdout)["identical"], replayed.stderr
