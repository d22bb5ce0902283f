"""A command while another process holds the inbox locked."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.made_runs import made_run
from vsrpp import control
from vsrpp.cli import main
from vsrpp.paths import RunPaths
from vsrpp.store import Answer, Inbox, db


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunPaths:
    monkeypatch.setattr(db, "BUSY_TIMEOUT_S", 0.2)
    run = made_run(tmp_path, "locked1", ended=False)
    run.writer.set_state({"state": "training", "step": 3, "process": control.process_identity()})
    run.writer.close()
    Inbox(run.paths.inbox_db).close()
    return run.paths


@pytest.mark.parametrize("mode", ["NORMAL", "EXCLUSIVE"])
@pytest.mark.parametrize("command", [["set", "max_lr=2e-4"], ["stop"]])
def test_a_command_to_a_locked_inbox_fails_in_one_clear_line(
    live: RunPaths, command: list[str], mode: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(live.inbox_db, isolation_level=None)) as other:
        other.execute(f"PRAGMA locking_mode={mode}")
        other.execute("BEGIN EXCLUSIVE")
        code = main([command[0], str(live.root), *command[1:]])
        said = capsys.readouterr().err
    assert code == 1, said
    assert len(said.splitlines()) == 1 and "locked" in said and "bug" not in said
    assert str(live.inbox_db) in said


def test_a_lock_while_the_answer_is_awaited_only_delays_it(live: RunPaths) -> None:
    with closing(Inbox(live.inbox_db)) as inbox:
        uid = inbox.put("pause", {}, origin="cli")

        def hold_then_answer() -> None:
            with closing(sqlite3.connect(live.inbox_db, isolation_level=None)) as other:
                other.execute("BEGIN EXCLUSIVE")
                time.sleep(0.5)
                other.execute("COMMIT")
            with closing(Inbox(live.inbox_db)) as trainer:
                trainer.answer(uid, Answer(status="done"))

        thread = threading.Thread(target=hold_then_answer)
        thread.start()
        assert inbox.wait(uid, 30).status == "done"
        thread.join()
