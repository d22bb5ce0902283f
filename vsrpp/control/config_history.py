"""The live config as a fold over the record: its values at any revision, and who last set each value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vsrpp.store import Event, RunReader

CONFIG_EVENTS = ("started", "config_applied", "config_reverted", "rolled_back")
"""The events that create a revision: `started` carries the whole config, the others `changes` [{key, old, new}]."""
CHANGES = CONFIG_EVENTS[1:]


@dataclass(slots=True)
class ConfigHistory:
    """Every revision of the live config. Add the events in order with `add`."""

    live: dict[str, Any] = field(default_factory=dict)
    revision: int = 0
    changed: dict[str, Event] = field(default_factory=dict)
    """The newest event that set a key."""
    _revisions: dict[int, dict[str, Any]] = field(default_factory=dict)
    _record: Path | None = None
    """The run.db that has the earlier revisions, so that they need not be kept here."""

    @classmethod
    def of(cls, events: Iterable[Event]) -> ConfigHistory:
        history = cls()
        for event in events:
            history.add(event)
        return history

    @classmethod
    def of_record(cls, reader: RunReader, *, to_seq: int | None = None) -> ConfigHistory:
        """The history of an open record, up to event `to_seq`, without reading every revision: `at` does that later."""
        started = reader.last_event("started")
        if started is None:
            return cls(_record=reader.path)
        seqs = reader.newest_changes(CHANGES, **({} if to_seq is None else {"to_seq": to_seq}))
        events = {seq: reader.event(seq) for seq in {*seqs.values()}}
        changed = {key: event for key, seq in seqs.items() if (event := events[seq]) is not None}
        live = dict(started.data["config"])
        live |= {key: _set_to(event, key) for key, event in changed.items() if event.seq > started.seq}
        newest = reader.last_event(*CONFIG_EVENTS) if to_seq is None else reader.event(to_seq)
        return cls(live, newest.revision if newest else 0, changed, _record=reader.path)

    def with_events(self, events: Iterable[Event]) -> ConfigHistory:
        """A copy with more events; this one stays as it is."""
        history = replace(self, changed=dict(self.changed), _revisions=dict(self._revisions))
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
            self.changed.update((change["key"], event) for change in event.data["changes"])
        self.revision = event.revision
        if self._record is None:
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
        if self._record is None or revision == self.revision:
            return self.live if revision == self.revision else self._revisions.get(revision)
        with RunReader(self._record) as reader:
            seq = reader.seq_of_revision(CONFIG_EVENTS, revision)
            return None if seq is None else self.of_record(reader, to_seq=seq).live

    def last_change(self, key: str, *, after_revision: int = -1) -> Event | None:
        """The newest event that set `key` in a revision after `after_revision`."""
        event = self.changed.get(key)
        return event if event is not None and event.revision > after_revision else None


def _set_to(event: Event, key: str) -> Any:
    """What an event set a key to."""
    return next(change["new"] for change in reversed(event.data["changes"]) if change["key"] == key)


def sets(event: Event, key: str) -> bool:
    """Whether an event sets a live parameter; `started` sets them all."""
    changes = event.data.get("changes") or ()
    return event.type == "started" or any(isinstance(one, dict) and one.get("key") == key for one in changes)


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
