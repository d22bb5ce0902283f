"""What validations say about a run's health: a recurrence that diverges, a picture worse than bicubic, quality that fell.

Pure functions of the figures on record, so that a resume and a replay find the same.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

GAIN_LOST_DB = 0.05
"""Gain at the training window that may be missing at the window of inference."""
MOST_GROWTH = 1.05
"""Growth per frame of a state that counts as stable: 1.05 is a factor of 4 over the 29 frames beyond a sample of 3."""
BELOW_DB = 0.02
"""Below bicubic by less is not reported: an untrained network equals bicubic up to rounding."""
EARLY = 0.1
"""Part of the run in which a network that was never above bicubic may be below it."""
FALL_DB, RECOVERED_DB = 0.2, 0.1
"""A fall below the best that is reported, and the distance to it at which it counts as over."""
NOISES = 4.0
"""A fall must also be this many standard deviations of what validations vary by."""
NOISE_OF = 8
"""Newest validations that the noise is estimated from."""

TYPES = ("recurrence_unstable", "below_bicubic", "quality_fell")
RECOVERED = "validation_recovered"
"""The event that ends one of TYPES; `data["what"]` names it."""
Figures = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Finding:
    """An event to record."""

    type: str
    data: dict[str, Any] = field(default_factory=dict)


def findings(before: Sequence[tuple[int, Figures]], step: int, now: Figures, max_steps: int) -> list[Finding]:
    """What begins or ends with a validation. before: (step, `val/*`) of the earlier ones of the line, oldest first."""
    open_before = _held(before, max_steps)
    held = _held([*before, (step, now)], max_steps)
    began = [Finding(type, data) for type, data in held.items() if type not in open_before]
    return began + [Finding(RECOVERED, {"what": type}) for type in open_before if type not in held]


def _held(validations: Sequence[tuple[int, Figures]], max_steps: int) -> dict[str, dict[str, Any]]:
    """The findings that hold after the newest of the validations, with their figures."""
    held: dict[str, dict[str, Any]] = {}
    best: tuple[int, float] | None = None
    newest: deque[float] = deque(maxlen=NOISE_OF)
    was_above = False
    for step, figures in validations:
        psnr, bicubic = figures.get("val/psnr_y"), figures.get("val/bicubic_psnr_y")
        _set(held, "recurrence_unstable", _unstable(figures))
        if psnr is None:
            continue
        if bicubic is not None:
            _set(held, "below_bicubic", _below(psnr - bicubic, was_above or step > EARLY * max_steps, held))
            was_above = was_above or psnr >= bicubic
        _set(held, "quality_fell", _fallen(best, newest, psnr, "quality_fell" in held))
        newest.append(psnr)
        if best is None or psnr > best[1]:
            best = step, psnr
    return held


def _set(held: dict[str, dict[str, Any]], type: str, data: dict[str, Any] | None) -> None:
    if data is None:
        held.pop(type, None)
    else:
        held[type] = data


def _unstable(figures: Figures) -> dict[str, Any] | None:
    growth, long, short = (
        figures.get(f"val/{name}") for name in ("recurrence_growth", "gain_window", "gain_train_window")
    )
    if long is None or short is None:
        return None
    if long >= short - GAIN_LOST_DB and (growth is None or growth <= MOST_GROWTH):
        return None
    return {"gain_window": long, "gain_train_window": short, **({"growth": growth} if growth is not None else {})}


def _below(gain: float, counts: bool, held: Mapping[str, Any]) -> dict[str, Any] | None:
    limit = 0.0 if "below_bicubic" in held else -BELOW_DB
    return {"gain": gain} if counts and gain < limit else None


def _fallen(
    best: tuple[int, float] | None, newest: Sequence[float], psnr: float, is_held: bool
) -> dict[str, Any] | None:  # fmt: skip
    if best is None:
        return None
    step, score = best
    limit = RECOVERED_DB if is_held else max(FALL_DB, NOISES * _noise(newest))
    return {"psnr_y": psnr, "best": score, "best_step": step} if score - psnr > limit else None


def _noise(scores: Sequence[float]) -> float:
    """Standard deviation of a validation, robustly from the differences of neighbours; 0 for fewer than four."""
    if len(scores) < 4:
        return 0.0
    return 1.4826 * statistics.median(abs(after - before) for before, after in pairwise(scores)) / 2**0.5
