"""Scores a clip frame by frame: two pairs of frames are in memory, whatever its length, and each frame's figures are kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrpp.metrics.clip import evaluate_frames
from vsrpp.metrics.image import FloatImage, to_y
from vsrpp.metrics.measures import MEASURES

Frame = NDArray[np.uint8]
"""(H, W, 3) uint8 RGB."""
FrameMeasure = Callable[[Frame, Frame], float]
"""(ours, truth) -> a figure."""
StepMeasure = Callable[[Frame, Frame, Frame, Frame], float]
"""(ours before, ours, truth before, truth) -> a figure of the step from a frame to the next."""


@dataclass(frozen=True, slots=True)
class ExtraMeasures:
    """Measures beside PSNR, SSIM and tdiff_y, by their names in MEASURES."""

    of_frames: Mapping[str, FrameMeasure] = field(default_factory=dict)
    of_steps: Mapping[str, StepMeasure] = field(default_factory=dict)
    weights: Mapping[str, list[dict[str, str]]] = field(default_factory=dict)
    """Measure -> its weight files, each {file, sha256}."""

    def names(self) -> set[str]:
        return {*self.of_frames, *self.of_steps}


class ClipMeter:
    """The figures of one clip; `add` takes its frames in order."""

    def __init__(self, extra: ExtraMeasures | None = None, *, border: int = 0) -> None:
        """border: pixels cut off on each side before anything is measured."""
        self._extra = extra or ExtraMeasures()
        self._border = border
        self._numbers: list[int] = []
        self._series: dict[str, list[float]] = {}
        self._before: tuple[Frame, Frame, FloatImage] | None = None

    def add(self, ours: Frame, truth: Frame, *, number: int, scored: bool = True) -> None:
        """Measure frame `number` of the clip; one that is not scored counts only for the measures of time.

        Raises ValueError for frames that differ in shape, or are smaller than SSIM's window; Refused if they are too small
        for another measure.
        """
        if self._border:
            inner = slice(self._border, -self._border)
            ours, truth = ours[inner, inner], truth[inner, inner]
        if scored:
            self._numbers.append(number)
            self._note(evaluate_frames(ours[None], truth[None]))
            self._note({name: measure(ours, truth) for name, measure in self._extra.of_frames.items()})
        error = to_y(ours) - to_y(truth)
        if self._before is not None:
            ours_before, truth_before, error_before = self._before
            self._note({"tdiff_y": float(np.abs(error - error_before).mean())})
            steps = self._extra.of_steps.items()
            self._note({name: measure(ours_before, ours, truth_before, truth) for name, measure in steps})
        self._before = ours, truth, error

    def result(self) -> dict[str, Any]:
        """`frames` (the scored ones), each measure's mean (tdiff_y is None for a single frame), and `per_frame`.

        per_frame: `frame`, the numbers of the scored frames, and each measure's values; those of time have one for each step.
        """
        means = {name: math.fsum(values) / len(values) for name, values in self._series.items()}
        series = {name: self._series[name] for name in MEASURES if name in self._series}
        return {
            "frames": len(self._numbers), "tdiff_y": None, **means, "per_frame": {"frame": self._numbers, **series}
        }  # fmt: skip

    def _note(self, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self._series.setdefault(name, []).append(value)


def mean_of_clips(clips: list[dict[str, Any]]) -> dict[str, float | None]:
    """Each measure's mean over the clips that have it, all with equal weight; tdiff_y is None if none has."""
    means: dict[str, float | None] = {}
    for name in MEASURES:
        values = [clip[name] for clip in clips if clip.get(name) is not None]
        if values:
            means[name] = math.fsum(values) / len(values)
    return {"tdiff_y": None, **means}
