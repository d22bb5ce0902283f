"""run.db: the run's record. One writer (the trainer), any number of readers."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsrpp.paths import RunPaths
from vsrpp.safe_text import redact_data, redact_text
from vsrpp.store import messages
from vsrpp.store.chain import ChainCheck, genesis, link, verify_chain
from vsrpp.store.db import StoreConnection, connect_reader, connect_writer
from vsrpp.store.environment import environment_fault
from vsrpp.store.events import EVENT_TYPES, Event, StoredEvent, canonical, jsonable
from vsrpp.store.signing import Signer, Verifier, short
from vsrpp.store.state_file import StateFile, read_state_file

if TYPE_CHECKING:
    from typing_extensions import Self

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY, time REAL NOT NULL, step INTEGER NOT NULL, branch INTEGER NOT NULL, type TEXT NOT NULL,
    revision INTEGER NOT NULL, origin TEXT, author TEXT, reason TEXT, data TEXT NOT NULL, hash TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS events_type ON events (type, step);
CREATE INDEX IF NOT EXISTS events_newest ON events (type);
CREATE TABLE IF NOT EXISTS metric_keys (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS metrics (
    id INTEGER PRIMARY KEY, key_id INTEGER NOT NULL, branch INTEGER NOT NULL, step INTEGER NOT NULL,
    time REAL NOT NULL, value REAL, UNIQUE (key_id, branch, step));
CREATE TABLE IF NOT EXISTS state (id INTEGER PRIMARY KEY CHECK (id = 1), time REAL NOT NULL, data TEXT NOT NULL);
"""
SIGNATURES = "CREATE TABLE IF NOT EXISTS signatures (seq INTEGER PRIMARY KEY, signature BLOB NOT NULL)"
"""Only in signed runs."""
_TO_THE_LETTER = frozenset({"run_config", "config", "plugin_sources"})
STORE_VERSION = 1
"""The layout of a run folder's databases, in `meta` of run.db. A store without one is of version 1."""
LOCKED_S = 0.25
"""How long one write of the trainer waits for a lock: steps go on meanwhile, and it tries again."""
RETRY_S = 1.0
"""Time between two tries, in the middle of a step, to write a record that could not be written."""
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


@dataclass(frozen=True, slots=True)
class _Rows:
    """The metrics of one step, still to be written."""

    step: int
    branch: int
    time: float
    values: dict[str, float]
    replace: bool


@dataclass(frozen=True, slots=True)
class Unwritten:
    """How much of the record is in memory only."""

    events: int
    rows: int


class RunWriter(RunReader):
    """The trainer's handle, used from one thread. The run folder's lock prevents a second writer.

    Records are written in order. While the environment prevents that (a full disk, a lock), they wait in memory, and
    everything read here includes them, if `waits` is set; otherwise it is raised.
    """

    def __init__(self, path: Path, run_id: str | None = None, *, signer: Signer | None = None) -> None:
        """Open run.db, creating it if `run_id` is given. With `signer`, every event is signed.

        Raises VsrppError if it contains no run or another one, and Refused if a newer VSR++ wrote it.
        """
        self.path = path
        self.waits = False
        """Whether a record that cannot be written now waits, so that its writer must `flush`, rather than raises."""
        self.fault: str | None = None
        """Why the oldest unwritten record could not be written at the last try; None without any."""
        self._unwritten: deque[Event | _Rows] = deque()
        self._tried_at = 0.0
        check_writable(path)
        self._db = connect_writer(path, SCHEMA)
        self._db.execute(f"PRAGMA busy_timeout = {int(1000 * LOCKED_S)}")
        self._file = _identity(path)
        self._state_file = StateFile(RunPaths(path.parent).trainer_state)
        self._key_ids: dict[str, int] = {key: id_ for id_, key in self._db.execute("SELECT id, key FROM metric_keys")}
        if self.meta("run_id") is None:
            if run_id is None:
                raise messages.STORE_EMPTY(path=str(path))
            self.set_meta("run_id", run_id)
            self.set_meta("store_version", STORE_VERSION)
        self.signer = signer
        self._signing_for = self.run_id
        if signer is not None:
            self._db.execute(SIGNATURES)
        self._head = super().head()

    def close(self) -> None:
        self._state_file.close()
        super().close()

    def put_signatures(self, signatures: Mapping[int, bytes]) -> None:
        """Store signatures made elsewhere, of events that are already here."""
        if signatures:
            self._db.execute(SIGNATURES)
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT OR REPLACE INTO signatures VALUES (?, ?)", signatures.items())
            self._db.execute("COMMIT")

    def set_meta(self, key: str, value: Any) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, canonical(jsonable(value))))

    # ---- reading, with what is not written yet
    def events(self, *, after_seq: int = 0, types: Iterable[str] | None = None, limit: int = -1) -> Iterator[Event]:
        chosen = None if types is None else frozenset(types)
        written = super().events(after_seq=after_seq, types=chosen, limit=limit)
        waiting = [
            event
            for event in self._unwritten
            if isinstance(event, Event) and event.seq > after_seq and (chosen is None or event.type in chosen)
        ]
        return itertools.islice(itertools.chain(written, waiting), limit if limit >= 0 else None)

    def last_event(self, *types: str) -> Event | None:
        waiting = (event for event in reversed(self._unwritten) if isinstance(event, Event) and event.type in types)
        return next(waiting, None) or super().last_event(*types)

    def head(self) -> tuple[int, str]:
        return self._head

    # ---- writing
    def append(
        self, type: str, *, step: int, branch: int, revision: int, origin: str | None = None, author: str | None = None,
        reason: str | None = None, data: Mapping[str, Any] | None = None, at: float | None = None,
    ) -> Event:  # fmt: skip
        """Commit one event with full sync: after the return it survives a power failure, unless it is `unwritten`.

        Its reason and data keep of an address what is public. A config and the source of a plug-in are recorded as they
        are: a replay needs them to the letter.
        """
        assert type in EVENT_TYPES, type
        reason = None if reason is None else redact_text(reason)
        public = {key: value if key in _TO_THE_LETTER else redact_data(value) for key, value in (data or {}).items()}
        seq, previous = self._head
        event = Event(
            seq=seq + 1, time=time.time() if at is None else at, step=step, branch=branch, type=type, revision=revision,
            origin=origin, author=author, reason=reason, data=jsonable(public), hash="",
        )  # fmt: skip
        event = replace(event, hash=link(previous, event))
        self._put(event)
        return event

    def record(
        self, step: int, branch: int, values: Mapping[str, float], *, at: float | None = None, replace: bool = False
    ) -> None:
        """Write the metrics of one step in one transaction.

        An existing row is kept; with `replace`, a different value replaces it under a new id, so that it is uploaded
        again.
        """
        self._put(_Rows(step, branch, time.time() if at is None else at, dict(values), replace))

    @property
    def unwritten(self) -> Unwritten | None:
        """What is in memory only; None if the record is durable."""
        if not self._unwritten:
            return None
        events = sum(isinstance(item, Event) for item in self._unwritten)
        return Unwritten(events, len(self._unwritten) - events)

    @property
    def durable_seq(self) -> int:
        """The newest event that is on disk."""
        first = next((item.seq for item in self._unwritten if isinstance(item, Event)), None)
        return self._head[0] if first is None else first - 1

    def flush(self) -> str | None:
        """Try to write what is unwritten, oldest first; returns why that is not possible now, None when it is done.

        Raises what is no fault of the environment; nothing is unwritten then.
        """
        while self._unwritten:
            try:
                self._write(self._unwritten[0])
            except (sqlite3.Error, OSError) as error:
                self.fault, self._tried_at = environment_fault(error), time.monotonic()
                if self.fault is None:
                    self._forget()
                    raise
                return self.fault
            self._unwritten.popleft()
        if self.fault is not None:
            self.fault, self._tried_at = None, 0.0
        return None

    @property
    def moved(self) -> bool:
        """Whether run.db is no longer at its path: somebody moved, removed or replaced it, or its file system is gone."""
        return _identity(self.path) != self._file

    def _put(self, item: Event | _Rows) -> None:
        if isinstance(item, Event):
            self._head = (item.seq, item.hash)
        self._unwritten.append(item)
        if self.fault is not None and time.monotonic() - self._tried_at < RETRY_S:
            return
        why = self.flush()
        if why is not None and not self.waits:
            self._forget()
            raise messages.RECORD_UNWRITTEN(path=str(self.path), why=why)

    def _forget(self) -> None:
        self._unwritten.clear()
        self.fault = None
        self._head = super().head()

    def _write(self, item: Event | _Rows) -> None:
        if isinstance(item, Event):
            self._write_event(item)
        else:
            self._write_rows(item)

    def _write_event(self, event: Event) -> None:
        self._db.execute("PRAGMA synchronous=FULL")
        try:
            with self._transaction():
                self._db.execute(
                    "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (event.seq, event.time, event.step, event.branch, event.type, event.revision, event.origin,
                     event.author, event.reason, canonical(event.data), event.hash),
                )  # fmt: skip
                if self.signer is not None:
                    signature = self.signer.of_event(self._signing_for, event.seq, event.hash)
                    self._db.execute("INSERT INTO signatures VALUES (?, ?)", (event.seq, signature))
                self._db.execute("INSERT OR REPLACE INTO meta VALUES ('head', ?)", (str(event.seq),))
        except sqlite3.IntegrityError:
            if super().head() != (event.seq, event.hash):  # else a try that reported a failure had written it
                raise
        finally:
            self._db.execute("PRAGMA synchronous=NORMAL")

    def _write_rows(self, rows: _Rows) -> None:
        clause = (
            "INSERT OR REPLACE INTO metrics (key_id, branch, step, time, value) SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT EXISTS"
            " (SELECT 1 FROM metrics WHERE key_id = ?1 AND branch = ?2 AND step = ?3 AND value IS ?5)"
            if rows.replace
            else "INSERT INTO metrics (key_id, branch, step, time, value) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (key_id, branch, step) DO NOTHING"
        )
        known = dict(self._key_ids)
        try:
            with self._transaction():
                values = [
                    (self._key_id(key), rows.branch, rows.step, rows.time, value) for key, value in rows.values.items()
                ]
                self._db.executemany(clause, values)
        except BaseException:
            self._key_ids = known
            raise

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # SQLite itself rolls back when the disk is full
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
            raise

    def set_state(self, data: Mapping[str, Any], *, at: float | None = None) -> bool:
        """Replace the trainer's published state; cheap (no sync), meant for at most a few times a second.

        False if the environment prevents it, or did so within the last second; nothing depends on it.
        """
        now = time.time() if at is None else at
        if self.waits and self._tried_at and time.monotonic() - self._tried_at < RETRY_S:
            return False
        try:
            self._db.execute("INSERT OR REPLACE INTO state VALUES (1, ?, ?)", (now, canonical(jsonable(dict(data)))))
        except sqlite3.Error as error:
            if not self.waits or environment_fault(error) is None:
                raise
            self._tried_at = time.monotonic()
            return False
        return True

    def set_state_aside(self, data: Mapping[str, Any] | None) -> bool:
        """Publish a state in `trainer_state`, which needs no room, until None says that run.db has it again.

        False if that file cannot be written either.
        """
        return self._state_file.put(None if data is None else {**jsonable(dict(data)), "time": time.time()})

    def _key_id(self, key: str) -> int:
        key_id = self._key_ids.get(key)
        if key_id is None:
            cursor = self._db.execute("INSERT INTO metric_keys (key) VALUES (?)", (key,))
            key_id = self._key_ids[key] = int(cursor.lastrowid or 0)
        return key_id


def _identity(path: Path) -> tuple[int, int] | None:
    """(device, inode) of the file at a path; None if there is none."""
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_dev, about.st_ino


def check_writable(path: Path) -> None:
    """Raises Refused if a newer VSR++ wrote the run.db at `path`; a missing or empty one may be written."""
    if path.is_file() and path.stat().st_size:
        with RunReader(path) as reader, contextlib.suppress(sqlite3.OperationalError):  # no tables yet
            reader.check_writable()


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
