"""How much one evaluation differs from another of the same frames, with a confidence interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrpp.metrics.measures import MEASURES

RESAMPLES = 2000
CONFIDENCE = 0.95
_SEED = 0
"""The same figures give the same interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A minus B in one measure."""

    a: float
    b: float
    mean: float
    """Of A minus B, over the frames of each clip, then over clips."""
    low: float
    high: float
    """The interval of that mean."""
    clips: int
    method: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def worst(self, higher_is_better: bool) -> float:
        """The end of the interval that is unfavourable to A."""
        return self.low if higher_is_better else self.high


def differences(a: Sequence[Mapping[str, Any]], b: Sequence[Mapping[str, Any]]) -> dict[str, Difference]:
    """A minus B in each measure that all clips of both have; each clip has `per_frame`, in the same order and numbering.

    Frames next to each other are alike, so the interval comes from a block bootstrap over the frames of each clip, in blocks
    of about the square root of their number (circular: Politis and Romano 1992); the clips are taken as given. Of clips with a
    single frame, the clips are resampled. Raises ValueError for clips or frames that differ.
    """
    frames_of_a, frames_of_b = ([(clip["name"], clip["per_frame"]["frame"]) for clip in clips] for clips in (a, b))
    if frames_of_a != frames_of_b:
        raise ValueError("two evaluations can be compared only on the same frames of the same clips")
    found = {}
    for name in MEASURES:
        pairs = [(one["per_frame"].get(name), other["per_frame"].get(name)) for one, other in zip(a, b, strict=True)]
        pairs = [(ours, theirs) for ours, theirs in pairs if ours and theirs and len(ours) == len(theirs)]
        if pairs:
            found[name] = _difference([(np.asarray(ours), np.asarray(theirs)) for ours, theirs in pairs])
    return found


def _difference(clips: list[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> Difference:
    gaps = [ours - theirs for ours, theirs in clips]
    draws = _resampled(gaps)
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = (float(end) for end in np.percentile(draws, (tail, 100 - tail)))
    means = [
        math.fsum(float(series.mean()) for series in part) / len(clips) for part in (*zip(*clips, strict=True), gaps)
    ]
    return Difference(a=means[0], b=means[1], mean=means[2], low=low, high=high, clips=len(clips), method=_method(gaps))


def _resampled(gaps: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """RESAMPLES means over clips."""
    random = np.random.default_rng(_SEED)
    if max(map(len, gaps)) == 1:
        singles = np.concatenate(gaps)
        return np.array([singles[random.integers(0, len(singles), len(singles))].mean() for _ in range(RESAMPLES)])
    total = np.zeros(RESAMPLES)
    for gap in gaps:
        length = block_length(len(gap))
        sums = np.concatenate(
            [[0.0], np.cumsum(np.concatenate([gap, gap[:length]]))]
        )  # the last block goes on at the first frame
        blocks = -(-len(gap) // length)
        starts = random.integers(0, len(gap), (RESAMPLES, blocks))
        total += (sums[starts + length] - sums[starts]).sum(axis=1) / (blocks * length)
    return total / len(gaps)


def block_length(frames: int) -> int:
    """Frames in a block."""
    return max(1, round(math.sqrt(frames)))


def _method(gaps: list[NDArray[np.float64]]) -> str:
    longest = max(map(len, gaps))
    if longest == 1:
        return "bootstrap over clips, which have one frame each" if len(gaps) > 1 else "one frame: no interval"
    lengths = sorted({block_length(len(gap)) for gap in gaps})
    blocks = f"{lengths[0]}" if len(lengths) == 1 else f"{lengths[0]} to {lengths[-1]}"
    one_clip = "; one clip: it says nothing about others" if len(gaps) == 1 else ""
    return f"block bootstrap over frames, in blocks of {blocks}{one_clip}"
