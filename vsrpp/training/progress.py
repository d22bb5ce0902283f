"""The progress figures: whether the loss is still falling, and the training score. Computed only here.

Pure functions of numbers. `docs/adaptive-system.md` has the formulas; `vsrpp.control.numbers` passes the results on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from vsrpp.control.numbers import CONVERGENCE as STATES
from vsrpp.control.numbers import SCORE_PARTS as PART_NAMES

BLOCK_STEPS = 8
"""Steps averaged into one point of the smoothed loss."""

BLOCKS_KEPT, BLOCKS_NEEDED = 64, 8
"""Number of points for the line fit (512 steps), and the minimum it needs."""

SURE_ERRORS = 2.0
"""A slope larger than this many of its standard errors is significant."""

TELLING_ERROR = 0.05
"""Standard error (relative change per 1000 steps) above which an insignificant slope is inconclusive."""

LEAST_SLOPE = 0.001
"""Relative change per 1000 steps below which a loss counts as flat, even if significant."""

UNKNOWN, FALLING, FLAT, RISING, NOISY = STATES

FULL_GAIN_DB = 1.0
"""Gain over bicubic (dB of PSNR-Y) that earns this part's full score."""

SHARPNESS_SPAN = 0.5
"""A sharpness ratio this far from the ground truth's earns no points."""

SCORE_PARTS = dict(zip(PART_NAMES, (60, 20, 10, 10), strict=True))
"""Maximum points of each part of the training score; together 100."""

_CONVERGENCE_PART = {FALLING: 1.0, UNKNOWN: 0.5, NOISY: 0.5, FLAT: 0.5, RISING: 0.0}


class Convergence:
    """The slope of the smoothed loss over the last 512 steps."""

    def __init__(self) -> None:
        self.blocks: list[float] = []
        self.partial: list[float] = []

    def add(self, loss: float) -> None:
        """Add the loss of one step; ignored unless it is a positive number."""
        if not (math.isfinite(loss) and loss > 0):
            return
        self.partial.append(math.log(loss))
        if len(self.partial) == BLOCK_STEPS:
            self.blocks = [*self.blocks[1 - BLOCKS_KEPT :], math.fsum(self.partial) / BLOCK_STEPS]
            self.partial = []

    def values(self) -> dict[str, float]:
        """`progress/convergence` (the state's number), plus slope and standard error once a line can be fitted."""
        slope, error = self._line()
        state = float(STATES.index(self.state()))
        if slope is None or error is None:
            return {"progress/convergence": state}
        return {
            "progress/convergence": state,
            "progress/slope_percent_per_1000_steps": 100 * slope,
            "progress/slope_error_percent": 100 * error,
        }

    def state(self) -> str:
        slope, error = self._line()
        if slope is None or error is None:
            return UNKNOWN
        if abs(slope) > max(LEAST_SLOPE, SURE_ERRORS * error):
            return FALLING if slope < 0 else RISING
        return NOISY if error > TELLING_ERROR else FLAT

    def _line(self) -> tuple[float | None, float | None]:
        """Least-squares slope of the log loss and its standard error, as relative change per 1000 steps."""
        count = len(self.blocks)
        if count < BLOCKS_NEEDED:
            return None, None
        middle, mean = (count - 1) / 2, math.fsum(self.blocks) / count
        spread = count * (count * count - 1) / 12
        slope = math.fsum((at - middle) * value for at, value in enumerate(self.blocks)) / spread
        rest = math.fsum((value - mean - slope * (at - middle)) ** 2 for at, value in enumerate(self.blocks))
        per_1000 = 1000 / BLOCK_STEPS
        return slope * per_1000, math.sqrt(rest / (count - 2) / spread) * per_1000

    def to_state(self) -> dict[str, Any]:
        return {"blocks": list(self.blocks), "partial": list(self.partial)}

    def load(self, state: Mapping[str, Any]) -> None:
        self.blocks, self.partial = list(state.get("blocks", ())), list(state.get("partial", ()))


def score(figures: Mapping[str, float], convergence: str, norms: Sequence[float], clip: float) -> dict[str, float]:
    """`progress/score` (0 to 100) and the points of its parts; empty before the first validation.

    `figures`: metrics of the last validation (`val/*`). `norms`: gradient norms of the last few steps before clipping;
    those that are finite and not above `clip` count as stable.
    """
    psnr, bicubic, sharpness = (figures.get(f"val/{name}") for name in ("psnr_y", "bicubic_psnr_y", "sharpness"))
    if psnr is None or bicubic is None or sharpness is None:
        return {}
    gain = psnr - bicubic
    parts = {
        "gain": _unit(gain / FULL_GAIN_DB),
        "sharpness": _unit(1 - abs(1 - sharpness) / SHARPNESS_SPAN),
        "convergence": _CONVERGENCE_PART[convergence],
        "stability": sum(norm <= clip for norm in norms) / len(norms) if norms else 1.0,
    }
    points = {f"progress/score_{name}": SCORE_PARTS[name] * part for name, part in parts.items()}
    return {"progress/score": math.fsum(points.values()), **points}


def _unit(value: float) -> float:
    """Clamped to [0, 1]; NaN becomes 0."""
    return min(1.0, max(0.0, value)) if math.isfinite(value) else 0.0
