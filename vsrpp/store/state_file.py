"""trainer_state: the trainer's state while run.db cannot be written. Its blocks are allocated at the start, so that it
needs no room on a full disk."""

from __future__ import annotations

import contextlib
import json
import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SIZE = 4096
_HEAD = struct.Struct("<II")
"""Length and CRC-32 of the JSON that follows; a length of 0 says that run.db has the state."""
_TRIES = 5


class StateFile:
    """The trainer's handle: one block, written in place by a single call, empty at first."""

    def __init__(self, path: Path) -> None:
        """A file that cannot be created is done without: nothing is published then."""
        self._fd: int | None = None
        with contextlib.suppress(OSError):
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        if self.put(None) and self._fd is not None:
            with contextlib.suppress(OSError):
                os.fsync(self._fd)

    def put(self, data: Mapping[str, Any] | None) -> bool:
        """Publish a state, or none; False if the file cannot be written, for example on a read-only file system."""
        text = b"" if data is None else json.dumps(data, ensure_ascii=False).encode()
        if self._fd is None or len(text) > SIZE - _HEAD.size:
            return False
        try:
            return os.pwrite(self._fd, (_HEAD.pack(len(text), zlib.crc32(text)) + text).ljust(SIZE, b"\0"), 0) == SIZE
        except OSError:
            return False

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def read_state_file(path: Path) -> dict[str, Any]:
    """The state in the file; {} if it has none, does not exist (runs of older versions), or is not readable."""
    for _ in range(_TRIES):
        try:
            with path.open("rb") as file:
                block = file.read(SIZE)
        except OSError:
            return {}
        if len(block) < SIZE:
            return {}
        length, checksum = _HEAD.unpack_from(block)
        text = block[_HEAD.size : _HEAD.size + length]
        if not length:
            return {}
        if length == len(text) and zlib.crc32(text) == checksum:
            with contextlib.suppress(ValueError):
                data = json.loads(text)
                return data if isinstance(data, dict) else {}
    return {}
