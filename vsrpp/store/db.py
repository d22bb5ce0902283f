"""Opens SQLite files with the settings that all parts of the store need, and says what is wrong with a damaged one.

Every connection of the store is a `StoreConnection`, so that no method of the store lets a bare error of a damaged file
through.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from vsrpp.errors import VsrppError
from vsrpp.store import messages
from vsrpp.store.faults import StoreDamaged

NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "9p", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "fuse.sshfs"}
)
BUSY_TIMEOUT_S = 30.0


def file_system_of(path: Path, mounts: Path = Path("/proc/mounts")) -> str:
    """Type of the file system that contains `path`, as in /proc/mounts; "" if unknown."""
    try:
        rows = [line.split() for line in mounts.read_text().splitlines()]
    except OSError:
        return ""
    target = str(path.resolve())
    best, kind = "", ""
    for row in rows:
        if len(row) < 3:
            continue
        mount = row[1].replace("\\040", " ")
        inside = mount == "/" or target == mount or target.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, row[2]
    return kind


def on_network_file_system(path: Path) -> bool:
    """Whether `path` is on a network file system, where WAL is unsafe because it needs memory shared by one host."""
    return file_system_of(path) in NETWORK_FILE_SYSTEMS


_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})
_CUT_OFF = sqlite3.SQLITE_IOERR_SHORT_READ
_DAMAGED = {"inbox.db": messages.INBOX_DAMAGED, "delivery.db": messages.DELIVERY_DAMAGED}
"""By the file's name; every other is a record."""


class StoreConnection(sqlite3.Connection):
    """A connection whose errors from a damaged file are VsrppErrors that name the file and the way out.

    A read-only one also translates all other errors; a writer's stay SQLite's own, because the writer waits some out.
    """

    path: Path
    readonly: bool
    patience_s = 0.0
    """How long closing waits for others that are reading at this moment."""

    def cursor(self, *_: Any) -> Any:
        return super().cursor(_StoreCursor)

    def execute(self, *args: Any) -> Any:
        return self.cursor().execute(*args)

    def executemany(self, *args: Any) -> Any:
        return self.cursor().executemany(*args)

    def executescript(self, *args: Any) -> Any:
        return self.cursor().executescript(*args)

    def close(self) -> None:
        """A writer leaves everything in the one file, unless another connection is reading at this moment."""
        if not self.readonly:
            with contextlib.suppress(sqlite3.Error):
                super().execute(f"PRAGMA busy_timeout={round(1000 * self.patience_s)}")
                super().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        super().close()

    def damaged(self, why: object) -> StoreDamaged:
        """The error for a damaged file, to raise."""
        reason = _DAMAGED.get(self.path.name, messages.RECORD_DAMAGED)
        folder = self.path.absolute().parent
        return cast("StoreDamaged", reason(path=str(self.path), folder=str(folder), why=str(why)))

    def parsed(self, text: Any, *, kind: type = object) -> Any:
        """The value in a JSON text of the file. Raises StoreDamaged if it is none, or not of the `kind`."""
        try:
            value = json.loads(text)
        except (ValueError, TypeError, RecursionError) as error:
            raise self.damaged(f"not JSON: {error}") from None
        if not isinstance(value, kind):
            raise self.damaged(f"{type(value).__name__} instead of {kind.__name__}")
        return value

    def translated(self, error: sqlite3.Error) -> sqlite3.Error:
        """The error to raise for one of SQLite's."""
        code = getattr(error, "sqlite_errorcode", None)
        undecodable = isinstance(error, sqlite3.OperationalError) and code is None
        if code is not None and (code & 0xFF in _DAMAGE or code == _CUT_OFF):
            return self.damaged(error)
        if undecodable and "UTF-8" in str(error):
            return self.damaged(error)
        if not self.readonly:
            return error
        if code == sqlite3.SQLITE_ERROR and self.path.name not in _DAMAGED:  # no such table
            folder = self.path.absolute().parent
            return cast(
                "sqlite3.Error", messages.RECORD_INCOMPLETE(path=str(self.path), folder=str(folder), why=str(error))
            )
        return cast("sqlite3.Error", messages.STORE_UNREADABLE(path=str(self.path), why=str(error)))


class _StoreCursor(sqlite3.Cursor):
    """Translates what reading raises; rows are fetched by SQLite's own code, so that a row costs no more."""

    connection: StoreConnection

    def execute(self, *args: Any) -> Any:
        return self._translating(super().execute, *args)

    def executemany(self, *args: Any) -> Any:
        return self._translating(super().executemany, *args)

    def executescript(self, *args: Any) -> Any:
        return self._translating(super().executescript, *args)

    def fetchone(self) -> Any:
        return self._translating(super().fetchone)

    def fetchmany(self, *args: Any, **kwargs: Any) -> Any:
        return self._translating(super().fetchmany, *args, **kwargs)

    def fetchall(self) -> Any:
        return self._translating(super().fetchall)

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        next_row = super().fetchone
        try:
            yield from iter(next_row, None)
        except sqlite3.Error as error:
            raise self.connection.translated(error) from error

    def _translating(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return call(*args, **kwargs)
        except sqlite3.Error as error:
            translated = self.connection.translated(error)
            if translated is error:
                raise
            raise translated from error


def _connect(path: Path, database: str, *, readonly: bool) -> StoreConnection:
    db = sqlite3.connect(
        database, uri=readonly, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False,
        factory=StoreConnection,
    )  # fmt: skip
    db.path, db.readonly = path, readonly
    return db


def connect_writer(path: Path, script: str) -> StoreConnection:
    """Open `path` for writing, creating the file and its tables; in autocommit mode, so that transactions are explicit.

    Uses WAL on a local disk; on a network file system a rollback journal with full sync, which is slower but safe.
    Raises VsrppError if the file cannot be opened, and StoreDamaged if it is not a database.
    """
    try:
        db = _connect(path, str(path), readonly=False)
        try:
            if on_network_file_system(path.parent):
                db.execute("PRAGMA journal_mode=DELETE")
                db.execute("PRAGMA synchronous=FULL")
            else:
                db.execute("PRAGMA journal_mode=WAL")
                db.execute("PRAGMA synchronous=NORMAL")
            db.executescript(script)
        except BaseException:
            db.close()
            raise
    except VsrppError:
        raise
    except sqlite3.Error as error:
        raise messages.STORE_UNOPENED(path=str(path), why=str(error)) from error
    return db


def connect_reader(path: Path) -> StoreConnection:
    """Open `path` read-only. Raises NotFound if it does not exist, VsrppError if it cannot be read."""
    if not path.is_file():
        raise messages.NO_STORE(path=str(path))
    try:
        db = _connect(path, f"{path.resolve().as_uri()}?mode=ro", readonly=True)
        db.execute("PRAGMA query_only=ON")
    except VsrppError:
        raise
    except sqlite3.Error as error:
        raise messages.STORE_UNREADABLE(path=str(path), why=str(error)) from error
    return db


def copy_database(path: Path, target: Path) -> None:
    """A consistent copy of a database, which may be in use, as one file at `target`, which must not exist.

    Raises NotFound, StoreDamaged, or sqlite3.Error if the copy cannot be written.
    """
    source = connect_reader(path)
    try:
        copy = sqlite3.connect(target)
        try:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
        finally:
            copy.close()
    except sqlite3.DatabaseError as error:
        raise source.translated(error) from error
    finally:
        source.close()


def into_one_file(*paths: Path) -> None:
    """Move what is in the write-ahead logs of these databases into the files themselves: the last act of a process.

    A run's record is then one file, whichever of its processes ends last; read-only ones cannot do this. Skips a file
    that does not exist, cannot be opened, or is in use for longer than a second.
    """
    for path in paths:
        if path.is_file():
            with contextlib.suppress(sqlite3.Error):
                db = _connect(path, str(path), readonly=False)
                db.patience_s = 1.0
                db.close()


def set_aside_if_damaged(path: Path) -> Path | None:
    """Rename a damaged database, so that a new one takes its place; returns its new path, or None if it is not damaged.

    For inbox.db and delivery.db, without which a run can continue. Call it while no other process uses the file.
    """
    if not path.is_file() or not path.stat().st_size or not _is_damaged(path):
        return None
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged{'' if number == 1 else f'-{number}'}")).exists():
        number += 1
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return aside


def _is_damaged(path: Path) -> bool:
    db = connect_reader(path)
    try:
        return bool(db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",))
    except StoreDamaged:
        return True
    except sqlite3.Error:  # locked, or without tables yet
        return False
    finally:
        db.close()


def is_locked(error: Exception) -> bool:
    """Whether SQLite gave up because another connection holds the file."""
    return "locked" in str(error) or "busy" in str(error)
