"""The learning rate schedule: a pure function of step and live config, bit-identical for equal arguments."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def learning_rate(step: int, live: Mapping[str, Any], warmup_steps: int, factor: float = 1.0) -> float:
    """The rate of the optimizer step that leads from `step` (≥ 0) to `step + 1`, always within [min_lr, max_lr].

    The rate is min_lr plus a fraction of (max_lr - min_lr). That fraction rises linearly during the warm-up, then falls
    along half a cosine (SGDR, arXiv:1608.03983) until `live["max_steps"]`, and is 0 afterwards. It does not depend on the
    two rates, so an edit of max_lr keeps the phase of the schedule.

    `factor` (≥ 0) comes from the controller: it multiplies the fraction, which is clipped to [0, 1].
    """
    low, high = live["min_lr"], live["max_lr"]
    part = min(1.0, max(0.0, factor * shape(step, live["max_steps"], warmup_steps)))
    return high if part == 1.0 else min(high, low + (high - low) * part)  # low + (high - low) may round off high


def shape(step: int, max_steps: int, warmup_steps: int) -> float:
    """The schedule without its rates: the fraction in [0, 1] between min_lr and max_lr.

    The first step of the warm-up is at 1 / (warmup_steps + 1), so that no step is wasted at min_lr.
    """
    if step >= max_steps:
        return 0.0
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    phase = (step - warmup_steps) / (max_steps - warmup_steps)
    return 0.5 * (1.0 + math.cos(math.pi * phase))


def curve(
    start: int, stop: int, live: Mapping[str, Any], warmup_steps: int, factor: float = 1.0, points: int = 200
) -> list[tuple[int, float]]:
    """Future rates, for plotting: (step, rate) at up to `points` evenly spaced steps from `start` to `stop` inclusive.

    Empty if `stop` is before `start`.
    """
    if stop < start:
        return []
    count = max(1, min(points, stop - start + 1))
    steps = [start + round(index * (stop - start) / max(1, count - 1)) for index in range(count)]
    return [(step, learning_rate(step, live, warmup_steps, factor)) for step in steps]
