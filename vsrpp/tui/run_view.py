"""What the pages draw from: plain data of one run at one moment. No file, no database, no widget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vsrpp.control import FINAL_STATES, ConfigHistory
from vsrpp.store import Event
from vsrpp.tui.drawing import TERMS, Value, finite

LIVE_STATES = ("training", "paused", "validating")
SILENT_AFTER_S = 20.0


@dataclass(frozen=True, slots=True)
class ValidationRow:
    """One validation, short."""

    time: float
    step: int
    branch: int
    psnr_y: float | None
    bicubic_psnr_y: float | None
    ssim_y: float | None
    bicubic_ssim_y: float | None
    by_hand: bool

    @classmethod
    def of(cls, event: Event) -> ValidationRow:
        data = event.data
        return cls(
            event.time, event.step, event.branch, finite(data.get("psnr_y")), finite(data.get("bicubic_psnr_y")),
            finite(data.get("ssim_y")), finite(data.get("bicubic_ssim_y")), bool(data.get("by_hand")),
        )  # fmt: skip

    @property
    def gain(self) -> float | None:
        """PSNR-Y over bicubic, dB."""
        return None if self.psnr_y is None or self.bicubic_psnr_y is None else self.psnr_y - self.bicubic_psnr_y


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint on disk."""

    step: int
    branch: int
    revision: int
    time: float
    psnr_y: float | None
    size_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSnapshot:
    """One run as it is shown."""

    run_id: str
    root: Path
    name: str | None = None
    state: str = "dead"
    step: int = 0
    branch: int = 0
    phase: str = ""
    steps_per_s: float | None = None
    numbers: Mapping[str, Any] = field(default_factory=dict)
    """`control.numbers`: time to go, convergence, score, where the time goes, cost."""
    updated: float | None = None
    """When the trainer last said anything, seconds since 1970."""
    now: float = 0.0
    config: ConfigHistory = field(default_factory=ConfigHistory)
    run_config: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    """The newest value of every metric; may be NaN."""
    trends: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    """The recent course of some metrics on the present line, oldest first."""
    curves: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    """The whole course of some metrics; read only while the page of charts is shown."""
    left_behind: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    """What turns left behind of the same metrics, each as long as its curve: None where there is nothing of it."""
    events: Sequence[Event] = ()
    """The newest ones, oldest first."""
    validations: Sequence[ValidationRow] = ()
    checkpoints: Sequence[Checkpoint] = ()
    """Those on disk, ascending by step."""
    best: Mapping[str, Any] | None = None
    backlog: Mapping[str, Any] = field(default_factory=dict)
    """`control.delivery`: what waits, what goes out, what is in its way."""
    remote_copy: Mapping[str, Any] | None = None
    """{step, age_s, uri} of the newest state that is off this host."""
    plateau: bool = False
    probation: Mapping[str, Any] | None = None
    """{until_step, revert_if, revision} of an edit that is on probation."""

    @property
    def live(self) -> bool:
        return self.state in LIVE_STATES

    @property
    def ended(self) -> bool:
        return self.state in FINAL_STATES | {"dead"}

    @property
    def values(self) -> Mapping[str, Any]:
        """The live config in force."""
        return self.config.live

    @property
    def revision(self) -> int:
        return self.config.revision

    @property
    def max_steps(self) -> int:
        return int(self.values.get("max_steps") or 0)

    @property
    def progress(self) -> float:
        return min(1.0, self.step / self.max_steps) if self.max_steps else 0.0

    @property
    def eta_s(self) -> float | None:
        """Seconds to go; None while nothing moves."""
        return self.numbers.get("eta_s") if self.state in ("training", "validating") else None

    @property
    def quiet_s(self) -> float:
        return max(0.0, self.now - self.updated) if self.updated else 0.0

    @property
    def silent(self) -> bool:
        """Live by its process, yet without a word for long: beyond twenty seconds and five of its steps."""
        speed = self.steps_per_s or 0.0
        return self.state == "training" and self.quiet_s > max(SILENT_AFTER_S, 5.0 / speed if speed else 0.0)

    def metric(self, key: str) -> float | None:
        """The newest value of a metric, None if there is none or it is not finite."""
        return finite(self.metrics.get(key))

    def weights(self) -> dict[str, float | None]:
        """The loss weights in effect; the configured ones before the first row."""
        weights = {term: self.metric(f"weight/{term}") for term in TERMS}
        if all(value is None for value in weights.values()):
            return {term: finite(self.values.get(f"{term}_weight")) for term in TERMS}
        return weights

    def losses(self) -> dict[str, float | None]:
        """The newest unweighted loss terms."""
        return {term: self.metric(f"loss/{term}") for term in TERMS}

    def activity(self) -> dict[str, float]:
        """The newest activity of every layer: backward.0 …, forward.0 …, fusion.0 … May be NaN."""
        return {key[9:]: value for key, value in self.metrics.items() if key.startswith("activity/")}

    def streams(self) -> dict[str, list[float]]:
        """Activities by stream: backward, forward, fusion."""
        streams: dict[str, list[float]] = {"backward": [], "forward": [], "fusion": []}
        for layer, value in self.activity().items():
            streams.setdefault(layer.split(".")[0], []).append(value)
        return streams

    def failure(self) -> str:
        """What the newest `failed` event says."""
        event = next((event for event in reversed(self.events) if event.type in ("failed", "out_of_memory")), None)
        return str(event.data.get("error", "")) if event else ""
