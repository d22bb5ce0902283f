"""The delivery process beside a trainer: its life cycle, its death, and its trainer's death."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.support.made_runs import MadeRun, made_run
from tests.support.servers import Server, assert_same_rows, client_of, models_of, the_run, wait_until
from vsrpp.store import Marks
from vsrpp.tracking import ConnectionChange, Delivery, backlog
from vsrpp.tracking.lock import DeliveryLock
from vsrpp.tracking.sync import sync

ROOT = Path(__file__).resolve().parents[2]


def test_the_trainers_side_imports_neither_mlflow_nor_torch() -> None:
    code = "import sys, vsrpp.tracking; print(sorted({'mlflow', 'torch', 'tensorboard', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_run_from_its_start_to_its_end(uri: str, runs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    delivery = Delivery.start(uri=uri, run_name="whole")
    run_id = delivery.run_id(300)
    assert run_id, delivery.why
    assert client_of(uri).get_run(run_id).info.status == "RUNNING"
    run = MadeRun(runs / run_id, run_id).start()
    delivery.follow(run.paths.root)
    run.train(100).edit("max_lr", 2e-4).validate(30.0)
    run.checkpoint(30.0)
    wait_until(lambda: backlog(run.paths.root).artifacts == 0, 240, "the checkpoint is uploaded while the run goes on")
    assert delivery.check() is None
    assert delivery.news() == []
    run.end()
    report = delivery.finish(300)
    assert (report.delivered, report.why) == (True, "")
    assert_same_rows(uri, run.paths.run_db, run_id)
    there = the_run(uri, run_id)
    assert (there.info.run_id, there.info.run_name, there.info.status) == (run_id, "whole", "FINISHED")
    assert len(models_of(uri, run_id)) == 1
    assert list(run.paths.tensorboard.iterdir())
    assert "ended: Report(delivered=True" in run.paths.deliver_log.read_text()
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_server_that_is_away_is_said_at_once_and_costs_the_end_nothing(runs: Path) -> None:
    delivery = Delivery.start(uri="http://127.0.0.1:9")
    assert delivery.run_id(3000) is None, (
        "known to be away: not the whole time-out, which is longer than a test may take"
    )
    assert delivery.why.startswith("unreachable: 127.0.0.1:9")
    run = made_run(runs, "local1", ended=False)
    delivery.follow(run.paths.root)
    lost = wait_until(delivery.news, 240, "the loss is news for the trainer")
    assert [(item.type, item.data["class"]) for item in lost] == [("tracking_lost", "unreachable")]
    run.end()
    report = delivery.finish(3000)
    assert not report.delivered
    assert report.rows_left > 200
    assert report.artifacts_left == 4
    assert report.why.startswith("unreachable")
    assert list(run.paths.tensorboard.iterdir()), "TensorBoard needs no server"


@pytest.mark.slow
def test_what_never_began_leaves_no_run_behind(uri: str) -> None:
    delivery = Delivery.start(uri=uri)
    run_id = delivery.run_id(300)
    assert run_id
    os.kill(delivery.pid, signal.SIGSTOP)
    try:
        delivery.finish(3000)  # a refused start does not wait for the process, which would never end
    finally:
        os.kill(delivery.pid, signal.SIGCONT)
    wait_until(lambda: client_of(uri).get_run(run_id).info.lifecycle_stage == "deleted", 240, "it is taken back")


@pytest.mark.slow
def test_a_dead_deliverer_is_started_again_and_nothing_is_there_twice(uri: str, runs: Path) -> None:
    delivery = Delivery.start(uri=uri)
    run_id = delivery.run_id(300)
    assert run_id
    run = MadeRun(runs / run_id, run_id).start().train(200)
    delivery.follow(run.paths.root)
    wait_until(lambda: run.paths.delivery_db.is_file() and backlog(run.paths.root).rows == 0, 240, "delivered so far")
    os.kill(delivery.pid, signal.SIGKILL)
    said = wait_until(delivery.check, 240, "its death is noticed")
    assert said["message"] == "The delivery process exited with code -9; restarted (1 of 3)."
    run.train(200)
    run.checkpoint()
    run.end()
    assert delivery.finish(300).delivered
    assert_same_rows(uri, run.paths.run_db, run_id)
    assert len(models_of(uri, run_id)) == 1


TRAINER = """
    import os, signal, sys
    from pathlib import Path
    from tests.support.made_runs import MadeRun
    from vsrpp.tracking import Delivery
    delivery = Delivery.start(uri=sys.argv[1])
    run_id = delivery.run_id(300)
    run = MadeRun(Path(sys.argv[2]) / run_id, run_id).start().train(100)
    delivery.follow(run.paths.root)
    run.train(100)
    holder = os.fork()          # a data worker that outlives the trainer and holds the pipe open
    if not holder:
        signal.pause()
    print(run_id, holder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_trainer_killed_without_a_word_leaves_a_dead_run_with_everything_in_it(uri: str, runs: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(TRAINER), uri, str(runs)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as trainer:
        assert trainer.stdout is not None
        run_id, holder = trainer.stdout.readline().split()
    try:
        wait_until(lambda: client_of(uri).get_run(run_id).info.status == "FAILED", 240, "the run is marked")
        assert the_run(uri, run_id).data.tags["vsrpp.state"] == "dead"
        assert_same_rows(uri, runs / run_id / "run.db", run_id)
        with DeliveryLock(runs / run_id) as lock:
            wait_until(lock.take, 240, "the deliverer lets go")
    finally:
        os.kill(int(holder), signal.SIGKILL)


@pytest.mark.slow
def test_a_resumed_run_goes_on_in_the_same_mlflow_run(uri: str, runs: Path) -> None:
    first = made_run(runs, "cafe1", ended=False)
    first.end("stopped")
    assert sync(first.paths.root, uri).delivered
    known = the_run(uri, "cafe1").info.run_id
    from vsrpp.store import RunWriter

    first.writer = RunWriter(first.paths.run_db)
    first.event("resumed")
    delivery = Delivery.start(uri=uri, mlflow_run_id=known)
    assert delivery.run_id(300) == known
    delivery.follow(first.paths.root)
    wait_until(lambda: the_run(uri, "cafe1").info.status == "RUNNING", 240, "it runs again")
    first.train(100).end()
    assert delivery.finish(300).delivered
    there = the_run(uri, "cafe1")
    assert (there.info.run_id, there.info.status) == (known, "FINISHED")
    assert_same_rows(uri, first.paths.run_db, "cafe1")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_kill_of_the_deliverer_at_any_moment_then_sync_gives_everything_once(uri: str, runs: Path, seed: int) -> None:
    run = MadeRun(runs / "killed1", "killed1").start()
    for _ in range(4):
        run.train(1000).edit("max_lr", 1e-4 + run.step * 1e-9).validate(30.0)
        run.checkpoint(30.0)
    run.end()
    chance = random.Random(seed)
    command = [sys.executable, "-m", "vsrpp.tracking", "sync", str(run.paths.root), "--uri", uri]
    for _ in range(2):
        deliverer = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        before = _marks(run)
        wait_until(lambda: _marks(run) != before or deliverer.poll() is not None, 240, "it delivers")  # noqa: B023
        time.sleep(chance.random() * 0.8)  # the moment of the kill
        deliverer.kill()
        deliverer.wait()
    assert sync(run.paths.root, uri).delivered
    assert_same_rows(uri, run.paths.run_db, "killed1")
    assert len(models_of(uri, "killed1")) == 4
    images = client_of(uri).list_artifacts(the_run(uri, "killed1").info.run_id, "images")
    assert len(images) == 10


def _marks(run: MadeRun) -> list[tuple[int, int]]:
    if not run.paths.delivery_db.is_file():
        return []
    marks = Marks(run.paths.delivery_db)
    try:
        return [marks.position(sink) for sink in ("mlflow", "mlflow.artifacts")]
    finally:
        marks.close()


@pytest.mark.slow
def test_server_killed_and_restarted_in_the_middle_gets_everything_once(server: Server, runs: Path) -> None:
    delivery = Delivery.start(uri=server.uri, run_name="outage")
    run_id = delivery.run_id(300)
    assert run_id, delivery.why
    run = MadeRun(runs / run_id, run_id).start().train(500)
    delivery.follow(run.paths.root)
    wait_until(lambda: run.paths.delivery_db.is_file() and backlog(run.paths.root).rows == 0, 240, "all is there")
    server.kill()
    run.train(500).edit("max_lr", 2e-4).validate(30.0)
    run.checkpoint(30.0)
    lost = wait_until(delivery.news, 240, "the loss is told")
    assert [item.type for item in lost] == ["tracking_lost"]
    assert backlog(run.paths.root).rows > 500
    server.start()
    back = wait_until(delivery.news, 240, "the return is told")
    assert [item.type for item in back] == ["tracking_back"]
    assert isinstance(back[0], ConnectionChange)
    assert back[0].data["lost_s"] > 0
    run.train(100).end()
    report = delivery.finish(300)
    assert (report.delivered, report.why) == (True, "")
    assert_same_rows(server.uri, run.paths.run_db, run_id)
    assert the_run(server.uri, run_id).info.status == "FINISHED"
    assert len(models_of(server.uri, run_id)) == 1
    assert len(client_of(server.uri).list_artifacts(run_id, "images")) == 4


@pytest.mark.slow
def test_server_gone_at_the_end_leaves_the_rest_to_sync_and_restore_works_over_http(
    server: Server, runs: Path, tmp_path: Path
) -> None:
    delivery = Delivery.start(uri=server.uri)
    run_id = delivery.run_id(300)
    assert run_id, delivery.why
    run = made_run(runs, run_id, ended=False)
    server.kill()
    delivery.follow(run.paths.root)
    run.end()
    report = delivery.finish(300)
    assert (report.delivered, report.artifacts_left) == (False, 4)
    server.start()
    assert client_of(server.uri).get_run(run_id).info.status == "RUNNING", "nobody could tell the server"
    assert sync(run.paths.root, server.uri).delivered
    assert the_run(server.uri, run_id).info.status == "FINISHED"
    assert_same_rows(server.uri, run.paths.run_db, run_id)
    run.paths.root.rename(tmp_path / "away")
    from vsrpp.tracking.restore import restore

    back = restore(run_id, step="best", out=tmp_path / "out", uri=server.uri, runs=runs)
    assert (back.step, back.source, back.verified) == (100, "mlflow", True)
