"""Whose an MLflow run is: a training takes over only its own, and one that nothing was written to."""

from __future__ import annotations

import shutil
from functools import partial, partialmethod
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.support.made_runs import made_run
from tests.support.servers import client_of, the_run
from vsrpp.paths import RunPaths
from vsrpp.store import RunWriter
from vsrpp.tracking import Delivery, environment
from vsrpp.tracking.connection import Connection, Target, find_runs
from vsrpp.tracking.deliver import RunDelivery
from vsrpp.tracking.sync import sync

OPEN = partial(Target, is_ours=False, session="session")
DEAD_SERVER = "http://127.0.0.1:9"


def new_run(uri: str, **tags: str) -> str:
    return str(client_of(uri).create_run("0", tags=tags).info.run_id)


# ---- the run given by MLFLOW_RUN_ID
def test_a_given_run_that_holds_another_training_is_left_alone(uri: str, runs: Path) -> None:
    first = made_run(runs)
    assert sync(first.paths.root, uri).delivered
    before = the_run(uri, first.run_id)
    connection = Connection(OPEN(uri=uri, mlflow_run_id=before.info.run_id))
    assert connection.open(may_make=False)
    assert connection.passed_over == before.info.run_id != connection.run_id
    after = the_run(uri, first.run_id)
    assert (after.data.tags, after.data.params, after.info.status) == (before.data.tags, before.data.params, "FINISHED")


@pytest.mark.parametrize("is_used", [False, True])
def test_a_run_that_a_person_logged_to_is_left_alone_and_an_empty_one_is_used(uri: str, is_used: bool) -> None:
    given = new_run(uri)
    if is_used:
        client_of(uri).log_metric(given, "accuracy", 0.5)
    connection = Connection(OPEN(uri=uri, mlflow_run_id=given))
    connection.open()
    assert (connection.run_id == given) is not is_used
    assert connection.passed_over == (given if is_used else "")


def test_a_run_of_mlflow_run_is_used_although_it_has_params(uri: str) -> None:
    given = new_run(uri, **{"mlflow.project.entryPoint": "main"})
    client_of(uri).log_param(given, "data", "sample")
    connection = Connection(OPEN(uri=uri, mlflow_run_id=given))
    assert connection.open(may_make=False) and connection.run_id == given


@pytest.mark.slow
def test_the_delivery_process_says_which_run_it_passed_over(uri: str, runs: Path) -> None:
    first = made_run(runs)
    assert sync(first.paths.root, uri).delivered
    given = the_run(uri, first.run_id).info.run_id
    delivery = Delivery.start(uri=uri, mlflow_run_id=given, is_ours=False)
    try:
        assert delivery.run_id(300) not in (None, given)
        assert delivery.passed_over == given
    finally:
        delivery.finish(1.0)


# ---- what others left in a run
def test_sync_restores_what_another_training_wrote_into_the_run(uri: str, runs: Path, tmp_path: Path) -> None:
    run = made_run(runs)
    assert sync(run.paths.root, uri).delivered
    there = the_run(uri, run.run_id)
    client = client_of(uri)
    for key, value in (
        ("vsrpp.run_id", "f" * 32), ("vsrpp.chain_seq", "2"), ("vsrpp.chain_head", "00"), ("vsrpp.state", "training"),
        ("mlflow.note.content", "of another"),
    ):  # fmt: skip
        client.set_tag(there.info.run_id, key, value)
    (tmp_path / "timeline.jsonl").write_text("{}\n")
    client.log_artifact(there.info.run_id, str(tmp_path / "timeline.jsonl"))
    assert sync(run.paths.root, uri).delivered
    again = client.get_run(there.info.run_id)
    ours = ("vsrpp.run_id", "vsrpp.chain_seq", "vsrpp.chain_head", "vsrpp.state", "mlflow.note.content")
    assert {key: again.data.tags[key] for key in ours} == {key: there.data.tags[key] for key in ours}
    file = client.download_artifacts(there.info.run_id, "timeline.jsonl", str(tmp_path / "again"))
    assert len(Path(file).read_text().splitlines()) == int(there.data.tags["vsrpp.chain_seq"])


def test_an_older_copy_of_a_run_does_not_take_the_server_back(uri: str, runs: Path, tmp_path: Path) -> None:
    run = made_run(runs, ended=False)
    run.end("stopped")
    copy = RunPaths(tmp_path / run.run_id)
    shutil.copytree(run.paths.root, copy.root)
    run.writer = RunWriter(run.paths.run_db)
    run.event("resumed")
    run.train(20).end()
    assert sync(run.paths.root, uri).delivered
    tags = the_run(uri, run.run_id).data.tags
    report = sync(copy.root, uri, timeout_s=5.0, patience_s=0.5)
    assert not report.delivered and "a copy of it went on" in report.why
    assert the_run(uri, run.run_id).data.tags == tags


# ---- listings are read to their ends
def test_a_run_is_found_beyond_the_first_page_of_experiments(
    uri: str, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = made_run(runs)
    assert sync(run.paths.root, uri).delivered
    there = the_run(uri, run.run_id)
    for number in range(7):
        client_of(uri).create_experiment(f"newer {number}")
    monkeypatch.setattr(
        MlflowClient, "search_experiments", partialmethod(MlflowClient.search_experiments, max_results=3)
    )
    (found,) = find_runs(client_of(uri), f"tags.`vsrpp.run_id` = '{run.run_id}'")
    assert found.info.run_id == there.info.run_id
    connection = Connection(Target(uri=uri, experiment="not there yet"))
    assert connection.open(run.run_id) and not connection.made_here


# ---- the experiment is the run's
def experiment_of(uri: str, run_id: str) -> str:
    return str(client_of(uri).get_experiment(the_run(uri, run_id).info.experiment_id).name)


def test_a_run_whose_server_was_down_at_the_start_is_uploaded_to_its_experiment(uri: str, runs: Path) -> None:
    run = made_run(runs)
    RunDelivery(run.paths.root, Connection(Target(uri=DEAD_SERVER, experiment="films")), tensorboard=False).close()
    assert sync(run.paths.root, uri).delivered
    assert experiment_of(uri, run.run_id) == "films"


@pytest.mark.parametrize("variable", ["MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"])
def test_mlflows_own_variables_name_the_experiment(
    uri: str, runs: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    experiment_id = client_of(uri).create_experiment("films")
    monkeypatch.setenv(variable, {"MLFLOW_EXPERIMENT_NAME": "films"}.get(variable, experiment_id))
    run = made_run(runs)
    assert sync(run.paths.root, uri).delivered
    assert experiment_of(uri, run.run_id) == "films"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "films by name")
    assert environment.experiment() == ("films by name", None)


def test_an_experiment_that_is_not_there_is_named(uri: str, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "777")
    report = sync(made_run(runs).paths.root, uri, timeout_s=5.0, patience_s=0.5)
    assert not report.delivered and "777" in report.why
