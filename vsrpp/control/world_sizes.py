"""How many processes trained a run, from its record."""

from __future__ import annotations

from collections.abc import Iterable

from vsrpp.store import Event

STARTS = ("started", "restored")
"""Events that start a stretch of training."""


def world_sizes(events: Iterable[Event]) -> list[int]:
    """The number of processes from each start of the run to the next, oldest first; `events` must include `STARTS`."""
    return [int(event.data.get("ranks", 1)) for event in events if event.type == "started" or event.data.get("resume")]
