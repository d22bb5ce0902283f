"""One event of a run: what happened, at which step, who caused it and why."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple, get_args

from vsrpp.documents import EventType

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
EVENT_TYPES: frozenset[str] = frozenset(get_args(EventType))


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A row of the chain. `hash` covers all other fields and the hash of the previous row."""

    seq: int
    time: float
    """Seconds since 1970, UTC."""
    step: int
    branch: int
    type: str
    revision: int
    """The revision of the live config in force after the event."""
    origin: str | None
    author: str | None
    reason: str | None
    data: dict[str, Any]
    hash: str

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


class StoredEvent(NamedTuple):
    """An event as its row: `data` is still the text that was written."""

    seq: int
    time: float
    step: int
    branch: int
    type: str
    revision: int
    origin: str | None
    author: str | None
    reason: str | None
    data: str
    hash: str

    def decoded(self) -> Event:
        """Raises ValueError if the data is not JSON."""
        return Event(
            seq=self.seq, time=self.time, step=self.step, branch=self.branch, type=self.type, revision=self.revision,
            origin=self.origin, author=self.author, reason=self.reason, data=json.loads(self.data), hash=self.hash,
        )  # fmt: skip


def canonical(value: Any) -> str:
    """The canonical JSON of a value: sorted keys, no spaces, plain UTF-8. Raises ValueError for NaN and infinities."""
    return _CANONICAL.encode(value)


def jsonable(value: Any) -> Any:
    """`value` in a form that JSON can hold: NaN and infinities become the strings "nan", "inf", "-inf"."""
    if isinstance(value, str):
        return readable(value)
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    if isinstance(value, dict):
        return {readable(str(key)): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if value is None or isinstance(value, (int, float, bool)):
        return value
    return readable(str(value))


def readable(text: str) -> str:
    """Text that UTF-8, and so the hash chain and SQLite, can hold: lone surrogates (a byte of another encoding in a
    command's argument, an escape in a JSON file) become `?`."""
    return text.encode("utf-8", "replace").decode()
