"""Temporal consistency without optical flow: differences of frame differences, and one row of pixels over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrpp.metrics.image import to_y

PROFILE_MIN_HEIGHT = 96
"""Minimum height of a profile in pixels; its rows are repeated to reach it."""

PROFILE_MAX_FRAMES = 1000
"""Frames that a profile shows: a picture of more lines helps nobody, and memory must not depend on a clip's length."""


def temporal_difference_y(pred: NDArray[Any], gt: NDArray[Any]) -> float | None:
    """Mean of |(p[t+1] - p[t]) - (g[t+1] - g[t])| over the luma of a clip, in grey levels; None for a single frame.

    0 if the clip changes from frame to frame exactly as the truth does, however blurred it is; flicker and swimming texture
    increase it. It needs no warping, so it does not depend on a flow network. pred, gt: (T, H, W, 3) uint8.
    Raises ValueError if the shapes differ.
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
    """One row of pixels of every frame of n clips (T, H, W, 3), side by side, time downwards: (h, n·W, 3) uint8.

    row: default the middle one. Rows are repeated evenly until the picture is at least PROFILE_MIN_HEIGHT high.
    """
    profile = ProfileLines(row)
    for frames in zip(*clips, strict=True):
        profile.add(frames)
    return profile.picture()


class ProfileLines:
    """The `temporal_profile` of clips whose frames arrive one after another: of the first PROFILE_MAX_FRAMES frames."""

    def __init__(self, row: int | None = None) -> None:
        self._row = row
        self._lines = bytearray()  # one block: small ones between the frames' would keep the heap from being reused
        self._shape = (0, 0, 3)

    def add(self, frames: Sequence[NDArray[np.uint8]]) -> None:
        """The next frame of each clip, (H, W, 3)."""
        lines, width, _ = self._shape
        if lines < PROFILE_MAX_FRAMES:
            row = frames[0].shape[0] // 2 if self._row is None else self._row
            for frame in frames:
                self._lines += frame[row].tobytes()
            self._shape = (lines + 1, width or sum(frame.shape[1] for frame in frames), 3)

    def picture(self) -> NDArray[np.uint8]:
        """(h, n·W, 3) uint8."""
        lines = np.frombuffer(bytes(self._lines), np.uint8).reshape(self._shape)
        return np.repeat(lines, -(-PROFILE_MIN_HEIGHT // len(lines)), axis=0)
