"""The learning rate at any step, under any live config. Pure: the same arguments give the same rate, to the bit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def learning_rate(step: int, live: Mapping[str, Any], warmup_steps: int, factor: float = 1.0) -> float:
    """The rate of the optimizer step that leads from `step` (≥ 0) to `step + 1`, always within [min_lr, max_lr].

    The rate is min_lr plus a part of the way up to max_lr. That part rises in a straight line during the warm-up,
    then falls along half a cosine (SGDR, arXiv:1608.03983) until `live["max_steps"]`, and is 0 from there on. It does
    not depend on the two rates, so an edit of max_lr keeps the phase of the schedule.

    `factor` (≥ 0) is the controller's: it multiplies the part, which never leaves [0, 1].
    """
    low, high = live["min_lr"], live["max_lr"]
    part = min(1.0, max(0.0, factor * shape(step, live["max_steps"], warmup_steps)))
    return high if part == 1.0 else min(high, low + (high - low) * part)  # low + (high - low) may round off high


def shape(step: int, max_steps: int, warmup_steps: int) -> float:
    """The schedule without its rates: the part in [0, 1] of the way from min_lr up to max_lr.

    The warm-up's first step is one part of `warmup_steps + 1` up, so that no step is wasted at the very bottom.
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
    """The rates ahead, for drawing: (step, rate) at up to `points` steps, evenly spread, both ends included.

    Empty if `stop` lies before `start`.
    """
    if stop < start:
        return []
    count = max(1, min(points, stop - start + 1))
    steps = [start + round(index * (stop - start) / max(1, count - 1)) for index in range(count)]
    return [(step, learning_rate(step, live, warmup_steps, factor)) for step in steps]
