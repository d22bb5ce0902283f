"""A run with its own server keeps it regardless of the environment, and is uploaded even if the server starts later."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.made_runs import made_run
from tests.support.processes import train_command, vsrpp
from tests.support.servers import Server, assert_same_rows, the_run
from vsrpp.paths import RunPaths
from vsrpp.store import Marks
from vsrpp.tracking import Delivery, uri_of


def test_a_pinned_server_is_kept_without_user_and_password(runs: Path, uri: str) -> None:
    run = made_run(runs, "pinned1")
    assert uri_of(run.paths, uri) == uri, "nothing is known yet"
    delivery = Delivery.start(uri="http://anna:secret@127.0.0.1:9", pinned=True)
    delivery.follow(run.paths.root)
    delivery.finish(300)
    assert uri_of(run.paths, uri) == "http://127.0.0.1:9"
    marks = Marks(run.paths.delivery_db, readonly=True)
    assert "secret" not in str(marks.fact("deliver_to")) and "anna" not in str(marks.fact("deliver_to"))
    marks.close()


@pytest.mark.slow
def test_a_server_that_is_away_all_the_time_gets_everything_by_sync(
    tmp_path: Path, tiny_clip: Path, unstarted_server: Server
) -> None:
    done = vsrpp(tmp_path, *train_command(tiny_clip), "--deliver-to", unstarted_server.uri, timeout_s=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Training starts; everything is uploaded later" in done.stdout
    (folder,) = (tmp_path / "runs").iterdir()
    unstarted_server.start()
    synced = vsrpp(tmp_path, "sync", folder.name)
    assert synced.returncode == 0, synced.stdout + synced.stderr
    assert the_run(unstarted_server.uri, folder.name).info.status == "FINISHED"
    assert_same_rows(unstarted_server.uri, RunPaths(folder).run_db, folder.name)
    assert not (tmp_path / "mlflow.db").exists(), "the environment's store is not asked"
