"""The base of plateau detectors, which take one loss per optimizer step and return a decision.

There are two: `vsrpp`, a trend test that accounts for the noise of the loss (`plateau_trend`), and `brief`, the rule of
this project's predecessor (`plateau_brief`). Both count steps without improvement. There is a plateau while the count is
above the live `plateau_patience`, so an edited patience applies from the next step, in both directions.
`docs/adaptive-system.md` explains them, `scripts/bench_plateau` measures them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

EMA_ALPHA = 0.1
"""Weight of the newest loss in the smoothed loss (per step): a memory of about 19 steps."""

QUALITY_GAIN = 1.001
"""A validation is an improvement if its quality exceeds the reference times this ratio."""

THRESHOLDS = ((0.1, 0.005), (0.05, 0.003), (0.02, 0.002), (0.0, 0.001))
"""(loss level, minimum relative improvement): from 0.5 % above a loss of 0.1 down to 0.1 % below 0.02."""


def adaptive_threshold(loss: float) -> float:
    """The minimum relative improvement at this level of the loss: a fraction from 0.001 to 0.005."""
    for level, threshold in THRESHOLDS:
        if loss > level:
            return threshold
    return THRESHOLDS[-1][1]


@dataclass(frozen=True, slots=True)
class Decision:
    """A detector's decision after one step."""

    plateau: bool
    """True while the counter is above the live `plateau_patience`."""
    counter: float
    """Steps without improvement, at most the patience unless there is a plateau.

    A step with slight improvement or too much noise to tell counts less than one.
    """
    ema: float | None
    """Smoothed loss; None before the first finite one."""
    best: float | None
    """Lowest smoothed loss since the last restart."""
    threshold: float
    """Minimum relative improvement at present (fraction)."""
    improved: tuple[str, ...]
    """Signals that improved at this step: `loss`, `ema`, `trend` and `quality` reset the counter, `run` does not."""
    detected: bool
    """A plateau begins at this step."""
    cleared: bool
    """A plateau ends at this step."""
    reason: str
    """The reason, for a timeline; empty unless `detected` or `cleared`."""
    numbers: dict[str, float]
    """The measurements behind the decision; read-only."""


class Observation(NamedTuple):
    """A detector's reading of one finite loss."""

    counted: float
    """How much this step adds to the count, 0 to 1."""
    backdated: float
    """Lower bound for the count in steps, limited to the number of countable steps."""
    improved: tuple[str, ...]
    """Signals that improved; any of them resets the count to 0."""


class Detector(ABC):
    """The base class: the count, begin and end of a plateau, validation quality, and a state that survives JSON exactly."""

    kind: str

    def __init__(self) -> None:
        self.counter = 0.0
        self.countable = 0
        """Countable steps since the last restart, better quality or end of a plateau; the limit for backdating."""
        self.held = False
        self.ema: float | None = None
        self.best: float | None = None
        self.quality_best: float | None = None
        self.quality_reference: float | None = None
        self.note = ""
        """Why the counter was last reset from outside; the reason given if that clears a plateau."""

    def update(
        self, step: int, loss: float, live: Mapping[str, Any], *, quality: float | None = None, grace: bool = False
    ) -> Decision:
        """Add the loss of optimizer step `step`, and `quality` at a validation.

        grace: observe this step without counting it (warm-up, cooldown). A loss that is not finite is ignored and leaves
        the counter unchanged. Never raises, whatever the numbers.
        """
        del step  # calls are counted, not steps, so that a rollback's rewound step number has no effect
        seen = self._observe(loss) if math.isfinite(loss) else _NOTHING
        improved = seen.improved
        if quality is not None and self._quality_improved(quality):
            improved = (*improved, "quality")
            self.countable = 0
        if improved:
            self.counter = 0.0
            if self.held:  # a plateau cleared by chance must not be backdated into existence at the next block
                self.countable = 0
        elif not grace and seen is not _NOTHING:
            self.countable += 1
            self.counter = max(self.counter + seen.counted, min(seen.backdated, float(self.countable)))
        return self._decide(improved, float(live["plateau_patience"]))

    @abstractmethod
    def _observe(self, loss: float) -> Observation:
        """Add one finite loss."""

    @abstractmethod
    def _forget(self) -> None:
        """Drop everything learned about the curve before a restart."""

    @abstractmethod
    def _numbers(self) -> dict[str, float]:
        """The measurements behind the current decision."""

    @abstractmethod
    def _own_state(self) -> dict[str, Any]:
        """The concrete detector's part of the state."""

    @abstractmethod
    def _load_own(self, state: Mapping[str, Any]) -> None:
        """Restore `_own_state`."""

    @property
    def reported(self) -> bool:
        """Whether the last decision was a plateau."""
        return self.held

    def _verdict(self, candidate: bool) -> bool:
        """Whether there is a plateau; `candidate`: the count is above the patience. Called once per step."""
        return candidate

    def restart(self, reason: str, *, keep_trend: bool = False) -> None:
        """Reset the count after a rollback, a restart or a large live edit.

        Also forgets the curve so far, unless `keep_trend`. If there was a plateau, the next `update` reports `cleared` with
        this reason. The best validation quality is kept.
        """
        self.counter, self.countable = 0.0, 0
        self.note = reason
        if not keep_trend:
            self.ema = self.best = None
            self._forget()

    def state(self) -> dict[str, Any]:
        """Everything a decision depends on, as JSON values; floats survive a round trip exactly."""
        shared = {name: getattr(self, name) for name in _SHARED}
        return {"kind": self.kind, **shared, **self._own_state()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore a `state()`. Raises ValueError if it is of another detector."""
        if state["kind"] != self.kind:
            raise ValueError(f"state of detector {state['kind']} given to {self.kind}: set detector={state['kind']}")
        for name in _SHARED:
            setattr(self, name, state[name])
        self._load_own(state)

    def _quality_improved(self, quality: float) -> bool:
        """Compare with a reference that moves only when an improvement counts, so that a slow rise adds up."""
        if not math.isfinite(quality):
            return False
        if self.quality_reference is None or self.quality_best is None:
            self.quality_reference = self.quality_best = quality
            return False
        self.quality_best = max(self.quality_best, quality)
        margin = abs(self.quality_reference) * (QUALITY_GAIN - 1)
        if quality <= self.quality_reference + margin:
            return False
        self.quality_reference = quality
        return True

    def _decide(self, improved: tuple[str, ...], patience: float) -> Decision:
        before, candidate = self.reported, self.counter > patience
        self.held = candidate
        plateau = self._verdict(candidate)
        detected, cleared = plateau and not before, before and not plateau
        numbers = self._numbers()
        reason = ""
        if detected:
            reason = f"no improvement in {self.counter:.0f} counted steps (patience {patience:g})"
        elif cleared:
            reason = self._why_cleared(improved, patience)
        if improved or plateau or cleared:
            self.note = ""
        threshold = adaptive_threshold(self.ema if self.ema is not None else 0.0)
        counter = self.counter if plateau else min(self.counter, patience)
        return Decision(plateau, counter, self.ema, self.best, threshold, improved, detected, cleared, reason, numbers)

    def _why_cleared(self, improved: tuple[str, ...], patience: float) -> str:
        if improved:
            return f"improvement seen in {' and '.join(improved)}"
        if self.note:
            return self.note
        return f"patience is now {patience:g}, above the count of {self.counter:.0f}"


_NOTHING = Observation(0.0, 0.0, ())
_SHARED = ("counter", "countable", "held", "ema", "best", "quality_best", "quality_reference", "note")
