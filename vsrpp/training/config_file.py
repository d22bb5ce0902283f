"""runtime_config.json as an input: detects a save, reads it complete, and writes it back without losing an edit.

Editors may truncate before they write, write twice within one clock tick, or replace the file; all of these are
handled. The three-way merge of a save is in `vsrpp.training.live_config`.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import pwd
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vsrpp.errors import VsrppError
from vsrpp.smallfiles import NotPlain, TooLarge, read_small
from vsrpp.training import messages

MAX_BYTES = 1024 * 1024
TORN_GRACE_S = 2.0
"""How long a file that does not parse is read again before it is rejected: an editor may still be writing."""
SETTLE_S = 0.05
"""A second save within one tick of the file system's clock changes only the content, so the file is read again until a
reading is later than this."""

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_FINAL = frozenset({messages.FILE_NOT_REGULAR.code, messages.FILE_TOO_LARGE.code})
"""Problems of a file that waiting cannot mend."""


@dataclass(frozen=True, slots=True)
class Save:
    """A complete save of the file, or a rejected one (`error` gives the reason)."""

    values: dict[str, Any]
    author: str | None
    error: VsrppError | None = None


class RuntimeConfigFile:
    """Watches one file; each check costs one `stat` (about 1 µs)."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._clock = clock
        self._seen: tuple[int, ...] | None = None
        self._content = b""
        self._settle_until: float | None = None
        """Until then, a save may be visible only in the content; None once a later reading was made."""
        self._torn_since: float | None = None
        self._slipped: list[Path] = []

    def look(self) -> Save | None:
        """The next unread save, or None. One that does not parse is retried for `TORN_GRACE_S`, then an error."""
        if self._slipped:
            return self._take_slipped()
        signature = _signature(self.path)
        if signature == self._seen:
            if self._torn_since is None and self._settle_until is None:
                return None
            if self._settle_until is not None and self._clock() > self._settle_until:
                self._settle_until = None  # this reading is late enough
        return self._read(self.path, signature)

    def accept(self) -> None:
        """Treat the file's current content as known, not as an edit."""
        self._seen = _signature(self.path)
        self._content = _content(self.path)
        self._torn_since = None

    def write(self, text: str) -> None:
        """Replace the file atomically, or in place if it is a mount point, as in a container.

        A save made since the last check is kept for the next `look`. Raises OSError, and then leaves the file alone.
        """
        fresh = self.path.with_name(f".{self.path.name}.{os.getpid()}.new")
        try:
            written = self._replace(fresh, text)
        except OSError:
            with contextlib.suppress(OSError):
                fresh.unlink()
            raise
        self._seen, self._content, self._torn_since = written, text.encode(), None
        self._settle_until = self._clock() + SETTLE_S

    def _replace(self, fresh: Path, text: str) -> tuple[int, ...] | None:
        """The signature of the file as written."""
        fresh.write_text(text, encoding="utf-8")
        before, written = self._seen, _signature(fresh)  # unchanged by a rename, so that a later save differs
        if self.path.exists() and exchange_files(fresh, self.path):
            may_be_theirs = _signature(fresh) != before or self._settle_until is not None
            if may_be_theirs and _content(fresh) != self._content:
                kept = self.path.with_name(f".{self.path.name}.{os.getpid()}.{time.monotonic_ns()}.slipped")
                fresh.rename(kept)
                self._slipped.append(kept)
            elif fresh.is_dir() and not fresh.is_symlink():  # someone put a folder in the file's place: keep it aside
                fresh.rename(self.path.with_name(f"{self.path.name}.{time.time_ns()}.folder"))
            else:
                fresh.unlink()
        else:
            try:
                fresh.replace(self.path)
            except OSError as error:
                if error.errno not in (errno.EBUSY, errno.EXDEV):  # those of a mount point
                    raise
                fresh.unlink()
                written = self._write_in_place(text, before)
        return written

    def _write_in_place(self, text: str, before: tuple[int, ...] | None) -> tuple[int, ...] | None:
        may_be_theirs = _signature(self.path) != before or self._settle_until is not None
        if may_be_theirs and _content(self.path) != self._content:
            kept = self.path.with_name(f".{self.path.name}.{os.getpid()}.{time.monotonic_ns()}.slipped")
            shutil.copyfile(self.path, kept)
            self._slipped.append(kept)
        self.path.write_text(text, encoding="utf-8")
        return _signature(self.path)

    def _take_slipped(self) -> Save | None:
        path = self._slipped[0]
        save = self._read(path, None)
        if save is not None:
            self._slipped.pop(0)
            path.unlink(missing_ok=True)
            self._torn_since = None
        return save

    def _read(self, path: Path, signature: tuple[int, ...] | None) -> Save | None:
        is_main = path == self.path
        try:
            values, content = parse_file(path)
        except VsrppError as error:
            now = self._clock()
            if self._torn_since is None:
                self._torn_since = now
            if error.reason_code in _FINAL or now - self._torn_since >= TORN_GRACE_S:
                if is_main:
                    self._seen, self._content, self._settle_until = signature, b"", None
                self._torn_since = None
                return Save({}, _owner(path), error)
            return None
        self._torn_since = None
        if is_main:
            if signature != self._seen:
                self._settle_until = self._clock() + SETTLE_S
            self._seen = signature
            if content == self._content:
                return None
            self._content = content
        return Save(values, _owner(path))


def parse_file(path: Path) -> tuple[dict[str, Any], bytes]:
    """The values of a saved file, and its bytes. Raises Refused if it cannot be read as a config."""
    try:
        content = read_small(path, MAX_BYTES)
    except NotPlain:
        raise messages.FILE_NOT_REGULAR() from None
    except TooLarge as error:
        raise messages.FILE_TOO_LARGE(size=f"{error.size:,}", limit=f"{MAX_BYTES:,}") from None
    except FileNotFoundError:
        raise messages.FILE_GONE() from None
    except OSError as error:
        raise messages.FILE_UNREADABLE(why=error.strerror) from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise messages.FILE_NOT_UTF8(byte=error.start) from None
    if not text.strip():
        raise messages.FILE_EMPTY()
    try:
        values = json.loads(text, object_pairs_hook=_no_twins)
    except json.JSONDecodeError as error:
        raise messages.FILE_NOT_JSON(why=error.msg, line=error.lineno, column=error.colno) from None
    except (RecursionError, ValueError) as error:
        raise messages.FILE_UNUSABLE(why=str(error)) from None
    if not isinstance(values, dict):
        raise messages.FILE_NOT_OBJECT()
    return values, content


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise messages.FILE_KEY_TWICE(key=key)
            seen.add(key)
    return values


def _signature(path: Path) -> tuple[int, ...] | None:
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_mtime_ns, about.st_size, about.st_ino


def _content(path: Path) -> bytes:
    try:
        return read_small(path, MAX_BYTES)
    except OSError:
        return b""


def _owner(path: Path) -> str | None:
    try:
        return pwd.getpwuid(path.stat().st_uid).pw_name
    except (OSError, KeyError):
        return None


def exchange_files(one: Path, other: Path) -> bool:
    """Swap two files atomically (Linux renameat2), so that the replaced content is kept; False where unsupported."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    result = renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    return bool(result == 0)
