"""A store that a newer VSR++ wrote is read and never written, and a person is told so."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.made_runs import made_run
from vsrpp import control
from vsrpp.cli import main
from vsrpp.errors import Refused
from vsrpp.paths import RunPaths
from vsrpp.store import STORE_VERSION, RunReader, RunWriter
from vsrpp.store.messages import STORE_NEWER
from vsrpp.tracking.sync import sync
from vsrpp.tui.messages import TerminalTexts
from vsrpp.tui.pages.header import notice
from vsrpp.tui.run_view import RunSnapshot


@pytest.fixture
def newer(tmp_path: Path) -> RunPaths:
    """A live run of a version that records more than this one knows."""
    run = made_run(tmp_path, "newer1", ended=False)
    run.writer.set_state({"state": "training", "step": 3, "process": control.process_identity()})
    run.writer.set_meta("store_version", STORE_VERSION + 1)
    run.writer.close()
    with closing(sqlite3.connect(run.paths.run_db)) as db, db:
        db.execute("ALTER TABLE events ADD COLUMN signature TEXT")
        columns = "seq, time, step, branch, type, revision, origin, author, reason, data, hash"
        db.execute(
            f"INSERT INTO events ({columns}) SELECT seq + 1, time, step, branch, 'thought', revision, origin, author,"
            " reason, '{\"more\": 1}', hash FROM events ORDER BY seq DESC LIMIT 1"
        )
    with closing(sqlite3.connect(run.paths.run_db)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return run.paths


def content(paths: RunPaths) -> dict[str, str]:
    files = (
        file for file in paths.root.rglob("*") if file.is_file() and not file.name.endswith(("-shm", "-wal", ".lock"))
    )
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_a_new_store_says_its_version_and_one_without_is_of_the_first(tmp_path: Path) -> None:
    with RunWriter(tmp_path / "run.db", "run") as writer:
        assert writer.meta("store_version") == STORE_VERSION
    with closing(sqlite3.connect(tmp_path / "run.db")) as db, db:
        db.execute("DELETE FROM meta WHERE key = 'store_version'")
    with RunWriter(tmp_path / "run.db") as writer:
        assert writer.newer_version is None


@pytest.mark.parametrize("command", [["status"], ["history"], ["config"]])
def test_a_newer_store_is_read_and_that_is_said_in_one_line(
    newer: RunPaths, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = content(newer)
    assert main([*command, str(newer.root)]) == 0
    said = capsys.readouterr()
    assert said.out and "newer VSR++" in said.err and said.err.count("vsrpp:") == 1
    assert content(newer) == before


def test_the_list_of_runs_and_the_terminal_ui_say_it_in_one_line(
    newer: RunPaths, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", "--local", "--run-dir", str(newer.root.parent)]) == 0
    said = capsys.readouterr()
    assert "training" in said.out and said.err.count("\n") == 1 and "newer VSR++" in said.err
    assert "newer VSR++" in notice(RunSnapshot.of(control.view_run(newer)), TerminalTexts("en"))[0]


def test_a_newer_store_is_never_written(newer: RunPaths, tmp_path: Path) -> None:
    before = content(newer)
    actions: list[Any] = [
        lambda: control.apply(newer, {"max_lr": 2e-4}, origin="cli", wait_s=0.1),
        lambda: control.command(newer, "stop", origin="cli", wait_s=0.1),
        lambda: RunWriter(newer.run_db),
        lambda: sync(newer.root, f"sqlite:///{tmp_path / 'mlflow.db'}"),
    ]
    for action in actions:
        with pytest.raises(Refused) as refusal:
            action()
        assert refusal.value.reason_code == STORE_NEWER.code
    assert content(newer) == before
    assert not newer.inbox_db.exists()
    with RunReader(newer.run_db) as reader:
        assert reader.newer_version == str(STORE_VERSION + 1)
