"""The newest state that is stored off this host: what counts as off-host, and what `status` reports."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from tests.support.made_runs import made_run
from tests.support.servers import Server
from vsrpp import control
from vsrpp.control import messages
from vsrpp.control.remote_copies import PLACE
from vsrpp.store import Marks
from vsrpp.tracking import remote_copies
from vsrpp.tracking.remote_copies import host_is_here, why_on_this_host
from vsrpp.tracking.sync import sync

TRACKING, ARTIFACTS = "the tracking store is on this host", "the artifact store is on this host"


@pytest.mark.parametrize(
    ("tracking", "artifacts", "why"),
    [
        ("sqlite:////data/mlflow.db", "/data/mlartifacts/1", TRACKING),
        ("sqlite:////data/mlflow.db", "s3://bucket/1", TRACKING),
        ("/data/mlruns", "file:///data/mlruns/1", TRACKING),
        ("http://127.0.0.1:5000", "mlflow-artifacts:/1", TRACKING),
        ("http://localhost:5000", "s3://bucket/1", TRACKING),
        ("http://[::1]:5000", "mlflow-artifacts:/1", TRACKING),
        (f"http://{socket.gethostname()}:5000", "mlflow-artifacts:/1", TRACKING),
        ("postgresql+psycopg2://me:secret@localhost/mlflow", "s3://bucket/1", TRACKING),
        ("https://tracking.test:5000", "/data/artifacts/1", ARTIFACTS),
        ("https://tracking.test:5000", "file:///data/artifacts/1", ARTIFACTS),
        ("https://tracking.test", "mlflow-artifacts://127.0.0.1:5000/1", ARTIFACTS),
        ("https://tracking.test", "mlflow-artifacts:/1", ""),
        ("https://tracking.test", "s3://bucket/1", ""),
        ("https://tracking.test", "gs://bucket/1", ""),
        ("postgresql://db.test/mlflow", "s3://bucket/1", ""),
        ("databricks", "dbfs:/databricks/mlflow-tracking/1", ""),
    ],
)
def test_only_what_outlives_this_machine_counts_as_off_host(
    tracking: str, artifacts: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    found = why_on_this_host(tracking, artifacts)
    assert (found.sentence() if found else "") == why


def test_an_s3_of_ones_own_on_this_host_is_not_off_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "http://127.0.0.1:9000")
    assert why_on_this_host("https://tracking.test", "s3://bucket/1") is messages.ARTIFACT_STORE_HERE
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "https://s3.test")
    assert why_on_this_host("https://tracking.test", "s3://bucket/1") is None


def test_a_name_nobody_knows_is_not_this_host() -> None:
    assert not host_is_here("no-such-host.invalid")
    assert host_is_here("")


def test_a_store_on_this_host_is_said_to_hold_nothing_off_it(runs: Path, uri: str) -> None:
    run = made_run(runs, "here1", ended=True)
    assert control.status(run.paths)["off_host"] is None
    assert control.status(run.paths)["off_host_why"] == "no checkpoint has been uploaded yet"
    assert sync(run.paths.root, uri).delivered
    seen = control.status(run.paths)
    assert (seen["off_host"], seen["off_host_why"]) == (None, TRACKING)


@pytest.mark.slow
def test_a_server_on_this_host_holds_nothing_off_it_and_one_elsewhere_does(
    runs: Path, shared_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = made_run(runs, "there1", ended=True)
    assert sync(run.paths.root, shared_server.uri).delivered
    assert control.status(run.paths)["off_host_why"] == TRACKING

    other = made_run(runs, "there2", ended=True)
    monkeypatch.setattr(remote_copies, "host_is_here", lambda name: False)  # one machine cannot provide a second host
    assert sync(other.paths.root, shared_server.uri).delivered
    seen = control.status(other.paths)
    newest = [event for event in control.history(other.paths) if event.type == "checkpoint_saved"][-1]
    assert seen["off_host_why"] == ""
    assert seen["off_host"]["step"] == newest.step
    assert seen["off_host"]["uri"] == shared_server.uri
    assert seen["off_host"]["age_s"] == pytest.approx(time.time() - newest.time, abs=60)


def test_what_a_rollback_left_behind_is_not_the_last_state(runs: Path) -> None:
    run = made_run(runs, "back1", ended=False)
    saved = [event for event in control.history(run.paths) if event.type == "checkpoint_saved"]
    first, last = saved[0], saved[-1]
    assert first.step < last.step
    marks = Marks(run.paths.delivery_db)
    for event in (first, last):
        data = {"model_id": "m-1", "bytes": 1, "off_host": "s3://bucket/1"}
        marks.put_item("mlflow", "checkpoint", f"{event.branch}/{event.step}", data)
    marks.set_fact(PLACE, {"uri": "s3://bucket/1", "why_here": ""})
    marks.close()
    assert control.status(run.paths)["off_host"]["step"] == last.step
    run.writer.append(
        "rolled_back", step=last.step, branch=last.branch + 1, revision=last.revision + 1, origin="cli",
        data={"to_step": first.step, "to_seq": first.seq, "from_branch": last.branch, "changes": []},
    )  # fmt: skip
    assert control.status(run.paths)["off_host"]["step"] == first.step
    run.close()
