"""Faults of the environment: a full, locked, read-only or failing disk. They pass; the run that meets one is sound."""

from __future__ import annotations

import errno
import sqlite3

_SQLITE = {
    5: ("locked", "busy"), 6: ("locked",), 8: ("readonly", "read-only"), 10: ("disk i/o error",), 13: ("full",),
    14: ("unable to open",),
}  # fmt: skip
"""SQLite's primary result codes (BUSY, LOCKED, READONLY, IOERR, FULL, CANTOPEN) and, for Python 3.10, which does not pass
them on, the words of their messages."""
_ERRNO = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG, errno.ESTALE, errno.EBUSY, errno.ENODEV}
)


def environment_fault(error: BaseException) -> str | None:
    """What is wrong with the environment, in the system's words; None if the error is of another kind."""
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", None)
        if code is None:
            text = str(error).lower()
            is_fault = any(word in text for words in _SQLITE.values() for word in words)
        else:
            is_fault = code & 0xFF in _SQLITE
        return str(error) if is_fault else None
    if isinstance(error, OSError) and error.errno in _ERRNO:
        return str(error)
    return None
