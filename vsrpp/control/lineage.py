"""Which part of the record the run's present state comes from: every turn back (rollback, reverted probation) leaves one behind.

Pure folds over the events; resume and replay both walk what these functions give.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from vsrpp.control.config_history import CONFIG_EVENTS
from vsrpp.store import Event

TURNS = ("rolled_back", "config_reverted")
"""Events that go back: `data` has `to_step`, and `to_seq`, the newest event the state gone back to had seen."""


@dataclass(frozen=True, slots=True)
class LineageSegment:
    """Steps `from_step` + 1 … `to_step` (None: to the end) were made on `branch`."""

    branch: int
    from_step: int
    to_step: int | None = None


@dataclass(slots=True)
class Lineage:
    """The line of events and steps that leads to the present state."""

    events: list[Event] = field(default_factory=list)
    """Events of the line, turns among them, oldest first."""
    segments: list[LineageSegment] = field(default_factory=list)

    @property
    def branch(self) -> int:
        return self.segments[-1].branch if self.segments else 0

    def steering(self, after_seq: int = 0) -> list[Event]:
        """The events of the line after `after_seq` that changed what training did: edits, validations asked for, turns."""
        return [event for event in self.events if event.seq > after_seq and steers(event)]

    def branch_after(self, step: int) -> int:
        """The branch on which step + 1 was, or will be, made."""
        return next(s.branch for s in reversed(self.segments) if s.from_step <= step)

    def holds(self, branch: int, step: int) -> bool:
        """Whether the state at `step` of `branch` lies on the line."""
        return any(
            s.branch == branch and s.from_step <= step and (s.to_step is None or step <= s.to_step)
            for s in self.segments
        )

    def last_step(self) -> int:
        """The last step on record along the line: until it is reached again, a resume only repeats."""
        return max((event.step for event in self.events if event.type not in TURNS), default=0)


def lineage(events: Iterable[Event]) -> Lineage:
    """The line that leads to the newest event."""
    line = Lineage()
    for event in events:
        if event.type == "started":
            line = Lineage([event], [LineageSegment(event.branch, event.step)])
        elif event.type in TURNS:
            to_step, to_seq = int(event.data["to_step"]), int(event.data["to_seq"])
            line.events = [kept for kept in line.events if kept.seq <= to_seq] + [event]
            line.segments = [*_cut(line.segments, to_step), LineageSegment(event.branch, to_step)]
        else:
            line.events.append(event)
    return line


def steers(event: Event) -> bool:
    """Whether an event changed what training did, so that a resume or a replay must let it act again."""
    return event.type in CONFIG_EVENTS or (event.type == "validated" and bool(event.data.get("by_hand")))


def _cut(segments: Sequence[LineageSegment], to_step: int) -> list[LineageSegment]:
    kept = [segment for segment in segments if segment.from_step < to_step or segment.from_step == to_step == 0]
    kept = kept or list(segments[:1])
    last = kept[-1]
    return [*kept[:-1], LineageSegment(last.branch, last.from_step, to_step)]
