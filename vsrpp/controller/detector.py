"""Plateau detectors: they take one loss per optimizer step and return a decision; nothing else happens here.

Two are offered by `make`: `vsrpp`, a trend test that knows the loss's own noise (`plateau_trend`), and `brief`, the
rule of the system this one grew out of (`plateau_brief`). Both count steps without improvement; a plateau holds while
the count is above the live `plateau_patience`, so an edited patience counts from the very next step, both ways.
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
"""A validation whose quality is above the reference times this is an improvement (ratio)."""

THRESHOLDS = ((0.1, 0.005), (0.05, 0.003), (0.02, 0.002), (0.0, 0.001))
"""(loss level, least relative improvement that counts): 0.5 % above a loss of 0.1, down to 0.1 % below 0.02."""


def adaptive_threshold(loss: float) -> float:
    """The least relative improvement that counts at this level of the loss: a fraction, 0.001 to 0.005."""
    for level, threshold in THRESHOLDS:
        if loss > level:
            return threshold
    return THRESHOLDS[-1][1]


@dataclass(frozen=True, slots=True)
class Decision:
    """What a detector says after one step."""

    plateau: bool
    """True while the counter is above the live `plateau_patience`."""
    counter: float
    """Steps without improvement; one of slight improvement, or of too much noise to tell, counts as less than one."""
    ema: float | None
    """Smoothed loss; None before the first finite one."""
    best: float | None
    """Lowest smoothed loss since the last restart."""
    threshold: float
    """Least relative improvement that counts now (fraction)."""
    improved: tuple[str, ...]
    """Signals that improved at this step (`loss`, `ema`, `trend`, `quality`); any of them resets the counter."""
    detected: bool
    """A plateau begins at this step."""
    cleared: bool
    """A plateau ends at this step."""
    reason: str
    """Why, in words, for a timeline; empty when neither `detected` nor `cleared`."""
    numbers: dict[str, float]
    """The measurements behind it; read-only."""


class Observation(NamedTuple):
    """What one finite loss means to a detector."""

    counted: float
    """How much of a step this step counts, 0 to 1."""
    backdated: float
    """The count is at least this, in steps, as far as there were countable ones."""
    improved: tuple[str, ...]
    """Signals that improved; the count is 0 then."""


class Detector(ABC):
    """What all detectors share: the count, its edges, the validation's quality, a state that survives JSON exactly."""

    kind: str

    def __init__(self) -> None:
        self.counter = 0.0
        self.countable = 0
        """Steps that could count since the last restart, better quality or end of a plateau: the count is never
        backdated beyond."""
        self.held = False
        self.ema: float | None = None
        self.best: float | None = None
        self.quality_best: float | None = None
        self.quality_reference: float | None = None
        self.note = ""
        """Why the counter was last reset from outside; told when that clears a plateau."""

    def update(
        self, step: int, loss: float, live: Mapping[str, Any], *, quality: float | None = None, grace: bool = False
    ) -> Decision:
        """Take the loss of optimizer step `step`; `quality` only at a validation.

        `grace`: observe this step without counting it (warm-up, cooldown). A loss that is not finite is left out:
        it changes nothing, the counter stays. Never raises, whatever the numbers.
        """
        del step  # the count is of calls: a rewound step counter after a rollback cannot confuse it
        seen = self._observe(loss) if math.isfinite(loss) else _NOTHING
        improved = seen.improved
        if quality is not None and self._quality_improved(quality):
            improved = (*improved, "quality")
            self.countable = 0
        if improved:
            self.counter = 0.0
            if self.held:  # what chance cleared on a flat curve must not be backdated into a plateau at the next block
                self.countable = 0
        elif not grace and seen is not _NOTHING:
            self.countable += 1
            self.counter = max(self.counter + seen.counted, min(seen.backdated, float(self.countable)))
        return self._decide(improved, float(live["plateau_patience"]))

    @abstractmethod
    def _observe(self, loss: float) -> Observation:
        """Take one finite loss."""

    @abstractmethod
    def _forget(self) -> None:
        """Drop what was learnt of the curve before a restart."""

    @abstractmethod
    def _numbers(self) -> dict[str, float]:
        """The measurements behind the present verdict."""

    @abstractmethod
    def _own_state(self) -> dict[str, Any]:
        """What the concrete detector adds to the state."""

    @abstractmethod
    def _load_own(self, state: Mapping[str, Any]) -> None:
        """Take `_own_state` back."""

    def restart(self, reason: str, *, keep_trend: bool = False) -> None:
        """Count from zero: after a rollback, a restart, a big live change.

        The curve before is forgotten too, unless `keep_trend` (the curve goes on, only the count starts again). The
        next `update` reports `cleared` with this reason if a plateau held. Validation's best quality stays known.
        """
        self.counter, self.countable = 0.0, 0
        self.note = reason
        if not keep_trend:
            self.ema = self.best = None
            self._forget()

    def state(self) -> dict[str, Any]:
        """Everything a decision depends on, as JSON-able values; floats survive `json` exactly."""
        shared = {name: getattr(self, name) for name in _SHARED}
        return {"kind": self.kind, **shared, **self._own_state()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take back a `state()`; raises ValueError if it is another detector's."""
        if state["kind"] != self.kind:
            raise ValueError(f"state of detector {state['kind']} given to {self.kind}: set detector={state['kind']}")
        for name in _SHARED:
            setattr(self, name, state[name])
        self._load_own(state)

    def _quality_improved(self, quality: float) -> bool:
        """Against a reference that moves only when an improvement counted, so that a slow rise adds up."""
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
        plateau = self.counter > patience
        detected, cleared = plateau and not self.held, self.held and not plateau
        numbers = self._numbers()
        reason = ""
        if detected:
            reason = f"no improvement in {self.counter:.0f} counted steps (patience {patience:g})"
        elif cleared:
            reason = self._why_cleared(improved, patience)
        if improved or plateau or cleared:
            self.note = ""
        self.held = plateau
        threshold = adaptive_threshold(self.ema if self.ema is not None else 0.0)
        return Decision(
            plateau, self.counter, self.ema, self.best, threshold, improved, detected, cleared, reason, numbers
        )

    def _why_cleared(self, improved: tuple[str, ...], patience: float) -> str:
        if improved:
            return f"improvement seen in {' and '.join(improved)}"
        if self.note:
            return self.note
        return f"patience is now {patience:g}, above the count of {self.counter:.0f}"


_NOTHING = Observation(0.0, 0.0, ())
_SHARED = ("counter", "countable", "held", "ema", "best", "quality_best", "quality_reference", "note")
