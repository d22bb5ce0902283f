"""Delivery to the servers people use: over PostgreSQL and S3, behind passwords, and across a faulty network."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.backends import (
    BUCKET,
    S3,
    BigServer,
    PasswordServer,
    Postgres,
    Proxy,
    environment_of,
    postgres_tool,
)
from tests.support.made_runs import MadeRun, made_run
from tests.support.servers import Server, assert_same_rows, client_of, models_of, the_run
from tests.support.waiting import wait_until
from vsrpp.store import Marks
from vsrpp.tracking import Delivery, Report, backlog
from vsrpp.tracking.sync import sync

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
DONE = Report(delivered=True, rows_left=0, artifacts_left=0)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    if postgres_tool("initdb") is None:
        pytest.skip("PostgreSQL is not installed (scripts/test installs it where it may)")
    made = Postgres()
    yield made
    made.remove()


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    made = S3(tmp_path_factory.mktemp("s3"))
    yield made
    made.kill()


@pytest.fixture(scope="module")
def big(postgres: Postgres, s3: S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigServer]:
    made = BigServer(tmp_path_factory.mktemp("big"), postgres, s3)
    made.start()
    yield made
    made.kill()


@pytest.fixture
def proxy(shared_server: Server) -> Iterator[Proxy]:
    made = Proxy(shared_server.port)
    yield made
    made.close()


def _facts(run: MadeRun, sink: str) -> dict[str, Any]:
    marks = Marks(run.paths.delivery_db, readonly=True)
    try:
        return dict(marks.fact(sink) or {})
    finally:
        marks.close()


# ---- PostgreSQL and S3
def test_everything_is_in_postgres_and_s3_once_and_comes_back_by_its_run_id(
    big: BigServer, s3: S3, runs: Path, tmp_path: Path
) -> None:
    run = made_run(runs, "pg01", ended=False)
    run.train(2000)
    odd = {"val/infinite": float("inf"), "val/minus": float("-inf"), "val/nan": float("nan"), "val/tiny": 5e-324}
    run.writer.record(10_000_000_000, 0, {**odd, "val/large": 1.7976931348623157e308}, at=1_900_000_000.0)
    run.edit("grad_clip", 0.25, "a NUL \0 in the reason 🎬").end()
    assert sync(run.paths.root, big.uri) == DONE
    assert_same_rows(big.uri, run.paths.run_db, "pg01")
    there = the_run(big.uri, "pg01")
    assert there.info.status == "FINISHED"
    assert "a NUL" in there.data.tags["mlflow.note.content"]
    assert [model.tags["vsrpp.step"] for model in models_of(big.uri, "pg01")] == ["100", "200"]
    stored = s3.client().list_objects_v2(Bucket=BUCKET)["Contents"]  # type: ignore[attr-defined]
    assert sum(entry["Key"].endswith("model.safetensors") for entry in stored) == 2
    for name in ("delivery.db", "delivery.db-wal", "delivery.db-shm"):
        (run.paths.root / name).unlink(missing_ok=True)
    assert sync(run.paths.root, big.uri) == DONE, "delivered again from nothing"
    assert_same_rows(big.uri, run.paths.run_db, "pg01")
    assert len(models_of(big.uri, "pg01")) == 2
    weights = (run.paths.checkpoint(100).root / "model.safetensors").read_bytes()
    run.paths.root.rename(tmp_path / "away")
    from vsrpp.tracking.restore import restore

    back = restore("pg01", step="best", out=tmp_path / "out", uri=big.uri, runs=runs)
    assert (back.step, back.source, back.verified) == (100, "mlflow", True)
    assert (Path(back.path) / "model.safetensors").read_bytes() == weights


def test_a_database_restarted_under_the_server_is_a_loss_and_no_refusal(
    big: BigServer, postgres: Postgres, runs: Path
) -> None:
    run = made_run(runs, "pg02", ended=False)
    assert sync(run.paths.root, big.uri).delivered
    postgres.stop()
    run.train(500).end()
    report = sync(run.paths.root, big.uri, patience_s=1.0)
    assert (report.delivered, report.why.split(":")[0]) in {(False, "server_error"), (False, "timeout")}
    postgres.start()
    assert sync(run.paths.root, big.uri, patience_s=60.0) == DONE, "nothing was set aside"
    assert_same_rows(big.uri, run.paths.run_db, "pg02")


def test_an_s3_store_that_is_away_holds_up_checkpoints_alone_and_is_told_apart(
    postgres: Postgres, s3: S3, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The delivery process uploads artifacts directly to the store, and they are downloaded from it."""
    for name, value in environment_of(s3).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    folder = tmp_path / "direct"
    folder.mkdir()
    server = BigServer(folder, postgres, s3, proxied=False)
    server.start()
    try:
        client_of(server.uri).create_experiment("direct", artifact_location=f"s3://{BUCKET}/direct")
        run = MadeRun(runs / "s301", "s301").start().train(100)
        delivery = Delivery.start(uri=server.uri, experiment="direct")
        assert delivery.run_id(120), delivery.why
        delivery.follow(run.paths.root)
        wait_until(lambda: run.paths.delivery_db.is_file() and backlog(run.paths.root).rows == 0, 120, "rows")
        s3.kill()
        run.checkpoint(31.0)
        run.train(500)
        lost = wait_until(delivery.news, 120, "the loss is told")
        assert [(item.type, item.data["sink"], item.data["class"]) for item in lost] == [
            ("tracking_lost", "artifacts", "unreachable")
        ]
        wait_until(lambda: backlog(run.paths.root).rows == 0, 120, "rows pass all the same")
        left = backlog(run.paths.root)
        assert left.artifacts == 2, "the checkpoint, and the timeline that tells of it"
        assert left.bytes > 5000
        assert left.age_s > 0
        s3.start()
        back = wait_until(delivery.news, 120, "the return is told")
        assert [(item.type, item.data["sink"]) for item in back] == [("tracking_back", "artifacts")]
        run.end()
        assert delivery.finish(120).delivered
        assert len(models_of(server.uri, "s301")) == 1
        from vsrpp.tracking.restore import restore

        run.paths.root.rename(tmp_path / "away")
        assert restore("s301", step="latest", out=tmp_path / "out", uri=server.uri, runs=runs).verified
    finally:
        server.kill()


# ---- passwords
def test_a_server_with_passwords_gets_everything_and_an_expired_one_is_told_apart(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "auth"
    folder.mkdir()
    server = PasswordServer(folder)
    server.start()
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    try:
        run = MadeRun(runs / "auth1", "auth1").start().train(100)
        delivery = Delivery.start(uri=server.with_password(), pinned=True)
        assert delivery.run_id(120), delivery.why
        delivery.follow(run.paths.root)
        wait_until(lambda: run.paths.delivery_db.is_file() and backlog(run.paths.root).rows == 0, 120, "rows")
        server.change_password(PasswordServer.PASSWORD, "second-password-of-admin")
        run.train(500)
        lost = wait_until(delivery.news, 120, "the loss is told")
        assert [(item.type, item.data["class"]) for item in lost] == [("tracking_lost", "auth")]
        run.checkpoint()
        run.end()
        assert not delivery.finish(5).delivered, "whatever time it gets"
        for path in run.paths.root.iterdir():
            if path.is_file():
                assert b"first-password" not in path.read_bytes(), path
        refused = sync(run.paths.root, server.uri.replace("://", "://admin@"), patience_s=0.5)
        assert not refused.delivered
        assert refused.why.startswith("auth: ")
        assert "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" in refused.why
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", PasswordServer.NAME)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "second-password-of-admin")
        assert sync(run.paths.root, server.uri.replace("://", "://admin@")) == DONE
        assert_same_rows(server.uri, run.paths.run_db, "auth1")
    finally:
        server.kill()


# ---- a faulty network
def test_a_slow_upload_delays_no_row_and_its_progress_is_told(
    shared_server: Server, proxy: Proxy, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")  # an upload may still take longer
    run = MadeRun(runs / "slow1", "slow1").start().train(100)
    delivery = Delivery.start(uri=proxy.uri)
    assert delivery.run_id(120), delivery.why
    delivery.follow(run.paths.root)
    wait_until(lambda: run.paths.delivery_db.is_file() and backlog(run.paths.root).rows == 0, 120, "rows")
    proxy.held = "/models/"
    run.checkpoint(30.0)
    uploading = wait_until(lambda: backlog(run.paths.root).uploading, 120, "the upload is told of")
    assert uploading["what"] == "checkpoint 100"
    assert uploading["bytes"] > 5000
    run.train(500)
    wait_until(lambda: backlog(run.paths.root).rows == 0, 120, "rows pass the upload")
    assert backlog(run.paths.root).artifacts == 1, "it is still under way"
    assert the_run(shared_server.uri, "slow1").data.metrics["loss/total"] == 1.0 / 600
    run.edit("max_lr", 2e-4)
    head = run.writer.head()[1]
    said = "vsrpp.chain_head"
    wait_until(
        lambda: the_run(shared_server.uri, "slow1").data.tags.get(said) == head, 120, "the timeline passes it, too"
    )
    assert backlog(run.paths.root).uploading, "it is still under way"
    wait_until(
        lambda: proxy.held_since and time.monotonic() - proxy.held_since > 8, 120, "more than the 5 s of a request"
    )
    assert backlog(run.paths.root).uploading, "it is still under way"
    proxy.let_go()
    run.end()
    assert delivery.finish(120).delivered
    assert backlog(run.paths.root).uploading is None
    assert_same_rows(shared_server.uri, run.paths.run_db, "slow1")
    assert len(models_of(shared_server.uri, "slow1")) == 1


@pytest.mark.parametrize(("mode", "kind"), [(503, "server_error"), ("cut", "unreachable"), ("lost", "unreachable")])
def test_answers_that_go_wrong_lose_and_double_nothing(
    shared_server: Server, proxy: Proxy, runs: Path, mode: str | int, kind: str
) -> None:
    run_id = f"wrong{mode}"
    run = made_run(runs, run_id, ended=False)
    assert sync(run.paths.root, proxy.uri).delivered
    run.train(300).edit("grad_clip", 0.75).validate(31.75)
    run.checkpoint(31.75)
    run.end()
    proxy.mode = mode
    report = sync(run.paths.root, proxy.uri, patience_s=1.0)
    assert (report.delivered, report.why.split(":")[0]) == (False, kind)
    proxy.mode = "pass"
    assert sync(run.paths.root, proxy.uri) == DONE
    assert_same_rows(shared_server.uri, run.paths.run_db, run_id)
    assert len(models_of(shared_server.uri, run_id)) == 3
    images = client_of(shared_server.uri).list_artifacts(the_run(shared_server.uri, run_id).info.run_id, "images")
    assert len(images) == 8


def test_a_run_whose_end_could_not_be_told_counts_as_undelivered_until_sync(
    shared_server: Server, proxy: Proxy, runs: Path
) -> None:
    run = made_run(runs, "orphan1")
    assert sync(run.paths.root, proxy.uri) == DONE
    client_of(shared_server.uri).update_run(the_run(shared_server.uri, "orphan1").info.run_id, status="RUNNING")
    marks = Marks(run.paths.delivery_db)
    marks.set_fact("end_state", None)  # as if no answer had arrived
    marks.close()
    left = backlog(run.paths.root)
    assert (left.rows, left.end_due) == (1, True)
    assert left.age_s > 0
    proxy.mode = 503
    assert sync(run.paths.root, proxy.uri, patience_s=0.2).rows_left == 1
    proxy.mode = "pass"
    assert sync(run.paths.root, proxy.uri) == DONE
    assert the_run(shared_server.uri, "orphan1").info.status == "FINISHED"
    assert backlog(run.paths.root).rows == 0


def test_what_was_set_aside_is_tried_again_by_sync(shared_server: Server, proxy: Proxy, runs: Path) -> None:
    run = made_run(runs, "aside1")
    proxy.mode = "pass"
    first = sync(run.paths.root, proxy.uri)
    assert first == DONE
    run_id = the_run(shared_server.uri, "aside1").info.run_id
    model = models_of(shared_server.uri, "aside1")[0]
    client_of(shared_server.uri).delete_logged_model(model.model_id)
    marks = Marks(run.paths.delivery_db)
    seq = next(e.seq for e in run_events(run) if e.type == "checkpoint_saved")
    marks.put_item("mlflow", "refused", f"event/{seq}", {"type": "checkpoint_saved", "why": "400"})
    marks.drop_item("mlflow", "checkpoint", "0/100")
    at = 1_800_000_000_000
    marks.put_item("mlflow", "refused", f"metric/loss/late/7/{at}", {"value": "nan", "why": "400"})
    marks.put_item("mlflow", "refused", f"metric/a*b/7/{at}", {"value": 1.0, "why": "400"})
    marks.close()
    report = sync(run.paths.root, proxy.uri)
    assert report.delivered
    assert "1 row rejected by the server" in report.why
    marks = Marks(run.paths.delivery_db, readonly=True)
    assert list(marks.items("mlflow", "refused")) == [f"metric/a*b/7/{at}"]
    marks.close()
    (late,) = client_of(shared_server.uri).get_metric_history(run_id, "loss/late")
    assert (late.step, late.timestamp) == (7, at)
    assert [m.tags["vsrpp.step"] for m in models_of(shared_server.uri, "aside1")] == ["100", "200"]


def run_events(run: MadeRun) -> list[Any]:
    from vsrpp.store import RunReader

    with RunReader(run.paths.run_db) as reader:
        return list(reader.events())


def test_a_call_that_takes_ten_seconds_costs_the_trainers_side_nothing(
    shared_server: Server, proxy: Proxy, runs: Path
) -> None:
    run = MadeRun(runs / "calls1", "calls1").start().train(100)
    delivery = Delivery.start(uri=proxy.uri)
    assert delivery.run_id(120), delivery.why
    delivery.follow(run.paths.root)
    wait_until(lambda: run.paths.delivery_db.is_file() and backlog(run.paths.root).rows == 0, 120, "rows")
    proxy.delay_s = 10.0
    before = proxy.requests
    run.train(100)
    wait_until(lambda: proxy.requests > before, 60, "a call is under way")
    began = time.monotonic()
    delivery.news()
    delivery.check()
    assert time.monotonic() - began < 5, "the trainer waits for no call"
    proxy.delay_s = 0.0
    run.end()
    assert delivery.finish(120).delivered
    assert_same_rows(shared_server.uri, run.paths.run_db, "calls1")
