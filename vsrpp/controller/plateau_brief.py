"""The plateau rule of the original specification, unchanged; selectable (`detector: brief`) and a row of the benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vsrpp.controller.detector import EMA_ALPHA, Detector, Observation, adaptive_threshold

EMA_SLACK = 0.001
"""The smoothed loss needs this much less improvement than a single loss (fraction of the best)."""

SLIGHT_COUNT = 0.5
"""What a step counts if it is better than the best, but by less than the threshold."""


class BriefDetector(Detector):
    """Improved: loss < best × (1 − threshold), or smoothed loss < best × (1 − threshold + 0.001), or quality."""

    kind = "brief"

    def _observe(self, loss: float) -> Observation:
        self.ema = loss if self.ema is None else EMA_ALPHA * loss + (1 - EMA_ALPHA) * self.ema
        if self.best is None:
            self.best = loss
            return Observation(0.0, 0.0, ())
        keep = 1 - adaptive_threshold(loss)
        improved: list[str] = []
        if loss < self.best * keep:
            improved.append("loss")
        if self.ema < self.best * (keep + EMA_SLACK):
            improved.append("ema")
        slight = loss < self.best or self.ema < self.best
        if improved:
            self.best = min(self.best, loss, self.ema)
        return Observation(SLIGHT_COUNT if slight else 1.0, 0.0, tuple(improved))

    def _forget(self) -> None:
        """Nothing to do: only `ema` and `best` describe the curve, and the base class drops both."""

    def _numbers(self) -> dict[str, float]:
        return {}

    def _own_state(self) -> dict[str, Any]:
        return {}

    def _load_own(self, state: Mapping[str, Any]) -> None:
        """Nothing to do: there is only the shared state."""
