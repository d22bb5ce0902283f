"""What run.db cannot take now waits in memory, in order, and is part of the record meanwhile."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.faults import full_disk, locked
from vsrpp.errors import VsrppError
from vsrpp.store import RunReader, RunWriter, environment_fault
from vsrpp.store.state_file import SIZE, StateFile, read_state_file


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[RunWriter]:
    writer = RunWriter(tmp_path / "run.db", "run")
    writer.waits = True
    add(writer, "started")
    yield writer
    writer.close()


def add(writer: RunWriter, type: str, step: int = 0) -> None:
    writer.append(type, step=step, branch=0, revision=0)


def on_disk(writer: RunWriter) -> list[str]:
    with RunReader(writer.path) as reader:
        return [event.type for event in reader.events()]


@pytest.mark.parametrize("fault", ["locked", "full"])
def test_records_wait_in_order_and_are_written_once(writer: RunWriter, fault: str) -> None:
    with locked(writer.path) if fault == "locked" else full_disk():
        add(writer, "paused", 3)
        writer.record(3, 0, {"loss/total": 0.5, "new/key": 1.0})
        add(writer, "resumed", 3)
        assert writer.flush() == ("database is locked" if fault == "locked" else "disk I/O error")
        waiting = writer.unwritten
        assert waiting is not None and (waiting.events, waiting.rows) == (2, 1)
        assert writer.durable_seq == 1 and on_disk(writer) == ["started"]
    assert writer.flush() is None and writer.unwritten is None and writer.fault is None
    assert on_disk(writer) == ["started", "paused", "resumed"]
    assert writer.latest()["new/key"].value == 1.0
    assert writer.verify().ok and writer.durable_seq == 3


def test_what_is_unwritten_is_read_as_part_of_the_record(writer: RunWriter) -> None:
    with locked(writer.path):
        add(writer, "paused")
        add(writer, "resumed")
        newest = writer.last_event("paused", "resumed")
        assert newest is not None and (newest.type, newest.seq) == ("resumed", 3)
        assert writer.head() == (3, newest.hash)
        assert [event.type for event in writer.events(after_seq=1)] == ["paused", "resumed"]
        assert [event.type for event in writer.events(types=["started", "paused"], limit=2)] == ["started", "paused"]


def test_without_leave_to_wait_it_is_raised_and_forgotten(writer: RunWriter) -> None:
    writer.waits = False
    with (
        locked(writer.path),
        pytest.raises(VsrppError, match=r"run\.db cannot be written: database is locked") as error,
    ):
        add(writer, "paused")
    assert error.value.reason_code == "failed.record_write"
    add(writer, "resumed")
    assert on_disk(writer) == ["started", "resumed"] and writer.verify().ok


def test_a_write_that_failed_after_its_commit_is_not_written_twice(writer: RunWriter) -> None:
    with locked(writer.path):
        add(writer, "paused")
    with RunReader(writer.path):
        event = writer.last_event("paused")
    assert event is not None
    twin = sqlite3.connect(writer.path)
    twin.execute(
        "INSERT INTO events VALUES (?, ?, 0, 0, 'paused', 0, NULL, NULL, NULL, '{}', ?)", (2, event.time, event.hash)
    )
    twin.commit()
    twin.close()
    assert writer.flush() is None
    assert on_disk(writer) == ["started", "paused"] and writer.verify().ok


@pytest.mark.parametrize(
    ("error", "is_fault"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EROFS, "Read-only file system"), True),
        (OSError(errno.ENOENT, "No such file"), False),
        (sqlite3.OperationalError("database or disk is full"), True),
        (sqlite3.OperationalError("no such table: events"), False),
        (ValueError("full"), False),
    ],
)
def test_faults_of_the_environment_are_told_from_others(error: Exception, is_fault: bool) -> None:
    assert (environment_fault(error) is not None) == is_fault


def test_a_moved_or_replaced_store_is_noticed(writer: RunWriter, tmp_path: Path) -> None:
    assert not writer.moved
    folder = tmp_path.rename(tmp_path.with_name(f"{tmp_path.name}-moved"))
    assert writer.moved
    folder.rename(tmp_path)
    assert not writer.moved
    writer.path.rename(tmp_path / "old.db")
    writer.path.write_bytes((tmp_path / "old.db").read_bytes())
    assert writer.moved


# ---- the state beside it
def test_the_state_is_published_on_a_full_disk(writer: RunWriter) -> None:
    writer.set_state({"state": "training"})
    with full_disk(SIZE):
        assert not writer.set_state({"state": "training"})
        assert writer.set_state_aside({"state": "waiting"})
    with RunReader(writer.path) as reader:
        assert reader.state()["state"] == "waiting"
        writer.set_state_aside(None)
        assert reader.state()["state"] == "training"


def test_a_torn_or_foreign_state_file_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "trainer_state"
    file = StateFile(path)
    assert path.stat().st_size == SIZE and read_state_file(path) == {}
    assert file.put({"state": "waiting"}) and read_state_file(path) == {"state": "waiting"}
    assert not file.put({"state": "x" * SIZE}) and read_state_file(path) == {"state": "waiting"}
    torn = bytearray(path.read_bytes())
    torn[12] ^= 1
    path.write_bytes(torn)
    assert read_state_file(path) == {}
    path.write_bytes(b"short")
    assert read_state_file(path) == {}
    assert read_state_file(tmp_path / "none") == {}
    file.close()


def test_an_older_versions_newer_state_wins(writer: RunWriter) -> None:
    writer.set_state_aside({"state": "failed", "process": {"pid": 1}})
    writer.set_state({"state": "training", "process": {"pid": 2}}, at=2e10)
    with RunReader(writer.path) as reader:
        assert reader.state()["state"] == "training"


def test_a_state_file_that_is_a_link_is_done_without(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "trainer_state").symlink_to(victim)
    assert not StateFile(tmp_path / "trainer_state").put({"state": "waiting"})
    assert victim.read_text() == "precious"
