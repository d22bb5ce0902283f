"""What a history costs its readers: counted in decoded events, so that no clock decides."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.long_record import KEPT_ON_DISK, long_record
from tests.support.synthetic import SyntheticRun
from vsrpp import control
from vsrpp.control import RunViewReader
from vsrpp.control.run_view_reader import KEPT_EVENTS
from vsrpp.store import RunReader
from vsrpp.store.events import StoredEvent

Decoded = Callable[[Callable[[], Any]], int]


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyntheticRun]:
    run = long_record(tmp_path_factory.mktemp("short"), events=1200, rows=500)
    yield run
    run.close()


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyntheticRun]:
    run = long_record(tmp_path_factory.mktemp("long"), events=4 * KEPT_EVENTS // 3, rows=500)
    yield run
    run.close()


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Decoded:
    """How many events a call decodes."""
    real, seen = StoredEvent.decoded, []
    monkeypatch.setattr(StoredEvent, "decoded", lambda row: seen.append(row.seq) or real(row))

    def count(call: Callable[[], Any]) -> int:
        seen.clear()
        call()
        return len(seen)

    return count


def without_index(run: SyntheticRun, folder: Path) -> sqlite3.Connection:
    """The record as an older version wrote it, without the newer index."""
    folder.mkdir()
    with sqlite3.connect(run.paths.run_db) as new, sqlite3.connect(folder / "run.db") as old:
        new.backup(old)
    old.execute("DROP INDEX events_newest")
    old.commit()
    return old


READERS: dict[str, Callable[[SyntheticRun], Any]] = {
    "status": lambda run: control.status(run.paths),
    "config": lambda run: control.config_view(run.paths),
    "runs": lambda run: control.runs(run.paths.root.parent),
    "best": lambda run: control.best_of(run.writer),
    "an earlier revision": lambda run: control.current_config(run.writer).at(40),
    "an edit's preview": lambda run: control.preview(run.paths, {"max_lr": 3e-4}),
    "verify": lambda run: control.verify(run.paths),
    "a page of history": lambda run: list(control.each_event(run.paths, after=300, limit=10)),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_reader_decodes_no_more_of_a_long_history(
    reader: str, short: SyntheticRun, long: SyntheticRun, decoded: Decoded
) -> None:
    turns = long.branch - short.branch  # a rollback is a segment of the line, and read
    few, many = decoded(lambda: READERS[reader](short)), decoded(lambda: READERS[reader](long))
    assert many <= few + turns and many < 100


def test_faces_keep_the_newest_events_and_read_only_what_is_new(long: SyntheticRun, decoded: Decoded) -> None:
    reading = RunViewReader(long.paths)
    first = reading.look()
    events = long.writer.head()[0]
    assert len(first.events) == KEPT_EVENTS and sum(first.event_counts.values()) == events
    assert len(first.validations) == first.event_counts["validated"] > 1000
    long.event("validated", psnr_y=40.0, images=[])
    assert decoded(reading.look) <= 2 * KEPT_ON_DISK + 5
    view = reading.look()
    assert view.events[-1].data["psnr_y"] == 40.0 and view.validations[-1].psnr_y == 40.0
    assert len(view.events) == KEPT_EVENTS and view.event_counts["validated"] == first.event_counts["validated"] + 1
    reading.close()


def test_queries_say_what_the_whole_record_says(short: SyntheticRun) -> None:
    events = control.history(short.paths)
    line, folded = control.lineage(events), control.ConfigHistory.of(events)
    seen, asked = control.view_run(short.paths), control.current_config(short.writer)
    best = control.best_checkpoint(line, control.BestRule.of(short.run_config))
    assert best is not None and seen.best == best.to_json() and control.best_of(short.writer) == best
    assert seen.line.segments == line.segments and seen.line.abandoned == line.abandoned
    assert (asked.live, asked.revision, asked.changed) == (folded.live, folded.revision, folded.changed)
    assert all(asked.at(revision) == folded.at(revision) for revision in (-1, 0, 1, 17, folded.revision, 10**6))
    assert [saved.step for saved in seen.checkpoints] == [saved.step for saved in line.checkpoints][-KEPT_ON_DISK:]
    assert seen.remote_copy is not None and seen.remote_copy["step"] == line.checkpoints[-1].step


def test_a_record_without_the_newer_index_says_the_same(short: SyntheticRun, tmp_path: Path) -> None:
    without_index(short, tmp_path / "old").close()
    with RunReader(tmp_path / "old" / "run.db") as old, RunReader(short.paths.run_db) as new:
        for ask in (
            lambda reader: list(reader.events(types=("validated", "started"), after_seq=5)),
            lambda reader: reader.last_event("plateau_detected", "validated"),
            lambda reader: reader.event_counts(),
            lambda reader: control.best_of(reader),
            lambda reader: reader.verify(),
        ):
            assert ask(old) == ask(new)


def test_a_text_that_was_only_rewritten_holds_and_one_that_says_something_else_does_not(
    short: SyntheticRun, tmp_path: Path
) -> None:
    db = without_index(short, tmp_path / "other")
    (text,) = db.execute("SELECT data FROM events WHERE seq = 20").fetchone()
    for changed, holds in ((json.dumps(json.loads(text), indent=1), True), (text.replace(":", ":0", 1), False)):
        db.execute("UPDATE events SET data = ? WHERE seq = 20", (changed,))
        db.commit()
        with RunReader(tmp_path / "other" / "run.db") as reader:
            verdict = reader.verify()
        assert verdict.ok is holds and (holds or verdict.broken_at in (20, None))
    db.close()
