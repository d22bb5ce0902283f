"""Reads small files that a person or another program named: whole, bounded, and never a pipe or a device."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

LARGEST = 16 * 2**20
"""Bytes; no document of VSR++ comes near."""


class NotPlain(OSError):
    """Not a regular file: a folder, a pipe or a device."""


class TooLarge(OSError):
    """More bytes than such a file can have."""

    def __init__(self, path: Path, size: int, limit: int) -> None:
        super().__init__(errno.EFBIG, f"it has {size:,} bytes; at most {limit:,} are read", str(path))
        self.size = size


def read_small(path: Path, limit: int = LARGEST) -> bytes:
    """The bytes of a regular file. Raises OSError: NotPlain, TooLarge, or the system's own.

    Opening does not wait for the other end of a pipe, and reading ends at the limit, even if the file grows meanwhile.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise NotPlain(errno.EINVAL, "it is not a regular file", str(path))
        if about.st_size > limit:
            raise TooLarge(path, about.st_size, limit)
        with os.fdopen(handle, "rb", closefd=False) as file:
            content = file.read(limit + 1)
    finally:
        os.close(handle)
    if len(content) > limit:
        raise TooLarge(path, len(content), limit)
    return content
