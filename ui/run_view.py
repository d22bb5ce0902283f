"""What the views draw from: plain data of one run at one moment. No file, no database, no Gradio."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vsrpp.control import ConfigHistory
from vsrpp.control.delivery_status import BEHIND_AFTER_S
from vsrpp.store import Event

LIVE_STATES = ("training", "paused", "validating")
SILENT_AFTER_S = 20.0
TERMS = ("l1", "ms", "grad", "perceptual")


@dataclass(slots=True, kw_only=True)
class PanelSnapshot:
    """One run as it is shown."""

    run_id: str
    status: dict[str, Any]
    """`vsrpp.control.status`."""
    metrics: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Newest (step, value) of every metric."""
    events: list[Event] = field(default_factory=list)
    config: ConfigHistory = field(default_factory=ConfigHistory)
    run_config: dict[str, Any] = field(default_factory=dict)
    probation: dict[str, Any] | None = None
    """{until_step, revert_if, revision} while an edit is on probation."""
    now: float = 0.0

    @property
    def state(self) -> str:
        return str(self.status.get("state", "dead"))

    @property
    def live(self) -> bool:
        return self.state in LIVE_STATES

    @property
    def step(self) -> int:
        return int(self.status.get("step") or 0)

    @property
    def quiet_s(self) -> float:
        """Seconds since the trainer last said anything."""
        updated = self.status.get("updated")
        return max(0.0, self.now - updated) if updated else 0.0

    @property
    def silent(self) -> bool:
        """A live process that has said nothing for long: beyond twenty seconds, and beyond five of its steps."""
        speed = self.status.get("steps_per_s") or 0.0
        return (
            self.live and self.state == "training" and self.quiet_s > max(SILENT_AFTER_S, 5.0 / speed if speed else 0.0)
        )

    @property
    def behind(self) -> bool:
        """Delivery is in trouble, or the run's end has been waiting to be told."""
        backlog = self.status.get("backlog") or {}
        late = (backlog.get("age_s") or 0.0) > BEHIND_AFTER_S
        return bool(backlog.get("trouble") or (backlog.get("end_due") and late))

    @property
    def on_probation(self) -> bool:
        return self.live and self.probation is not None

    @property
    def plateau(self) -> bool:
        """Whether the newest word on plateaus is that there is one."""
        for event in reversed(self.events):
            if event.type in ("plateau_cleared", "safety_reset", "rolled_back", "config_reverted"):
                return False
            if event.type == "plateau_detected":
                return True
        return False

    def metric(self, key: str) -> float | None:
        """The newest value of a metric; None if there is none. May be NaN."""
        return self.metrics[key][1] if key in self.metrics else None

    def weights(self) -> dict[str, float | None]:
        """The loss weights in effect, the controller's offset included; the configured ones before the first row."""
        weights = {term: self.metric(f"weight/{term}") for term in TERMS}
        if all(value is None for value in weights.values()):
            return {term: self.config.live.get(f"{term}_weight") for term in TERMS}
        return weights

    def losses(self) -> dict[str, float | None]:
        return {term: self.metric(f"loss/{term}") for term in TERMS}

    def activity(self) -> dict[str, float]:
        """Newest activity of every block: backward.0 …, forward.0 …, fusion.0 …"""
        return {key[9:]: value for key, (_, value) in self.metrics.items() if key.startswith("activity/")}
