"""Runs started from others are nested below them in MLflow's UI, in whatever order they were uploaded."""

from __future__ import annotations

from pathlib import Path

from tests.support.made_runs import START, MadeRun, made_run
from tests.support.servers import the_run
from vsrpp.store import Marks
from vsrpp.tracking.backlog import ARTIFACTS
from vsrpp.tracking.sync import sync

PARENT = {"run_id": "ab12" * 8, "step": 100, "source": "ab12@100"}


def child(runs: Path) -> MadeRun:
    return MadeRun(runs / "child1", "child1").start(PARENT).train(20).end()


def test_a_run_that_began_from_another_hangs_below_it(uri: str, runs: Path) -> None:
    assert sync(made_run(runs).root, uri).delivered
    assert sync(child(runs).root, uri).delivered
    tags = the_run(uri, "child1").data.tags
    assert tags["mlflow.parentRunId"] == the_run(uri, PARENT["run_id"]).info.run_id
    assert (tags["vsrpp.parent_run_id"], tags["vsrpp.parent_step"]) == (PARENT["run_id"], "100")


def test_a_child_delivered_first_is_adopted(uri: str, runs: Path) -> None:
    assert sync(child(runs).root, uri).delivered
    assert "mlflow.parentRunId" not in the_run(uri, "child1").data.tags
    assert sync(made_run(runs).root, uri).delivered
    assert the_run(uri, "child1").data.tags["mlflow.parentRunId"] == the_run(uri, PARENT["run_id"]).info.run_id


def test_the_runs_table_shows_lineage_code_state_host_and_best(uri: str, runs: Path) -> None:
    run = made_run(runs)
    assert sync(run.root, uri).delivered
    tags = the_run(uri, run.run_id).data.tags
    wanted = {
        "vsrpp.state": "finished", "vsrpp.host": "somewhere", "vsrpp.code_version": "abc", "vsrpp.best_step": "100",
        "vsrpp.best_psnr_y": "31.5", "vsrpp.device": "cpu", "vsrpp.version.torch": "2.13.0", "vsrpp.step": "200",
        "vsrpp.data_fingerprint": "f" * 64, "vsrpp.kind": "train", "mlflow.loggedImages": "true",
    }  # fmt: skip
    assert {key: tags.get(key) for key in wanted} == wanted


def test_the_checkpoints_are_on_the_runs_page_with_their_steps_once(uri: str, runs: Path) -> None:
    run = made_run(runs)
    assert sync(run.root, uri).delivered
    marks = Marks(run.paths.delivery_db)
    marks.reset(ARTIFACTS)
    marks.close()
    assert sync(run.root, uri).delivered
    outputs = the_run(uri, run.run_id).outputs.model_outputs
    assert sorted(output.step for output in outputs) == [100, 200]


def test_a_run_made_after_its_training_has_its_name_and_its_times(uri: str, runs: Path) -> None:
    run = made_run(runs, ended=False)
    run.writer.set_meta("created", START)
    run.end()
    assert sync(run.root, uri).delivered
    info = the_run(uri, run.run_id).info
    assert (info.run_name, info.start_time) == ("made", round(START * 1000))
    assert info.end_time > info.start_time
