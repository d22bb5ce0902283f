"""Reading run.db, the run's record: one writer (the trainer, `run_writer`), any number of readers."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsrpp.paths import RunPaths
from vsrpp.store import messages
from vsrpp.store.chain import ChainCheck, genesis, verify_chain
from vsrpp.store.db import StoreConnection, connect_reader
from vsrpp.store.events import Event, StoredEvent
from vsrpp.store.signing import Verifier, short
from vsrpp.store.state_file import read_state_file

if TYPE_CHECKING:
    from typing_extensions import Self

STORE_VERSION = 1
"""The layout of a run folder's databases, in `meta` of run.db. A store without one is of version 1."""
_NEWEST = 2**63 - 1
"""A sequence number above all others."""
_COLUMNS = "seq, time, step, branch, type, revision, origin, author, reason, data, hash"


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One value of one metric. (branch, step, key) is unique; `id` increases in the order of writing."""

    id: int
    key: str
    branch: int
    step: int
    time: float
    value: float
    """NaN is stored as NULL and read back as NaN."""


class RunReader:
    """Reads a run's record, during training or later. Close it when done (or use `with`)."""

    def __init__(self, path: Path) -> None:
        """Raises NotFound without a run.db at `path`."""
        self.path = path
        self._db = connect_reader(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._db.close()

    # ---- meta and state
    def meta(self, key: str) -> Any:
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else self._db.parsed(row[0])

    @property
    def newer_version(self) -> str | None:
        """The store's version, if a newer VSR++ wrote it: it may be read, yet not be written."""
        version = self.meta("store_version")
        if version is None or (type(version) is int and version <= STORE_VERSION):
            return None
        return str(version)

    def check_writable(self) -> None:
        """Raises Refused for a store that a newer VSR++ wrote."""
        version = self.newer_version
        if version is not None:
            raise messages.STORE_NEWER(path=str(self.path), theirs=version, ours=STORE_VERSION)

    @property
    def run_id(self) -> str:
        return str(self.meta("run_id"))

    def state(self) -> dict[str, Any]:
        """The trainer's last published state (state, step, phase, speed, process …), with its `time`; {} if none.

        While the trainer cannot write run.db, that is the one in `trainer_state`.
        """
        row = self._db.execute("SELECT time, data FROM state WHERE id = 1").fetchone()
        published = {} if row is None else {**self._db.parsed(row[1], kind=dict), "time": row[0]}
        aside = read_state_file(RunPaths(self.path.parent).trainer_state)
        of_one_process = aside.get("process") == published.get("process")
        newer = aside and (of_one_process or aside.get("time", 0.0) >= published.get("time", 0.0))
        return aside if newer else published

    # ---- events
    def events(self, *, after_seq: int = 0, types: Iterable[str] | None = None, limit: int = -1) -> Iterator[Event]:
        return events_in(self._db, after_seq=after_seq, types=types, limit=limit)

    def last_event(self, *types: str) -> Event | None:
        newest = " UNION ALL ".join(["SELECT (SELECT max(seq) FROM events WHERE type = ?) AS seq"] * len(types))
        row = self._db.execute(
            f"SELECT {_COLUMNS} FROM events WHERE seq = (SELECT max(seq) FROM ({newest}))", types
        ).fetchone()
        return None if row is None else _event(self._db, row)

    def event(self, seq: int) -> Event | None:
        row = self._db.execute(f"SELECT {_COLUMNS} FROM events WHERE seq = ?", (seq,)).fetchone()
        return None if row is None else _event(self._db, row)

    def events_at(self, type: str, step: int) -> list[Event]:
        """The events of one type at a step, on any branch, oldest first."""
        query = f"SELECT {_COLUMNS} FROM events WHERE type = ? AND step = ? ORDER BY seq"
        return [_event(self._db, row) for row in self._db.execute(query, (type, step))]

    def count_events(self, *types: str, after_seq: int = 0) -> int:
        """How many events of these types there are; reads only the index."""
        query = f"SELECT count(*) FROM events WHERE type IN ({_marks(types)}) AND seq > ?"
        return int(self._db.execute(query, (*types, after_seq)).fetchone()[0])

    def event_counts(self, *, after_seq: int = 0, to_seq: int = _NEWEST) -> dict[str, int]:
        """Type -> how many events there are; reads only the index."""
        query = "SELECT type, count(*) FROM events WHERE seq > ? AND seq <= ? GROUP BY type"
        return dict(self._db.execute(query, (after_seq, to_seq)).fetchall())

    def seq_of_revision(self, types: Iterable[str], revision: int) -> int | None:
        """The newest event of these types with that revision."""
        type_list = sorted(types)
        query = f"SELECT max(seq) FROM events WHERE type IN ({_marks(type_list)}) AND revision = ?"
        seq: int | None = self._db.execute(query, (*type_list, revision)).fetchone()[0]
        return seq

    def fields(
        self, type: str, *paths: tuple[str | int, ...], after_seq: int = 0, to_seq: int = _NEWEST,
        newest_first: bool = False,
    ) -> Iterator[tuple[Any, ...]]:  # fmt: skip
        """(time, step, branch, *values) of every event of a type, oldest first unless asked otherwise.

        SQLite takes the values out of the data, at a fraction of the cost of decoding whole events. A path is the keys
        and indices from the outside in; a number or a text comes as it is, true as "true", anything else as None.
        """
        places = ["$" + "".join(f"[{key}]" if isinstance(key, int) else f'."{key}"' for key in path) for path in paths]
        value = (
            ", CASE json_type(data, ?) WHEN 'true' THEN 'true' WHEN 'false' THEN NULL WHEN 'array' THEN NULL"
            " WHEN 'object' THEN NULL ELSE json_extract(data, ?) END"
        )
        return self._db.execute(
            f"SELECT time, step, branch{value * len(places)} FROM events"
            f" WHERE type = ? AND seq > ? AND seq <= ? ORDER BY seq{' DESC' if newest_first else ''}",
            (*(place for place in places for _ in range(2)), type, after_seq, to_seq),
        )

    def newest_changes(self, types: Iterable[str], *, to_seq: int = _NEWEST) -> dict[str, int]:
        """Key -> the newest event of these types, up to `to_seq`, with a change of it in `changes`."""
        type_list = sorted(types)
        rows = self._db.execute(
            "SELECT json_extract(c.value, '$.key'), max(e.seq) FROM events e, json_each(e.data, '$.changes') c"
            f" WHERE e.type IN ({_marks(type_list)}) AND e.seq <= ? GROUP BY 1",
            (*type_list, to_seq),
        )
        return {str(key): seq for key, seq in rows}

    def head(self) -> tuple[int, str]:
        """(sequence number, hash) of the newest event; (0, the run's genesis hash) before the first."""
        row = self._db.execute("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        return (row[0], row[1]) if row else (0, genesis(self.run_id))

    def verify(self, anchors: Iterable[tuple[str, int, str]] = ()) -> ChainCheck:
        try:
            rows = self._db.execute(f"SELECT {_COLUMNS} FROM events ORDER BY seq")
            return verify_chain(map(StoredEvent._make, rows), self.run_id, anchors, recorded_head=self.meta("head"))
        except (sqlite3.Error, ValueError, TypeError) as error:
            return ChainCheck(False, 0, "", None, f"the record cannot be read: {error}".removesuffix("."))

    # ---- signatures
    def signatures(self, *, to_seq: int | None = None) -> dict[int, bytes]:
        """The signatures of the events up to `to_seq`, by sequence number; {} for a run that is not signed."""
        if not self._has_signatures():
            return {}
        rows = self._db.execute("SELECT seq, signature FROM signatures WHERE ?1 IS NULL OR seq <= ?1", (to_seq,))
        return dict(rows)

    def first_unsigned(self, verifier: Verifier) -> tuple[int, str] | None:
        """(seq, what is wrong) of the first event that `verifier`'s key did not sign; None if it signed all."""
        table = "signatures" if self._has_signatures() else "(SELECT 0 AS seq, NULL AS signature)"
        rows = self._db.execute(
            f"SELECT e.seq, e.type, e.hash, s.signature FROM events e LEFT JOIN {table} s ON s.seq = e.seq ORDER BY e.seq"
        )
        for seq, type, hash, signature in rows:
            if signature is None:
                return seq, f"event {seq} ({type}) is not signed"
            if not isinstance(signature, bytes) or not verifier.holds_event(signature, self.run_id, seq, hash):
                return seq, f"key {short(verifier.public_key)} did not sign event {seq} ({type})"
        return None

    def _has_signatures(self) -> bool:
        return self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'signatures'").fetchone() is not None

    # ---- metrics
    def metrics(self, *, after_id: int = 0, limit: int = -1) -> list[MetricRow]:
        """Rows in the order of writing, for uploads."""
        rows = self._db.execute(
            "SELECT m.id, k.key, m.branch, m.step, m.time, m.value FROM metrics m JOIN metric_keys k ON k.id = m.key_id"
            " WHERE m.id > ? ORDER BY m.id LIMIT ?",
            (after_id, limit),
        )
        return [_metric(self._db, row) for row in rows]

    def series(
        self, key: str, *, branch: int | None = None, from_step: int = 0, to_step: int | None = None
    ) -> list[MetricRow]:
        """All rows of one metric, ordered by branch and step."""
        where, values = "k.key = ? AND m.step >= ?", list[str | int]((key, from_step))
        for condition, value in (("m.step <= ?", to_step), ("m.branch = ?", branch)):
            if value is not None:  # an optional condition in SQL would keep SQLite from using the index
                where, values = f"{where} AND {condition}", [*values, value]
        rows = self._db.execute(
            "SELECT m.id, k.key, m.branch, m.step, m.time, m.value FROM metrics m JOIN metric_keys k ON k.id = m.key_id"
            f" WHERE {where} ORDER BY m.branch, m.step",
            values,
        )
        return [_metric(self._db, row) for row in rows]

    def latest(self, prefix: str = "") -> dict[str, MetricRow]:
        """The newest row (by order of writing) of every metric whose key starts with `prefix`."""
        rows: dict[str, MetricRow] = {}
        keys = self._db.execute("SELECT id, key FROM metric_keys WHERE substr(key, 1, ?) = ?", (len(prefix), prefix))
        for key_id, key in keys.fetchall():
            row = self._db.execute(
                "SELECT id, ?, branch, step, time, value FROM metrics WHERE key_id = ?"
                " ORDER BY branch DESC, step DESC LIMIT 1",
                (key, key_id),
            ).fetchone()
            if row:
                rows[key] = _metric(self._db, row)
        return rows

    def metric_keys(self) -> list[str]:
        return [row[0] for row in self._db.execute("SELECT key FROM metric_keys ORDER BY key")]

    def newest_metric_id(self) -> int:
        return int(self._db.execute("SELECT coalesce(max(id), 0) FROM metrics").fetchone()[0])

    def oldest_time_after(self, *, metric_id: int, event_seq: int) -> float | None:
        """When the oldest row after both marks was written, for the age of a backlog; None if there is none."""
        row = self._db.execute(
            "SELECT min(t) FROM (SELECT (SELECT time FROM metrics WHERE id > ? ORDER BY id LIMIT 1) AS t UNION ALL"
            " SELECT (SELECT time FROM events WHERE seq > ? ORDER BY seq LIMIT 1))",
            (metric_id, event_seq),
        ).fetchone()
        return row[0]

    def data_version(self) -> int:
        """Changes whenever another connection has written; costs about 2 µs."""
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])


def events_in(
    db: StoreConnection, *, after_seq: int = 0, types: Iterable[str] | None = None, limit: int = -1
) -> Iterator[Event]:
    """The events of an open run.db, oldest first."""
    values: list[str | int]
    if types is None:
        where, values = "seq > ?", [after_seq]
    else:
        type_list = sorted(types)
        where, values = _OF_TYPES.format(marks=_marks(type_list)), [*type_list, after_seq]
    rows = db.execute(f"SELECT {_COLUMNS} FROM events WHERE {where} ORDER BY seq LIMIT ?", (*values, limit))
    return (_event(db, row) for row in rows)


_OF_TYPES = "seq IN (SELECT seq FROM events WHERE type IN ({marks}) AND seq > ?)"
"""Reads the index for the numbers first: without it, SQLite would sort whole events."""


def _marks(values: Sequence[str]) -> str:
    return ",".join("?" * len(values))


def _event(db: StoreConnection, row: tuple[Any, ...]) -> Event:
    if not (isinstance(row[2], int) and isinstance(row[3], int) and isinstance(row[5], int)):
        raise db.damaged(f"event {row[0]} has no step, branch or revision")
    return Event(
        seq=row[0], time=row[1], step=row[2], branch=row[3], type=row[4], revision=row[5], origin=row[6], author=row[7],
        reason=row[8], data=db.parsed(row[9], kind=dict), hash=row[10],
    )  # fmt: skip


def _metric(db: StoreConnection, row: tuple[Any, ...]) -> MetricRow:
    id_, key, branch, step, at, value = row
    if isinstance(value, (str, bytes)) or not isinstance(step, int):
        raise db.damaged(f"metric row {id_} is not a number at a step")
    return MetricRow(id_, key, branch, step, at, float("nan") if value is None else value)
