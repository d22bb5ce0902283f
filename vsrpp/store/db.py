"""Opens SQLite files with the settings that all parts of the store need."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from vsrpp.store import messages

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


def connect_writer(path: Path, script: str) -> sqlite3.Connection:
    """Open `path` for writing, creating the file and its tables; in autocommit mode, so that transactions are explicit.

    Uses WAL on a local disk; on a network file system a rollback journal with full sync, which is slower but safe.
    Raises VsrppError if the file cannot be opened or is not a database.
    """
    try:
        db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        if on_network_file_system(path.parent):
            db.execute("PRAGMA journal_mode=DELETE")
            db.execute("PRAGMA synchronous=FULL")
        else:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
        db.executescript(script)
    except sqlite3.Error as error:
        raise messages.STORE_UNOPENED(path=str(path), why=str(error)) from error
    return db


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open `path` read-only. Raises NotFound if it does not exist, VsrppError if it cannot be read."""
    if not path.is_file():
        raise messages.NO_STORE(path=str(path))
    try:
        db = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None,
            check_same_thread=False,
        )  # fmt: skip
        db.execute("PRAGMA query_only=ON")
    except sqlite3.Error as error:
        raise messages.STORE_UNREADABLE(path=str(path), why=str(error)) from error
    return db


def is_locked(error: sqlite3.Error) -> bool:
    """Whether SQLite gave up because another connection holds the file."""
    return "locked" in str(error) or "busy" in str(error)
