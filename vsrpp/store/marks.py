"""delivery.db: what each sink (MLflow, TensorBoard) has received. Written only by the delivery process."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from vsrpp.errors import VsrppError
from vsrpp.store.db import connect_reader, connect_writer
from vsrpp.store.events import canonical, jsonable

SCHEMA = """
CREATE TABLE IF NOT EXISTS marks (
    sink TEXT PRIMARY KEY, metric_id INTEGER NOT NULL DEFAULT 0, event_seq INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS items (
    sink TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, time REAL NOT NULL, data TEXT NOT NULL,
    PRIMARY KEY (sink, kind, key));
CREATE TABLE IF NOT EXISTS facts (key TEXT PRIMARY KEY, time REAL NOT NULL, value TEXT NOT NULL);
"""


_T = TypeVar("_T")


class Marks:
    """Positions (last uploaded metric row and event), items (an artifact, a rejected row), facts (the MLflow run)."""

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        """Raises NotFound if opened read-only and the file does not exist."""
        self._db = connect_reader(path) if readonly else connect_writer(path, SCHEMA)

    def close(self) -> None:
        self._db.close()

    def position(self, sink: str) -> tuple[int, int]:
        """(id of the last metric row, seq of the last event) that the sink has confirmed."""
        row = self._db.execute("SELECT metric_id, event_seq FROM marks WHERE sink = ?", (sink,)).fetchone()
        return (row[0], row[1]) if row else (0, 0)

    def advance(self, sink: str, *, metric_id: int | None = None, event_seq: int | None = None) -> None:
        """Record that the sink has received everything up to these numbers; marks only move forward."""
        self._db.execute("INSERT INTO marks (sink) VALUES (?) ON CONFLICT DO NOTHING", (sink,))
        self._db.execute(
            "UPDATE marks SET metric_id = max(metric_id, ?), event_seq = max(event_seq, ?) WHERE sink = ?",
            (metric_id or 0, event_seq or 0, sink),
        )

    def reset(self, sink: str) -> None:
        """Forget everything a sink has received, so that it is filled again from the store."""
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute("DELETE FROM marks WHERE sink = ?", (sink,))
        self._db.execute("DELETE FROM items WHERE sink = ?", (sink,))
        self._db.execute("COMMIT")

    def put_item(self, sink: str, kind: str, key: str, data: dict[str, Any]) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?, ?)",
            (sink, kind, key, time.time(), canonical(jsonable(data))),
        )

    def drop_item(self, sink: str, kind: str, key: str) -> None:
        self._db.execute("DELETE FROM items WHERE sink = ? AND kind = ? AND key = ?", (sink, kind, key))

    def item(self, sink: str, kind: str, key: str) -> dict[str, Any] | None:
        row = self._db.execute(
            "SELECT data FROM items WHERE sink = ? AND kind = ? AND key = ?", (sink, kind, key)
        ).fetchone()
        return self._db.parsed(row[0], kind=dict) if row else None

    def items(self, sink: str, kind: str) -> dict[str, dict[str, Any]]:
        rows = self._db.execute("SELECT key, data FROM items WHERE sink = ? AND kind = ? ORDER BY time", (sink, kind))
        return {key: self._db.parsed(data, kind=dict) for key, data in rows}

    def keys(self, sink: str, kind: str) -> list[str]:
        """The keys of the items of a kind."""
        return [row[0] for row in self._db.execute("SELECT key FROM items WHERE sink = ? AND kind = ?", (sink, kind))]

    def item_values(self, sink: str, kind: str, name: str) -> dict[str, Any]:
        """Key -> the value of `name` of every item that has one, without decoding the items."""
        rows = self._db.execute(
            "SELECT key, json_extract(data, ?) AS value FROM items WHERE sink = ? AND kind = ? AND value IS NOT NULL",
            (f'$."{name}"', sink, kind),
        )
        return dict(rows.fetchall())

    def set_fact(self, key: str, value: Any) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO facts VALUES (?, ?, ?)", (key, time.time(), canonical(jsonable(value)))
        )

    def fact(self, key: str) -> Any:
        try:
            row = self._db.execute("SELECT value FROM facts WHERE key = ?", (key,)).fetchone()
        except sqlite3.OperationalError:  # the tables may not be created yet
            return None
        return self._db.parsed(row[0]) if row else None


def from_marks(path: Path, read: Callable[[Marks], _T], otherwise: _T) -> _T:
    """What `read` returns for the marks at `path`; `otherwise` before the first delivery, or if they cannot be read."""
    try:
        marks = Marks(path, readonly=True)
    except VsrppError:
        return otherwise
    try:
        return read(marks)
    except sqlite3.Error:
        return otherwise
    finally:
        marks.close()
