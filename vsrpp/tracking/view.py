"""A summary of a run's events, folded one by one: for tags, the description and the timeline."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from vsrpp.control import effect
from vsrpp.control.best import BestCheckpoint, BestRule, best_checkpoint
from vsrpp.control.config_history import sets
from vsrpp.control.lineage import Lineage
from vsrpp.store import Event

LIFE = {
    "started": "training", "resumed": "training", "restored": "training", "paused": "paused",
    "finished": "finished", "stopped": "stopped", "failed": "failed",
}  # fmt: skip
"""Event type -> the state that it starts."""
END_STATUS = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED", "dead": "FAILED"}
"""Our final states -> MLflow's."""
INTERVENTIONS = frozenset(
    {"config_applied", "config_reverted", "rolled_back", "paused", "resumed", "restored", "stopped"}
)
PLATEAUS = frozenset({"plateau_detected", "plateau_cleared", "safety_reset"})
KEPT = 100
"""Interventions, plateaus and newest events of any type that a summary keeps: more than a description lists."""


@dataclass(slots=True)
class RecordSummary:
    """Add the events in order with `add`; nothing here reads a file.

    Keeps only the events that a description can still use, so that its size does not grow with the run.
    """

    events: list[Event] = field(default_factory=list)
    """Thinned: the newest interventions and plateaus, and the events that their effects are computed from."""
    counts: Counter[str] = field(default_factory=Counter)
    """Type -> number of events in the whole record."""
    _thin_at: int = 10 * KEPT
    started: Event | None = None
    state: str = "training"
    ended_at: float | None = None
    """When the run ended, in seconds since 1970; None while it is active."""
    line: Lineage = field(default_factory=lambda: Lineage(keep_events=False))

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
        self.line.add(event)

    @property
    def ended(self) -> bool:
        return self.state in END_STATUS

    def interventions(self) -> list[Event]:
        """Interventions by people (and probation), oldest first; of a long record, only the newest."""
        return [event for event in self.events if event.type in INTERVENTIONS]

    @property
    def checkpoints(self) -> list[Event]:
        """Checkpoints on the current line, without those abandoned by a rollback."""
        return self.line.checkpoints

    @property
    def best_rule(self) -> BestRule:
        """What the best checkpoint is."""
        return BestRule.of(self.started.data.get("run_config") or {} if self.started else {})

    def best(self) -> BestCheckpoint | None:
        return best_checkpoint(self.line, self.best_rule)


def _thinned(events: list[Event]) -> list[Event]:
    """The events that a description of the newest `KEPT` interventions and plateaus can use, in order.

    Also kept: the newest events of any type, the last scored validation before each intervention, and the start and the
    last change of `log_every` before all of these.
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
        if place < oldest and sets(event, effect.LOG_EVERY):
            interval = place
    keep.update(place for place in (scored, interval) if place is not None)
    return [event for place, event in enumerate(events) if place in keep]


def final_state(event: Event | None) -> str | None:
    """The final state that the run's last lifecycle event leads to; None if it is not final."""
    state = LIFE.get(event.type) if event is not None else None
    return state if state in END_STATUS else None
