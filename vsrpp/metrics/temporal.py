"""How steady a clip is, without optical flow: differences of frame differences, and one row of pixels over time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrpp.metrics.image import to_y

PROFILE_MIN_HEIGHT = 96
"""Rows of a profile are repeated until it is at least this high."""


def temporal_difference_y(pred: NDArray[Any], gt: NDArray[Any]) -> float | None:
    """Mean of |(p[t+1] - p[t]) - (g[t+1] - g[t])| over the luma of a clip, in grey levels; None for a single frame.

    0 where the clip changes from frame to frame just as the truth does, however blurred it is; flicker and swimming
    texture raise it. Nothing is warped, so no flow network's faults are in it. pred, gt: (T, H, W, 3) uint8. Raises
    ValueError if the shapes differ.
    """
    if pred.shape != gt.shape:
        raise ValueError(f"pred and gt must have the same shape, not {pred.shape} and {gt.shape}")
    if len(pred) < 2:
        return None
    errors = (to_y(ours) - to_y(truth) for ours, truth in zip(pred, gt, strict=True))
    before, total = next(errors), 0.0
    for error in errors:
        total += float(np.abs(error - before).mean())
        before = error
    return total / (len(pred) - 1)


def temporal_profile(clips: list[NDArray[np.uint8]], row: int | None = None) -> NDArray[np.uint8]:
    """One row of pixels of every frame, time downward, of several clips (T, H, W, 3) side by side; (h, n·W, 3) uint8.

    The middle row unless said. Each line is repeated alike until the picture is at least PROFILE_MIN_HEIGHT high.
    """
    chosen = clips[0].shape[1] // 2 if row is None else row
    lines = np.concatenate([clip[:, chosen] for clip in clips], axis=1)
    return np.repeat(lines, -(-PROFILE_MIN_HEIGHT // len(lines)), axis=0)
