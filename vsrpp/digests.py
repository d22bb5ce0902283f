"""The SHA-256 of a file, read piece by piece."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import IO

_CHUNK_BYTES = 1 << 20


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return rest_sha256(file)


def rest_sha256(file: IO[bytes]) -> str:
    """The SHA-256 of what an open file still has to read, in hex."""
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()
