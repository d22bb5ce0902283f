"""Opens files and makes folders that other accounts of the host must not read or replace."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import IO

_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


def private_file(path: str, flags: int) -> int:
    """An `opener` for `open`: a new file is for its owner alone, and a link is not followed (OSError)."""
    return os.open(path, flags | _NO_LINK, 0o600)


def replace_private(file: Path, text: str) -> None:
    """Put a file with this text at the path at once, for its owner alone. Raises OSError, and then leaves no draft."""
    draft = file.with_name(f".{file.name}-{secrets.token_hex(6)}")
    try:
        with open(draft, "x", encoding="utf-8", opener=private_file) as out:
            out.write(text)
        draft.replace(file)
    except OSError:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def open_no_link(path: Path, flags: int) -> int:
    """The descriptor of a file that must not be a link (OSError); a new one has the mode that the umask leaves."""
    return os.open(path, flags | _NO_LINK, 0o666)


def open_lock(path: Path) -> IO[str]:
    """Open a lock file, creating it if needed; its content stays. Raises OSError for a link."""
    descriptor = open_no_link(path, os.O_RDWR | os.O_CREAT)
    return os.fdopen(descriptor, "r+", encoding="utf-8", errors="replace")


def make_folder(folder: Path, *, shared: bool = False) -> None:
    """Make the folder of a new run: for its owner alone, or, if `shared`, with the mode that the umask leaves.

    An existing folder and its mode stay; missing parents are made as usual.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(mode=0o777 if shared else 0o700)
    except FileExistsError:
        if not folder.is_dir():
            raise
