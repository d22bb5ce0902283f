"""A damaged database is said in one line that names the file and the way out; no bare SQLite error comes through."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.made_runs import made_run
from vsrpp import control
from vsrpp.cli import main
from vsrpp.control.curves import CurveReader
from vsrpp.errors import VsrppError
from vsrpp.paths import RunPaths
from vsrpp.store import Inbox, Marks, RunReader, RunWriter, into_one_file, messages, set_aside_if_damaged
from vsrpp.store.db import connect_writer
from vsrpp.store.pending import PendingCommands


def noise(path: Path) -> None:
    path.write_bytes(bytes(range(1, 256)) * 40)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5000])


def no_header(path: Path) -> None:
    path.write_bytes(b"\xff" * 100 + path.read_bytes()[100:])


def torn_body(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))


def no_tables(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE other (x)")


def not_json(path: Path) -> None:
    change(path, "UPDATE events SET data = '{' WHERE seq = 1")


def another_type(path: Path) -> None:
    change(path, "UPDATE events SET data = '[]', step = 'soon'")


def not_utf8(path: Path) -> None:
    change(path, "UPDATE events SET data = CAST(x'ff7b7d' AS TEXT)")


def odd_meta(path: Path) -> None:
    change(path, "UPDATE meta SET value = 'x{'")


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(statement)


DAMAGES = [noise, cut_off, no_header, torn_body, no_tables, not_json, another_type, not_utf8, odd_meta]
WAYS_OUT = {messages.RECORD_DAMAGED.code, messages.RECORD_INCOMPLETE.code}


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, its databases in one file each."""
    made = made_run(tmp_path_factory.mktemp("made"), "good1")
    Inbox(made.paths.inbox_db).close()
    Marks(made.paths.delivery_db).close()
    into_one_file(*made.paths.databases)
    return made.paths.root


@pytest.fixture
def run(healthy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunPaths:
    """A copy to damage."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VSRPP_RUNS", raising=False)
    return RunPaths(Path(shutil.copytree(healthy, tmp_path / "runs" / "bad1")))


READS: list[Callable[[RunReader], Any]] = [
    lambda reader: list(reader.events()), lambda reader: reader.last_event("finished"), lambda reader: reader.state(),
    lambda reader: reader.metrics(), lambda reader: reader.latest(), lambda reader: reader.series("lr"),
    lambda reader: reader.head(), lambda reader: reader.metric_keys(), lambda reader: reader.newest_metric_id(),
    lambda reader: reader.oldest_time_after(metric_id=0, event_seq=0), lambda reader: reader.run_id,
    lambda reader: reader.newer_version,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_way_of_reading_a_damaged_record_says_the_file_and_the_way_out(
    run: RunPaths, damage: Callable[[Path], None]
) -> None:
    damage(run.run_db)
    said = []
    for read in READS:
        try:
            with RunReader(run.run_db) as reader:
                read(reader)
        except VsrppError as error:
            said.append(error)
    for look in (control.view_run, control.history, control.config_view, control.run_config, control.is_live):
        try:
            look(run)
        except VsrppError as error:
            said.append(error)
    assert said, "something notices"
    for error in said:
        assert error.reason_code in WAYS_OUT
        assert str(run.run_db) in str(error) and f"vsrpp rebuild {run.root}" in str(error)
        assert "\n" not in str(error)


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_verdict_on_a_damaged_record_is_exit_6(
    run: RunPaths, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    damage(run.run_db)
    assert main(["history", str(run.root), "--verify"]) == 6
    said = capsys.readouterr().err
    assert said.count("vsrpp: ") == 1 and "fails verification" in said


def test_one_damaged_folder_is_a_line_beside_the_healthy_runs(
    run: RunPaths, healthy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(healthy, run.root.with_name("good1"))
    noise(run.run_db)
    assert main(["runs", "--local"]) == 0
    said = capsys.readouterr()
    rows = {line.split()[0]: line.split()[1] for line in said.out.splitlines()[1:] if line.strip()}
    assert rows == {"good1": "finished", "bad1": "unreadable"}
    assert said.err.count("\n") == 1 and f"vsrpp rebuild {run.root}" in said.err
    assert main(["status", "good1"]) == 0


def test_a_damaged_delivery_db_hides_no_run_and_status_says_it(
    run: RunPaths, capsys: pytest.CaptureFixture[str]
) -> None:
    noise(run.delivery_db)
    assert main(["status", "bad1"]) == 0
    said = capsys.readouterr().out
    assert "delivery.db is damaged" in said and "vsrpp sync" in said
    assert control.find_run("bad1", run.root.parent) == run
    assert [row.state for row in control.runs(run.root.parent)] == ["finished"]


def test_a_damaged_inbox_says_the_way_out_to_who_writes_a_command(run: RunPaths) -> None:
    noise(run.inbox_db)
    for use in (Inbox, PendingCommands):
        with pytest.raises(VsrppError) as error:
            use(run.inbox_db)
        assert error.value.reason_code == messages.INBOX_DAMAGED.code
        assert f"vsrpp train --resume {run.root}" in str(error.value)


def test_only_a_damaged_database_is_set_aside(run: RunPaths) -> None:
    assert set_aside_if_damaged(run.inbox_db) is None and run.inbox_db.is_file()
    for name in ("inbox.db.damaged", "inbox.db.damaged-2"):
        noise(run.inbox_db)
        aside = set_aside_if_damaged(run.inbox_db)
        assert aside is not None and aside.name == name and aside.is_file()
        Inbox(run.inbox_db).close()


def test_curves_of_a_damaged_record_are_a_failure_not_an_empty_chart(run: RunPaths) -> None:
    curves = CurveReader(run)
    torn_body(run.run_db)
    with pytest.raises(VsrppError):
        curves.read(["loss/total"])
    curves.close()


def test_a_writer_leaves_the_record_in_one_file_beside_an_open_reader(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path / "run.db", "run")
    with RunReader(tmp_path / "run.db") as reader:
        list(reader.events())
        writer.append("started", step=0, branch=0, revision=0)
        writer.close()
        assert (tmp_path / "run.db-wal").stat().st_size == 0
        assert len(list(reader.events())) == 1


def test_what_a_killed_writer_left_in_the_log_is_moved_by_the_last_to_use_it(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    RunWriter(path, "run").close()
    killed = connect_writer(path, "")
    with RunReader(path) as reader:
        assert reader.meta("key") is None
        killed.execute("INSERT INTO meta VALUES ('key', '1')")
        sqlite3.Connection.close(killed)
        assert (tmp_path / "run.db-wal").stat().st_size > 0
        into_one_file(path)
        assert (tmp_path / "run.db-wal").stat().st_size == 0
        assert reader.meta("key") == 1
