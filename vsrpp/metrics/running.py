"""The metrics of a clip whose frames arrive one after another: the same figures as over whole arrays, to the last bit, in
memory that does not depend on its length (16 bytes per frame and metric).
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrpp.metrics.clip import frame_figures
from vsrpp.metrics.image import FloatImage, to_y

Frame = NDArray[np.uint8]


@dataclass(frozen=True)
class FramePair:
    """A frame and its ground truth, (H, W, 3) uint8, with the number it has in its clip. The lumas are computed once."""

    number: int
    pred: Frame
    truth: Frame

    @cached_property
    def pred_y(self) -> FloatImage:
        return to_y(self.pred)

    @cached_property
    def truth_y(self) -> FloatImage:
        return to_y(self.truth)


FrameMetric = Callable[[FramePair], Mapping[str, float]]
"""Values of one frame by name; every frame gives the same names."""
StepMetric = Callable[[FramePair, FramePair], Mapping[str, float]]
"""Values of the step from a frame to the next, by name."""


@dataclass
class FrameTable:
    """Values per frame: a column for each metric, a row for each frame that has them."""

    numbers: array[int] = field(default_factory=lambda: array("q"))
    """The frames' numbers in the clip, in order."""
    columns: dict[str, array[float]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.numbers)

    def add(self, number: int, values: Mapping[str, float]) -> None:
        self.numbers.append(number)
        for name, value in values.items():
            self.columns.setdefault(name, array("d")).append(value)

    def means(self) -> dict[str, float]:
        """Mean of each column, correctly rounded, as `evaluate_frames` takes it."""
        return {name: math.fsum(values) / len(values) for name, values in self.columns.items()}

    def running_means(self) -> dict[str, float]:
        """Mean of each column, added up in order, as `temporal_difference_y` takes it."""
        return {name: _added_up(values) / len(values) for name, values in self.columns.items()}

    def items(self, name: str) -> Iterator[tuple[int, float]]:
        """(frame, value) of a column; nothing if no frame has it."""
        return zip(self.numbers, self.columns.get(name, ()), strict=name in self.columns)

    def per_frame(self) -> dict[str, list[Any]]:
        """`frame`, the numbers, and each metric's values; a value that is not a number is None."""
        values = {name: [None if math.isnan(value) else value for value in each] for name, each in self.columns.items()}
        return {"frame": list(self.numbers), **values}

    def rows(self) -> Iterator[dict[str, Any]]:
        """{frame, and each metric} of every frame; a value that is not a number is None."""
        for place, number in enumerate(self.numbers):
            values = {name: column[place] for name, column in self.columns.items()}
            yield {"frame": number, **{name: None if math.isnan(value) else value for name, value in values.items()}}


class ClipScorer:
    """Compares the frames of a clip with the truth, in order, one at a time."""

    def __init__(self, *, rgb: bool, added: FrameMetric | None = None, steps: StepMetric | None = None) -> None:
        """rgb: as in `evaluate_frames`. added, steps: further values of each scored frame, and of each step."""
        self._rgb = rgb
        self._added = added
        self._added_steps = steps
        self.frames = FrameTable()
        """`evaluate_frames` of each scored frame."""
        self.others = FrameTable()
        """What `added` gives for it."""
        self.steps = FrameTable()
        """`tdiff_y`, and what `steps` gives, of each frame whose predecessor was compared, too; scored or not."""
        self._before: tuple[FramePair, FloatImage] | None = None

    def add(self, pair: FramePair, *, scored: bool = True) -> None:
        """Compare the next frame. Frames that were left out since the last one end a run: no step crosses them."""
        if scored:
            self.frames.add(pair.number, frame_figures(pair.pred, pair.truth, (pair.pred_y, pair.truth_y), self._rgb))
            if self._added is not None:
                self.others.add(pair.number, self._added(pair))
        error = pair.pred_y - pair.truth_y
        if self._before is not None and self._before[0].number == pair.number - 1:
            before, error_before = self._before
            more = self._added_steps(before, pair) if self._added_steps is not None else {}
            self.steps.add(pair.number, {"tdiff_y": float(np.abs(error - error_before).mean()), **more})
        self._before = pair, error

    def means(self) -> dict[str, float]:
        """`evaluate_frames` of the scored frames; with `temporal_difference_y` as tdiff_y unless no two frames are neighbours."""
        return {**self.frames.means(), **self.steps.running_means()}


def _added_up(values: array[float]) -> float:
    total = 0.0  # not sum(), which compensates rounding errors since Python 3.12
    for value in values:
        total += value
    return total
