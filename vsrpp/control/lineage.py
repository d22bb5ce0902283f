"""The line of the record that leads to the run's current state; every rollback or reverted probation abandons a part.

The only code that interprets `to_step` of these events ("turns"). Curves, status, panel, terminal, MLflow, compare,
restore, resume and replay all use a `Lineage`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any, TypeVar

from vsrpp.control.config_history import CONFIG_EVENTS, ConfigHistory
from vsrpp.store import Event, RunReader

TURNS = frozenset({"rolled_back", "config_reverted"})
"""Events that go back: `data` has `to_step`, and `to_seq`, the newest event included in the restored state."""
SEGMENT_EVENTS = ("started", *sorted(TURNS))
"""The events that determine a lineage's segments."""
LINE_EVENTS = ("started", "checkpoint_saved", "validated", *sorted(TURNS))
"""The events needed by a lineage without `keep_events`."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageSegment:
    """The rows of `branch` from `from_step` to `to_step`, both inclusive (None: open end).

    The segments of a branch partition its rows: each row is on exactly one, and so on the current line or off it.
    """

    branch: int
    from_step: int
    to_step: int | None = None
    abandoned: bool = False
    seq: int = 0
    """The event that started the branch."""

    def covers(self, branch: int, step: int) -> bool:
        """Whether a row of `branch` at `step` lies on this segment."""
        return self.branch == branch and self.from_step <= step and (self.to_step is None or step <= self.to_step)


@dataclass(frozen=True, slots=True)
class ConfigSpan:
    """The live config in force from `from_step` until the next span of the line."""

    from_step: int
    revision: int
    live: Mapping[str, Any]


@dataclass(slots=True)
class Lineage:
    """A fold over the events of one run: add every event in order with `add`, or use `lineage`.

    Without `keep_events` its size only grows with turns, checkpoints and validations.
    """

    keep_events: bool = True
    events: list[Event] = field(default_factory=list)
    """Events of the current line, turns included, oldest first; empty without `keep_events`."""
    segments: list[LineageSegment] = field(default_factory=list)
    """The current line, oldest first."""
    abandoned: list[LineageSegment] = field(default_factory=list)
    """Segments abandoned by turns, in that order."""
    _saved: list[Event] = field(default_factory=list)
    _turned: bool = field(default=False, compare=False)
    """Whether `_saved` may contain checkpoints that a turn abandoned."""
    _on_branch: dict[int, list[LineageSegment]] = field(default_factory=dict, compare=False)
    """The current line by branch; empty after a turn, until it is asked for."""
    _validated: dict[tuple[int, int], dict[str, float]] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        if event.type in TURNS:
            self._turn(event)
        elif event.type == "started":
            self.events.clear()
            self._saved.clear()
            self.segments = [LineageSegment(branch=event.branch, from_step=event.step, seq=event.seq)]
            self.abandoned.clear()
            self._on_branch.clear()
        elif event.type == "checkpoint_saved" and self.holds(event.branch, event.step):
            self._saved.append(event)  # may be recorded after the run has left the branch
        elif event.type == "validated":
            self._validated[event.branch, event.step] = validation_figures(event)
        if self.keep_events:
            self.events.append(event)

    def with_events(self, events: Iterable[Event]) -> Lineage:
        """A copy with more events; this one stays as it is."""
        line = replace(
            self, events=[*self.events], abandoned=[*self.abandoned], _saved=[*self._saved], _on_branch={},
            _validated=dict(self._validated),
        )  # fmt: skip
        for event in events:
            line.add(event)
        return line

    def _turn(self, event: Event) -> None:
        to_step, to_seq = turned_to(event), event.data.get("to_seq")
        kept, cut = list(self.segments or [LineageSegment(branch=0, from_step=0)]), []
        while len(kept) > 1 and (kept[-1].from_step >= to_step if to_seq is None else kept[-1].seq > to_seq):
            cut.append(replace(kept.pop(), abandoned=True))
        for place in range(len(kept) - 1, -1, -1):
            segment = kept[place]
            if segment.to_step is not None and segment.to_step <= to_step:
                break  # as do all before it
            kept[place] = replace(segment, to_step=to_step)
            cut.append(replace(segment, from_step=to_step + 1, abandoned=True))
        self.abandoned += reversed(cut)
        self.segments = [*kept, LineageSegment(branch=event.branch, from_step=to_step, seq=event.seq)]
        self._on_branch.clear()
        self._turned = True
        if to_seq is not None:
            del self.events[bisect_right(self.events, to_seq, key=attrgetter("seq")) :]

    @property
    def checkpoints(self) -> list[Event]:
        """`checkpoint_saved` events of the current line, oldest first, whenever they were written."""
        if self._turned:
            self._saved = [saved for saved in self._saved if self.holds(saved.branch, saved.step)]
            self._turned = False
        return self._saved

    # ---- rows
    @property
    def branch(self) -> int:
        """The current branch."""
        return self.segments[-1].branch if self.segments else 0

    def pieces(self) -> list[LineageSegment]:
        """All segments, abandoned ones first."""
        return [*self.abandoned, *(self.segments or [LineageSegment(branch=0, from_step=0)])]

    def holds(self, branch: int, step: int) -> bool:
        """Whether the state of `branch` at `step` (a row, a checkpoint) is on the current line."""
        if not self.segments:
            return True
        if not self._on_branch:
            for segment in self.segments:
                self._on_branch.setdefault(segment.branch, []).append(segment)
        return any(segment.covers(branch, step) for segment in self._on_branch.get(branch, ()))

    def branch_after(self, step: int) -> int:
        """The branch on which step + 1 was, or will be, trained."""
        return next(s.branch for s in reversed(self.segments) if s.from_step <= step)

    def along(self, rows: Iterable[tuple[int, int, _T]]) -> list[tuple[int, _T]]:
        """(step, value) of the `rows` (branch, step, value) on the line, sorted by step.

        If a turn and the state it restored both have a row at the turn's step, the turn's row is used.
        """
        by_step = {step: v for branch, step, v in sorted(rows, key=lambda row: row[:2]) if self.holds(branch, step)}
        return sorted(by_step.items(), key=lambda row: row[0])

    # ---- events
    def steering(self, after_seq: int = 0) -> list[Event]:
        """Events of the line after `after_seq` that affected training: edits, requested validations, turns."""
        return [event for event in self.events if event.seq > after_seq and steers(event)]

    def last_step(self) -> int:
        """The last recorded step of the line: up to there, a resume only repeats."""
        return max((event.step for event in self.events if event.type not in TURNS), default=0)

    def validation_at(self, branch: int, step: int) -> dict[str, float]:
        """The figures of the newest validation of that state; empty if it was not validated."""
        return self._validated.get((branch, step), {})

    def validations(self) -> list[tuple[int, dict[str, float]]]:
        """(step, figures) of the validations on the line, oldest first."""
        return self.along((branch, step, figures) for (branch, step), figures in self._validated.items())

    # ---- the config in force
    def config_spans(self) -> list[ConfigSpan]:
        """The live config along the line, oldest first; a turn takes effect at the step it went back to."""
        history, spans = ConfigHistory(), []
        for event in self.events:
            if event.type in CONFIG_EVENTS:
                history.add(event)
                spans.append(ConfigSpan(acts_at(event), event.revision, history.live))
        return spans

    def config_at(self, step: int) -> ConfigSpan | None:
        """The live config under which step + 1 of the line was, or will be, trained; None before the start."""
        return next((span for span in reversed(self.config_spans()) if span.from_step <= step), None)


def lineage(events: Iterable[Event], *, keep_events: bool = True) -> Lineage:
    """The line that leads to the newest event."""
    line = Lineage(keep_events)
    for event in events:
        line.add(event)
    return line


def line_of(reader: RunReader) -> Lineage:
    """The line of an open record, without its events."""
    return lineage(reader.events(types=LINE_EVENTS), keep_events=False)


def turned_to(event: Event) -> int:
    """The step that a turn went back to."""
    return int(event.data.get("to_step", event.step))


def acts_at(event: Event) -> int:
    """The step from which an event's change takes effect; for a turn, the step it went back to."""
    return turned_to(event) if event.type in TURNS else event.step


def validation_figures(event: Event) -> dict[str, float]:
    """The metrics of a `validated` event: `val/psnr_y` (dB) and the others."""
    return {f"val/{name}": value for name, value in figures(event.data).items()} | figures(event.data.get("metrics"))


def figures(metrics: Any) -> dict[str, float]:
    """The numbers among recorded metrics."""
    if not isinstance(metrics, Mapping):
        return {}
    return {
        str(key): value
        for key, value in metrics.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }


def steers(event: Event) -> bool:
    """Whether an event affected training, so that a resume or a replay must repeat it."""
    return event.type in CONFIG_EVENTS or (event.type == "validated" and bool(event.data.get("by_hand")))
