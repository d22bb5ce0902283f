"""Uploading a finished run to a SQLite tracking store: everything arrives once, however often it is uploaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import made_runs
from tests.support.made_runs import MadeRun, made_run
from tests.support.reasons import raises
from tests.support.servers import artifact_paths, assert_same_rows, client_of, models_of, the_run
from vsrpp.store import Marks
from vsrpp.tracking import Report, backlog, messages
from vsrpp.tracking.lock import DeliveryLock
from vsrpp.tracking.mlflow_pictures import NO_OUTPUT
from vsrpp.tracking.sync import sync

DONE = Report(delivered=True, rows_left=0, artifacts_left=0)


@pytest.fixture
def delivered(uri: str, runs: Path) -> MadeRun:
    run = made_run(runs)
    assert backlog(run.paths.root).rows > 200
    assert backlog(run.paths.root).artifacts == 4
    assert sync(run.paths.root, uri) == DONE
    return run


def test_every_row_is_there_once(delivered: MadeRun, uri: str) -> None:
    assert_same_rows(uri, delivered.paths.run_db, delivered.run_id)
    left = backlog(delivered.paths.root)
    assert (left.rows, left.artifacts, left.age_s) == (0, 0, 0.0)


def test_delivered_again_from_nothing_adds_nothing(delivered: MadeRun, uri: str) -> None:
    images = artifact_paths(uri, delivered.run_id, "images")
    models = [model.model_id for model in models_of(uri, delivered.run_id)]
    for name in ("delivery.db", "delivery.db-wal", "delivery.db-shm"):
        (delivered.paths.root / name).unlink(missing_ok=True)
    assert sync(delivered.paths.root, uri) == DONE
    assert_same_rows(uri, delivered.paths.run_db, delivered.run_id)
    assert artifact_paths(uri, delivered.run_id, "images") == images
    assert [model.model_id for model in models_of(uri, delivered.run_id)] == models


def test_params_tags_and_end_state(delivered: MadeRun, uri: str) -> None:
    run = the_run(uri, delivered.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["run/n_feats"] == "4"
    assert run.data.params["config/max_lr"] == "0.00015"
    tags = run.data.tags
    assert tags["vsrpp.kind"] == "train"
    assert tags["vsrpp.state"] == "finished"
    assert tags["vsrpp.step"] == "200"
    assert (tags["vsrpp.best_step"], tags["vsrpp.best_psnr_y"]) == ("100", "31.5")
    from vsrpp.store import RunReader

    with RunReader(delivered.paths.run_db) as reader:
        seq, head = reader.head()
        assert (tags["vsrpp.chain_seq"], tags["vsrpp.chain_head"]) == (str(seq), head)
        assert run.info.end_time == round(list(reader.events())[-1].time * 1000)


def test_description_and_timeline_tell_what_was_done(delivered: MadeRun, uri: str, tmp_path: Path) -> None:
    run = the_run(uri, delivered.run_id)
    note = run.data.tags["mlflow.note.content"]
    assert "max_lr 1.50e-04 → 2.00e-04" in note
    assert "it \\| jumps&#92;nabout" in note, "a line break is visible, and not one of the table"
    assert note.index("grad_clip") < note.index("max_lr 1.50e-04"), "newest first"
    assert f"vsrpp restore {delivered.run_id} --step best" in note
    client = client_of(uri)
    lines = Path(client.download_artifacts(run.info.run_id, "timeline.jsonl", str(tmp_path))).read_text().splitlines()
    assert [json.loads(line)["type"] for line in lines] == [
        "started", "config_applied", "validated", "checkpoint_saved", "config_applied", "validated", "checkpoint_saved",
        "finished",
    ]  # fmt: skip
    assert (
        "| anna (cli) |" in Path(client.download_artifacts(run.info.run_id, "timeline.md", str(tmp_path))).read_text()
    )


def test_each_checkpoint_is_one_logged_model_with_its_config_and_metrics(delivered: MadeRun, uri: str) -> None:
    models = models_of(uri, delivered.run_id)
    assert [model.tags["vsrpp.step"] for model in models] == ["100", "200"]
    assert [str(model.status) for model in models] == ["READY", "READY"]
    assert [model.params["config/max_lr"] for model in models] == ["0.0002", "0.0002"]
    assert [model.params["config/grad_clip"] for model in models] == ["1.0", "0.5"]
    assert {metric.key: metric.value for metric in models[0].metrics}["val/psnr_y"] == 31.5
    marks = Marks(delivered.paths.delivery_db, readonly=True)
    assert marks.items("mlflow", "checkpoint")["0/100"]["model_id"] == models[0].model_id
    marks.close()


def test_checkpoints_are_found_best_first(uri: str, runs: Path) -> None:
    run = MadeRun(runs / "order1", "order1").start()
    scores = {50: 30.5, 100: 31.75, 150: 29.25, 200: 32.5}
    for score in scores.values():
        run.train(50).validate(score)
        run.checkpoint(score)
    run.end()
    assert sync(run.root, uri).delivered
    client, experiment = client_of(uri), the_run(uri, "order1").info.experiment_id
    for ascending in (True, False):
        order = [{"field_name": "metrics.val/psnr_y", "ascending": ascending}]
        found = client.search_logged_models([experiment], order_by=order)
        wanted = sorted(scores, key=lambda step: scores[step], reverse=not ascending)
        assert [int(model.params["step"]) for model in found] == wanted


def test_pictures_carry_key_and_step_as_the_image_grid_reads_them(delivered: MadeRun, uri: str) -> None:
    names = sorted(path.removeprefix("images/") for path in artifact_paths(uri, delivered.run_id, "images"))
    assert len(names) == 6
    steps = [name.split("+")[:3] for name in names[::2]]
    assert steps == [["val~bikes", "step", "0"], ["val~bikes", "step", "100"], ["val~bikes", "step", "200"]]
    assert {name.rsplit(".", 1)[1] for name in names} == {"png", "webp"}
    assert the_run(uri, delivered.run_id).data.tags["mlflow.loggedImages"] == "true"


def test_the_image_grid_opens_at_step_0_on_bicubic_and_truth(delivered: MadeRun, uri: str, tmp_path: Path) -> None:
    from PIL import Image

    client, run_id = client_of(uri), the_run(uri, delivered.run_id).info.run_id
    paths = artifact_paths(uri, delivered.run_id, "images")
    (first,) = [path for path in paths if "+step+0+" in path and path.endswith(".png")]
    with Image.open(client.download_artifacts(run_id, first, str(tmp_path))) as picture:
        assert picture.size == (24, 8)
        left, middle, right = (picture.getpixel((x, 0)) for x in (0, 9, 23))
    assert left == right == (128, 128, 128), "as in the validation's picture"
    assert middle == (NO_OUTPUT,) * 3, "no output before the first step"


def test_artifacts_lie_beside_the_database_and_nothing_in_the_working_directory(runs: Path, tmp_path: Path) -> None:
    run = made_run(runs)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = [
        sys.executable,
        "-m",
        "vsrpp.tracking",
        "sync",
        str(run.paths.root),
        "--uri",
        f"sqlite:///{tmp_path}/new/m.db",
    ]
    subprocess.run(command, cwd=elsewhere, env=_environment(), check=True, timeout=600)
    assert list(elsewhere.iterdir()) == []
    assert (tmp_path / "new" / "mlartifacts" / "vsrpp").is_dir()


def _environment() -> dict[str, str]:
    import os

    import vsrpp

    return {**os.environ, "PYTHONPATH": str(Path(vsrpp.__file__).parents[1])}


def test_a_changed_param_is_set_aside_and_blocks_nothing(uri: str, runs: Path) -> None:
    client = client_of(uri)
    given = client.create_run(client.create_experiment("mine"), tags={"vsrpp.run_id": "ab12" * 8})
    client.log_param(given.info.run_id, "run/n_feats", "64")
    run = made_run(runs)
    report = sync(run.paths.root, uri)
    assert report.delivered
    assert "rejected by the server" in report.why
    assert_same_rows(uri, run.paths.run_db, run.run_id)
    there = the_run(uri, run.run_id)
    assert there.info.run_id == given.info.run_id
    assert (there.data.params["run/n_feats"], there.data.params["run/n_blocks"]) == ("64", "1")
    marks = Marks(run.paths.delivery_db, readonly=True)
    assert list(marks.items("mlflow", "refused")) == ["param/run/n_feats"]
    marks.close()


def test_a_refused_metric_is_set_aside_alone(uri: str, runs: Path) -> None:
    run = MadeRun(runs / "odd1", "odd1").start().train(100)
    run.writer.record(100, 0, {"a*b": 1.0}, at=1_800_000_000.0)
    run.train(100).end()
    assert sync(run.paths.root, uri).delivered
    there = the_run(uri, "odd1")
    assert len(client_of(uri).get_metric_history(there.info.run_id, "loss/total")) == 20


def test_a_run_without_a_final_event_ends_dead_and_a_resumed_one_runs_again(uri: str, runs: Path) -> None:
    run = made_run(runs, ended=False)
    assert sync(run.paths.root, uri) == DONE
    dead = the_run(uri, run.run_id)
    assert (dead.info.status, dead.data.tags["vsrpp.state"]) == ("FAILED", "dead")
    run.train(100)
    run.end("stopped")
    assert sync(run.paths.root, uri) == DONE
    stopped = the_run(uri, run.run_id)
    assert (stopped.info.status, stopped.data.tags["vsrpp.state"]) == ("KILLED", "stopped")
    assert_same_rows(uri, run.paths.run_db, run.run_id)


def test_both_branches_of_one_step_are_there_after_a_rollback(uri: str, runs: Path) -> None:
    run = made_run(runs, ended=False)
    kept = run.paths.checkpoint(200)
    run.rollback(100).train(100)
    run.writer.record(200, 0, {"events/checkpoint": 1.0}, at=1_800_000_000.0)
    kept.root.rename(kept.root.with_name("step_0000200_b0"))
    run.checkpoint()
    run.end()
    assert sync(run.paths.root, uri) == DONE
    assert_same_rows(uri, run.paths.run_db, run.run_id)
    models = models_of(uri, run.run_id)
    assert [(m.tags["vsrpp.branch"], m.tags["vsrpp.step"]) for m in models] == [
        ("0", "100"),
        ("0", "200"),
        ("1", "200"),
    ]


def test_child_run_hangs_under_its_parent(uri: str, runs: Path) -> None:
    parent = made_run(runs, "parent1")
    assert sync(parent.paths.root, uri).delivered
    child = (
        MadeRun(runs / "child1", "child1").start({"run_id": "parent1", "step": 100, "source": "local"}).train(10).end()
    )
    assert sync(child.paths.root, uri).delivered
    tags = the_run(uri, "child1").data.tags
    assert tags["mlflow.parentRunId"] == the_run(uri, "parent1").info.run_id
    assert (tags["vsrpp.parent_run_id"], tags["vsrpp.parent_step"]) == ("parent1", "100")


def test_two_deliverers_of_one_run_are_refused(uri: str, runs: Path) -> None:
    run = made_run(runs)
    with DeliveryLock(run.paths.root) as lock:
        assert lock.take()
        with raises(messages.BEING_UPLOADED, run=run.run_id):
            sync(run.paths.root, uri)


def test_no_run_folder_is_said_so(uri: str, tmp_path: Path) -> None:
    with raises(messages.NOT_A_RUN_FOLDER, folder=tmp_path):
        sync(tmp_path, uri)


def test_server_away_leaves_everything_and_says_why(runs: Path) -> None:
    run = made_run(runs)
    report = sync(run.paths.root, "http://127.0.0.1:9", patience_s=0.2)
    assert not report.delivered
    assert report.rows_left > 200
    assert report.artifacts_left == 4
    assert report.why.startswith("unreachable")
    marks = Marks(run.paths.delivery_db, readonly=True)
    fact = marks.fact("mlflow")
    assert (fact["state"], fact["class"]) == ("lost", "unreachable")
    marks.close()


def test_checkpoints_stay_here_when_the_config_says_so(uri: str, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(made_runs.RUN_CONFIG, "checkpoint_upload", "local")
    run = made_run(runs)
    assert sync(run.paths.root, uri) == DONE
    assert models_of(uri, run.run_id) == []


def test_after_a_damaged_delivery_db_everything_is_sent_again_and_there_once(runs: Path, uri: str) -> None:
    run = made_run(runs)
    assert sync(run.paths.root, uri).delivered
    models = [model.model_id for model in models_of(uri, run.run_id)]
    for path in (run.paths.delivery_db, run.paths.inbox_db):
        path.write_bytes(b"noise" * 1000)
    report = sync(run.paths.root, uri)
    assert report.delivered, report
    assert_same_rows(uri, run.paths.run_db, run.run_id)
    assert [model.model_id for model in models_of(uri, run.run_id)] == models
    assert [path.name for path in sorted(run.root.glob("*.damaged"))] == ["delivery.db.damaged", "inbox.db.damaged"]
