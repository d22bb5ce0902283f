"""The live config as a fold over the record: its values at any revision, and who last set each value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from vsrpp.store import Event

CONFIG_EVENTS = ("started", "config_applied", "config_reverted", "rolled_back")
"""The events that create a revision: `started` carries the whole config, the others `changes` [{key, old, new}]."""


@dataclass(slots=True)
class ConfigHistory:
    """Every revision of the live config. Add the events in order with `add`."""

    live: dict[str, Any] = field(default_factory=dict)
    revision: int = 0
    changed: dict[str, list[Event]] = field(default_factory=dict)
    """Events that set a key, oldest first."""
    _revisions: dict[int, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, events: Iterable[Event]) -> ConfigHistory:
        history = cls()
        for event in events:
            history.add(event)
        return history

    def add(self, event: Event) -> None:
        if event.type not in CONFIG_EVENTS:
            return
        if event.type == "started":
            self.live = dict(event.data["config"])
        else:
            self.live = {**self.live, **{change["key"]: change["new"] for change in event.data["changes"]}}
            for change in event.data["changes"]:
                self.changed.setdefault(change["key"], []).append(event)
        self.revision = event.revision
        self._revisions[event.revision] = self.live

    def rewind(self, live: dict[str, Any], revision: int) -> None:
        """Put an earlier config in force again while keeping later revisions: a resume repeats them."""
        self.live, self.revision = dict(live), revision

    def walk(self, event: Event) -> None:
        """Apply an event of the history again.

        A rollback is met at the step it returned to: only those of its changes are made that are not in force.
        """
        if event.type != "started":
            self.live = {**self.live, **{change["key"]: change["new"] for change in event.data["changes"]}}
        self.revision = event.revision

    def at(self, revision: int) -> dict[str, Any] | None:
        """The live config at a revision, or None if that revision does not exist."""
        return self._revisions.get(revision)

    def last_change(self, key: str, *, after_revision: int = -1) -> Event | None:
        """The newest event that set `key` in a revision after `after_revision`."""
        events = self.changed.get(key, ())
        return events[-1] if events and events[-1].revision > after_revision else None


def value_in_force(events: Sequence[Event], key: str) -> Any:
    """The value of a live parameter after the last of the events; None if none of them sets it."""
    for event in reversed(events):
        for change in event.data.get("changes") or ():
            if isinstance(change, dict) and change.get("key") == key:
                return change.get("new")
        if event.type == "started":
            return (event.data.get("config") or {}).get(key)
    return None


def who(event: Event) -> str:
    """`anna (panel)`, or only the origin: who made a change, for messages."""
    return f"{event.author} ({event.origin})" if event.author else str(event.origin)
