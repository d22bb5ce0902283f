"""What a run's events say of it, folded one by one: for tags, the description and the timeline."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from vsrpp.control import effect
from vsrpp.store import Event

LIFE = {
    "started": "training", "resumed": "training", "restored": "training", "paused": "paused",
    "finished": "finished", "stopped": "stopped", "failed": "failed",
}  # fmt: skip
"""Event type -> the state that begins with it."""
END_STATUS = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED", "dead": "FAILED"}
"""Our final states -> MLflow's."""
INTERVENTIONS = frozenset(
    {"config_applied", "config_reverted", "rolled_back", "paused", "resumed", "restored", "stopped"}
)
BACK = frozenset({"rolled_back", "config_reverted"})
"""The events that begin a new branch; their data holds `to_step`."""
PLATEAUS = frozenset({"plateau_detected", "plateau_cleared", "safety_reset"})
KEPT = 100
"""Interventions, plateaus and, of all events, the newest that a view keeps: more than a description has room for."""


@dataclass(slots=True)
class PresentLine:
    """The present branch and what it grew out of: which (branch, step) is not left behind by a rollback."""

    _cuts: dict[int, int] = field(default_factory=dict)
    """Branch -> the step it begins at."""

    def go_back(self, event: Event) -> None:
        self._cuts[event.branch] = went_back_to(event)

    def holds(self, branch: int, step: int) -> bool:
        """A checkpoint, say, may be finished and recorded only after the run has left its branch."""
        return all(step <= begins for later, begins in self._cuts.items() if later > branch)


@dataclass(slots=True)
class RecordSummary:
    """Feed it the events in order with `add`; nothing here reads a file.

    Of the events it keeps those that a description can still speak of, so that its size does not grow with the run's.
    """

    events: list[Event] = field(default_factory=list)
    """Thinned: the newest interventions and plateaus, and what their effects are read from."""
    counts: Counter[str] = field(default_factory=Counter)
    """Type -> how many there were in the whole record."""
    _thin_at: int = 10 * KEPT
    started: Event | None = None
    state: str = "training"
    ended_at: float | None = None
    """When the run ended, in seconds since 1970; None while it goes on."""
    checkpoints: list[Event] = field(default_factory=list)
    """Of the present branch's line: what a rollback left behind is not among them."""
    line: PresentLine = field(default_factory=lambda: PresentLine())

    def add(self, event: Event) -> None:
        self.events.append(event)
        self.counts[event.type] += 1
        if len(self.events) >= self._thin_at:
            self.events = _thinned(self.events)
            self._thin_at = len(self.events) + 10 * KEPT
        if event.type == "started" and self.started is None:
            self.started = event
        if event.type in LIFE:
            self.state = LIFE[event.type]
            self.ended_at = event.time if self.state in END_STATUS else None
        if event.type in BACK:
            self.line.go_back(event)
            self.checkpoints = [saved for saved in self.checkpoints if saved.step <= went_back_to(event)]
        if event.type == "checkpoint_saved" and self.line.holds(event.branch, event.step):
            self.checkpoints.append(event)

    @property
    def ended(self) -> bool:
        return self.state in END_STATUS

    def interventions(self) -> list[Event]:
        """What people (and probation) did, oldest first; of a long record the newest."""
        return [event for event in self.events if event.type in INTERVENTIONS]

    def best(self) -> tuple[int, float] | None:
        """(step, PSNR-Y) of the best checkpoint."""
        scores = [(psnr_y(saved.data.get("metrics")), saved.step) for saved in self.checkpoints]
        scored = [(score, step) for score, step in scores if score is not None]
        if not scored:
            return None
        score, step = max(scored)
        return step, score


def _thinned(events: list[Event]) -> list[Event]:
    """The events that any description of the newest `KEPT` interventions and plateaus is made of, in their order.

    Beside those: the newest events whatever they are, the last scored validation before each intervention, and the
    start and the last change of `log_every` before all of these.
    """
    keep: set[int] = set(range(max(0, len(events) - KEPT), len(events)))
    for kinds in (INTERVENTIONS, effect.INTERVENTIONS, PLATEAUS):
        keep.update([place for place, event in enumerate(events) if event.type in kinds][-KEPT:])
    scored: int | None = None
    interval: int | None = None
    oldest = min((place for place in keep if events[place].type in effect.INTERVENTIONS), default=len(events))
    for place, event in enumerate(events):
        if event.type in effect.INTERVENTIONS and place in keep and scored is not None:
            keep.add(scored)
        if event.type == "validated" and effect.psnr_y_of(event) is not None:
            scored = place
        if place < oldest and _sets_log_every(event):
            interval = place
    keep.update(place for place in (scored, interval) if place is not None)
    return [event for place, event in enumerate(events) if place in keep]


def _sets_log_every(event: Event) -> bool:
    changes = event.data.get("changes") or []
    return event.type == "started" or any(isinstance(c, dict) and c.get("key") == "log_every" for c in changes)


def psnr_y(metrics: Any) -> float | None:
    """PSNR-Y of a checkpoint's metrics, None without a validation at its step."""
    value = metrics.get("val/psnr_y") if isinstance(metrics, dict) else None
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def went_back_to(event: Event) -> int:
    return int(event.data.get("to_step", event.step))


def final_state(event: Event | None) -> str | None:
    """The state that the run's last word on its life ends in; None while it is not a final one."""
    state = LIFE.get(event.type) if event is not None else None
    return state if state in END_STATUS else None
