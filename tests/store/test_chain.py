from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from vsrpp.store import RunReader, RunWriter

COPY_LAST_ROW = (
    "INSERT INTO events SELECT 7, time, step, branch, type, revision, origin, author, reason, data, hash"
    " FROM events WHERE seq = 6"
)


@pytest.fixture
def run_db(tmp_path: Path) -> Path:
    path = tmp_path / "run.db"
    writer = RunWriter(path, "r1")
    for step in range(6):
        writer.append("config_applied", step=step, branch=0, revision=step + 1, origin="cli", author="anna",
                      reason="äöü ✅", data={"changes": [{"key": "max_lr", "old": 1e-4, "new": 2e-4 * step}]})  # fmt: skip
    writer.close()
    return path


def verdict(path: Path, anchors: list[tuple[str, int, str]] | None = None):
    with RunReader(path) as reader:
        return reader.verify(anchors or [])


def tamper(path: Path, sql: str) -> None:
    with sqlite3.connect(path) as db:
        db.execute(sql)


def test_an_untouched_chain_holds_and_names_its_head(run_db: Path) -> None:
    seen = verdict(run_db)
    with RunReader(run_db) as reader:
        assert (seen.ok, seen.events, seen.head) == (True, 6, reader.head()[1])


@pytest.mark.parametrize(
    ("sql", "broken_at"),
    [
        ("UPDATE events SET reason = 'other' WHERE seq = 3", 3),
        ("UPDATE events SET data = replace(data, '0.0004', '0.0005') WHERE seq = 3", 3),
        ("UPDATE events SET time = time + 1 WHERE seq = 1", 1),
        ("UPDATE events SET step = 77 WHERE seq = 4", 4),
        ("DELETE FROM events WHERE seq = 2", 2),
        ("DELETE FROM events WHERE seq > 4", 5),
        (COPY_LAST_ROW, 7),
    ],
)  # fmt: skip
def test_a_changed_removed_inserted_or_cut_off_row_is_found(run_db: Path, sql: str, broken_at: int) -> None:
    tamper(run_db, sql)
    seen = verdict(run_db)
    assert not seen.ok
    assert seen.broken_at == broken_at


def test_an_anchor_kept_elsewhere_must_be_in_the_chain(run_db: Path) -> None:
    with RunReader(run_db) as reader:
        hashes = {event.seq: event.hash for event in reader.events()}
    assert verdict(run_db, [("checkpoint 4", 4, hashes[4])]).ok
    seen = verdict(run_db, [("checkpoint 4", 4, hashes[5])])
    assert (seen.ok, seen.broken_at) == (False, 4)
    assert "checkpoint 4" in seen.why


def test_rows_cut_off_behind_an_anchor_are_found_even_if_the_recorded_head_was_changed_too(run_db: Path) -> None:
    with RunReader(run_db) as reader:
        anchor = ("checkpoint 5", *reader.head())
    tamper(run_db, "DELETE FROM events WHERE seq > 4")
    tamper(run_db, "UPDATE meta SET value = '4' WHERE key = 'head'")
    assert verdict(run_db).ok
    assert not verdict(run_db, [anchor]).ok


def test_a_chain_is_bound_to_its_run(run_db: Path) -> None:
    tamper(run_db, "UPDATE meta SET value = '\"r2\"' WHERE key = 'run_id'")
    assert verdict(run_db).broken_at == 1
