"""Scores a clip frame by frame: two pairs of frames are in memory, whatever its length, and each frame's figures are kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vsrpp.metrics.measures import MEASURES
from vsrpp.metrics.running import ClipScorer, Frame, FramePair

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
        of_frames, of_steps = (extra.of_frames, extra.of_steps) if extra is not None else ({}, {})
        self._border = border
        self._scorer = ClipScorer(
            rgb=True, added=lambda pair: {name: measure(pair.pred, pair.truth) for name, measure in of_frames.items()},
            steps=lambda before, pair: {
                name: measure(before.pred, pair.pred, before.truth, pair.truth) for name, measure in of_steps.items()
            },
        )  # fmt: skip

    def add(self, ours: Frame, truth: Frame, *, number: int, scored: bool = True) -> None:
        """Measure frame `number` of the clip; one that is not scored counts only for the measures of time.

        Raises ValueError for frames that differ in shape, or are smaller than SSIM's window; Refused if they are too small
        for another measure.
        """
        if self._border:
            inner = slice(self._border, -self._border)
            ours, truth = ours[inner, inner], truth[inner, inner]
        self._scorer.add(FramePair(number, ours, truth), scored=scored)

    def result(self) -> dict[str, Any]:
        """`frames` (the scored ones), each measure's mean (tdiff_y is None for a single frame), and `per_frame`.

        per_frame: `frame`, the numbers of the scored frames, and each measure's values; those of time have one for each step.
        """
        scorer = self._scorer
        columns = {**scorer.frames.columns, **scorer.others.columns, **scorer.steps.columns}
        means = {**scorer.frames.means(), **scorer.others.means(), **scorer.steps.running_means()}
        series = {name: list(columns[name]) for name in MEASURES if name in columns}
        return {
            "frames": len(scorer.frames), "tdiff_y": None, **means,
            "per_frame": {"frame": list(scorer.frames.numbers), **series},
        }  # fmt: skip


def mean_of_clips(clips: list[dict[str, Any]]) -> dict[str, float | None]:
    """Each measure's mean over the clips that have it, all with equal weight; tdiff_y is None if none has."""
    means: dict[str, float | None] = {}
    for name in MEASURES:
        values = [clip[name] for clip in clips if clip.get(name) is not None]
        if values:
            means[name] = math.fsum(values) / len(values)
    return {"tdiff_y": None, **means}
