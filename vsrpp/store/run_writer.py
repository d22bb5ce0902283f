"""Writing run.db: the trainer's handle, which keeps in memory what cannot be written now."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vsrpp.paths import RunPaths
from vsrpp.safe_text import redact_data, redact_text
from vsrpp.store import messages
from vsrpp.store.chain import link
from vsrpp.store.db import connect_writer
from vsrpp.store.environment import environment_fault
from vsrpp.store.events import EVENT_TYPES, Event, canonical, jsonable
from vsrpp.store.run_reader import STORE_VERSION, RunReader
from vsrpp.store.signing import Signer
from vsrpp.store.state_file import StateFile

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
LOCKED_S = 0.25
"""How long one write of the trainer waits for a lock: steps go on meanwhile, and it tries again."""
RETRY_S = 1.0
"""Time between two tries, in the middle of a step, to write a record that could not be written."""


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
