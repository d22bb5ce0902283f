"""The trainer's side of inbox.db: which commands wait, and each of them decoded.

Whatever another process wrote there is data. A row that is no command of this version, by its types, its encoding or
its kind, comes back as an `UnreadableCommand`, to be refused; no row raises.
"""

from __future__ import annotations

import json
import math
import sqlite3
import time
from collections import Counter, deque
from pathlib import Path
from typing import Any

from vsrpp.errors import VsrppError
from vsrpp.store import messages
from vsrpp.store.db import connect_reader, is_locked
from vsrpp.store.inbox import COMMAND_KINDS, Command, Inbox, UnreadableCommand

URGENT = ("pause", "resume", "stop")
"""Commands that may pass others, in their own order."""
MAX_PER_AUTHOR, MAX_WAITING = 500, 2_000
"""Commands of one author, and of all, that may wait, without the urgent ones. Those beyond are refused unread."""
MAX_COMMAND_BYTES = 1024 * 1024
MAX_DEPTH = 1_000
"""Levels of a payload; Python's own limit, where it has one for JSON, is about the same."""
LOOK_BUDGET_S = 0.02
"""How long one look may go through new rows; the next one continues."""
_ROWS_A_LOOK = 500
_MAX_WORD = 200
"""Characters of a uid, a kind or an origin."""

_HEADS = (
    "SELECT id, substr(CAST(kind AS BLOB), 1, 20), substr(CAST(author AS BLOB), 1, 200) FROM commands"
    " WHERE id > ? AND answer IS NULL ORDER BY id LIMIT ?"
)
_COLUMNS = ("uid", "time", "kind", "payload", "origin", "author", "reason", "base_revision")
_SIZE = (
    f"SELECT {' + '.join(f'coalesce(length(CAST({name} AS BLOB)), 0)' for name in _COLUMNS)} FROM commands WHERE id = ?"
)
_ROW = f"SELECT {', '.join(_COLUMNS)} FROM commands WHERE id = ? AND answer IS NULL"


class _Text(bytes):
    """A TEXT value before it is decoded; a BLOB arrives as plain bytes."""


class PendingCommands:
    """Commands that wait, in order. Looking for new ones costs one `data_version` (about 2 µs) if there are none."""

    def __init__(self, path: Path) -> None:
        Inbox(path).close()
        self._db = connect_reader(path)
        self._db.execute("PRAGMA busy_timeout=50")  # a training does not wait for a lock
        self._db.text_factory = _Text
        self._version = -1
        self._seen = 0
        self._queue: deque[tuple[int, bytes | None, bool]] = deque()
        """(row ID, author, whether urgent) of the commands that wait."""
        self._urgent: deque[int] = deque()
        self._passed: set[int] = set()
        """Urgent commands taken before their turn."""
        self._waiting: Counter[bytes | None] = Counter()
        self._beyond: dict[bytes | None, list[int]] = {}
        self.newest_at_start = self.newest()
        """Newest row ID when the inbox was opened: later rows were written for this process."""

    def close(self) -> None:
        self._db.close()

    def newest(self) -> int:
        """The newest row ID. IDs are assigned inside the write transaction, so they are in the order of the commits."""
        return int(self._db.execute("SELECT coalesce(max(id), 0) FROM commands").fetchone()[0])

    def look(self) -> None:
        """Find new commands, for a limited time; the first look includes those an earlier process left unanswered."""
        try:
            version = self._db.execute("PRAGMA data_version").fetchone()[0]
            if version == self._version:
                return
            deadline = time.monotonic() + LOOK_BUDGET_S
            while True:
                rows = self._db.execute(_HEADS, (self._seen, _ROWS_A_LOOK)).fetchall()
                for row in rows:
                    self._add(*row)
                if len(rows) < _ROWS_A_LOOK:
                    self._version = version
                    return
                if time.monotonic() > deadline:
                    self._version = -1
                    return
        except sqlite3.OperationalError as error:
            if not is_locked(error):
                raise
            self._version = -1  # the commands wait until the inbox can be read

    def _add(self, id: int, kind: bytes | None, author: bytes | None) -> None:
        self._seen = id
        urgent = bytes(kind or b"").decode("ascii", "replace") in URGENT
        if urgent:
            self._urgent.append(id)
        elif self._waiting[author] >= MAX_PER_AUTHOR or len(self._queue) >= MAX_WAITING:
            self._beyond.setdefault(author, []).append(id)
            return
        else:
            self._waiting[author] += 1
        self._queue.append((id, author, urgent))

    @property
    def first_id(self) -> int | None:
        """Row ID of the command that is next in order."""
        return self._queue[0][0] if self._queue else None

    @property
    def newest_seen(self) -> int:
        """Row ID of the newest command that a look found."""
        return self._seen

    def next(self) -> Command | UnreadableCommand | None:
        """Take the oldest command; None if none waits."""
        while self._queue:
            id_, author, urgent = self._queue.popleft()
            if id_ in self._passed:
                self._passed.discard(id_)
                continue
            if urgent:
                self._urgent.popleft()
            else:
                self._waiting[author] -= 1
                if not self._waiting[author]:
                    del self._waiting[author]
            command = self._read(id_)
            if command is not None:
                return command
        return None

    def next_urgent(self) -> Command | UnreadableCommand | None:
        """Take the oldest of the urgent commands, before others that wait; None if there is none."""
        while self._urgent:
            id_ = self._urgent.popleft()
            self._passed.add(id_)
            command = self._read(id_)
            if command is not None:
                return command
        return None

    def beyond_limits(self) -> dict[str | None, list[int]]:
        """Take the row IDs, by author, of commands that came while too many were waiting."""
        beyond, self._beyond = self._beyond, {}
        return {None if author is None else author.decode(errors="replace"): ids for author, ids in beyond.items()}

    def _read(self, id_: int) -> Command | UnreadableCommand | None:
        """None if the row was answered or removed meanwhile."""
        size = self._db.execute(_SIZE, (id_,)).fetchone()
        if size is not None and size[0] > MAX_COMMAND_BYTES:
            error = messages.COMMAND_TOO_LARGE(size=f"{size[0]:,}", limit=f"{MAX_COMMAND_BYTES:,}")
            return UnreadableCommand(id=id_, error=error)
        row = self._db.execute(_ROW, (id_,)).fetchone()
        if row is None:
            return None
        try:
            return decode(id_, dict(zip(_COLUMNS, row, strict=True)))
        except VsrppError as error:
            return UnreadableCommand(id=id_, error=error)


def decode(id_: int, row: dict[str, Any]) -> Command:
    """The command in a row whose texts are undecoded. Raises Refused for anything that is not one."""
    kind = _word(row, "kind")
    if kind not in COMMAND_KINDS:
        raise messages.UNKNOWN_COMMAND(kind=kind, known=", ".join(COMMAND_KINDS))
    return Command(
        id=id_, uid=_word(row, "uid"), time=_time(row["time"]), kind=kind, payload=_payload(row),
        origin=_word(row, "origin"), author=_text(row, "author"), reason=_text(row, "reason"),
        base_revision=_revision(row["base_revision"]),
    )  # fmt: skip


def _text(row: dict[str, Any], field: str) -> str | None:
    value = row[field]
    if value is None:
        return None
    if not isinstance(value, _Text):
        raise messages.COMMAND_TYPE(field=field, wanted="text", found=_type(value))
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise messages.COMMAND_NOT_UTF8(field=field, byte=error.start) from None


def _word(row: dict[str, Any], field: str) -> str:
    text = _text(row, field)
    if not text or len(text) > _MAX_WORD:
        found = "empty" if not text else f"{len(text)} characters"
        raise messages.COMMAND_TYPE(field=field, wanted=f"text of 1 to {_MAX_WORD} characters", found=found)
    return text


def _time(value: Any) -> float:
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        found = str(value) if isinstance(value, float) else _type(value)
        raise messages.COMMAND_TYPE(field="time", wanted="a finite number", found=found)
    return float(value)


def _revision(value: Any) -> int | None:
    if value is None or (isinstance(value, int) and value >= 0):
        return value
    found = str(value) if isinstance(value, int) else _type(value)
    raise messages.COMMAND_TYPE(field="base_revision", wanted="a revision", found=found)


def _payload(row: dict[str, Any]) -> dict[str, Any]:
    text = _text(row, "payload")
    try:
        payload = json.loads(text or "")
    except (ValueError, RecursionError) as error:
        raise messages.COMMAND_NOT_JSON(why=str(error).splitlines()[0]) from None
    if not isinstance(payload, dict):
        raise messages.COMMAND_TYPE(field="payload", wanted="a JSON object", found=type(payload).__name__)
    if _deeper(payload, MAX_DEPTH):
        raise messages.COMMAND_TOO_DEEP(limit=MAX_DEPTH)
    return payload


def _deeper(value: Any, levels: int) -> bool:
    """Whether JSON is nested deeper than `levels`."""
    layer = [value]
    for _ in range(levels):
        layer = [
            item
            for each in layer
            if isinstance(each, (dict, list))
            for item in (each.values() if isinstance(each, dict) else each)
        ]
        if not layer:
            return False
    return True


def _type(value: Any) -> str:
    """What SQLite calls the type of a value."""
    names = {_Text: "text", bytes: "a blob", int: "a whole number", float: "a number", type(None): "null"}
    return names.get(type(value), type(value).__name__)
