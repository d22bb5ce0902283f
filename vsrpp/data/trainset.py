"""Training samples as a pure function of (seed, index), so that any process can reproduce any sample of any run.

Shapes: T frames, 3 channels, ground truth H x W, small frames h = H / scale, w = W / scale.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrpp.data import messages
from vsrpp.data.degradation_table import TABLE, Draw
from vsrpp.data.sampling import Sampling
from vsrpp.data.split import Span
from vsrpp.data.unreadable import BadFrames, Unreadable
from vsrpp.errors import VsrppError
from vsrpp.media.messages import OF_A_FRAME

_UINT64 = 2**64
_MOST_REPLACEMENTS = 1000
"""Unreadable samples in a row after which the data counts as unreadable as a whole."""
Pixels = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""lr (T, 3, h, w) and gt (T, 3, H, W)."""


@dataclass(frozen=True, slots=True)
class _Drawn:
    """What a sample is cut from."""

    index: int
    span: int
    numbers: slice | list[int]
    """The frames of the span's clip."""
    top: int
    left: int
    flips: list[int]

    @property
    def frames(self) -> list[int]:
        numbers = self.numbers
        return list(range(numbers.start, numbers.stop, numbers.step)) if isinstance(numbers, slice) else numbers


class TrainSet:
    """Randomly cropped, flipped and transposed windows of frames from a mix of sources.

    Holds plain values, so that it can be pickled to worker processes.
    """

    def __init__(
        self, spans: Sequence[Span], *, seed: int, sampling: Sampling, crop_size: int, scale: int,
        mix: Sequence[tuple[float, int]] | None = None, batch_size: int = 1,
    ) -> None:  # fmt: skip
        """mix: (weight, number of spans) of each source, in the order of the spans; by default all are one source.
        batch_size: samples per step of all ranks, which a schedule of the number of frames needs.

        Raises ValueError unless every span has frames for the widest interval and fits the crop, and crop_size is a
        multiple of scale.
        """
        fits = [
            span.windows(sampling.longest, sampling.widest) and min(span.clip.height, span.clip.width) >= crop_size
            for span in spans
        ]
        if not fits or not all(fits) or crop_size % scale:
            raise ValueError(f"no sample of {sampling.need} of {crop_size} px at scale {scale} in every span")
        self.spans = tuple(spans)
        self.seed = seed
        self.sampling = sampling
        self.crop_size = crop_size
        self.scale = scale
        self.batch_size = batch_size
        drawn = {span.clip.degradation for span in spans}
        self._per_sample = {name: TABLE[name] for name in sorted(drawn) if name in TABLE and TABLE[name].per_sample}
        """Degradations of samples; carried along, as a worker's own table lacks those of plug-ins."""
        weights, counts = zip(*(mix or [(1.0, len(spans))]), strict=True)
        if sum(counts) != len(spans) or min(counts) < 1 or min(weights) <= 0:
            raise ValueError(f"a mix of {counts} spans with weights {weights} for {len(spans)} spans")
        up_to = list(accumulate(map(Fraction, weights)))
        self._drawn_below = [int(_UINT64 * part / up_to[-1]) for part in up_to]
        """Thresholds for a 64-bit word: below the first, the first source is drawn, and so on."""
        self._spans_before = [0, *accumulate(counts)]
        self._windows_up_to = {
            (frames, interval): [
                list(accumulate(span.windows(frames, interval) for span in spans[start:stop]))
                for start, stop in pairwise(self._spans_before)
            ]
            for frames in sampling.lengths
            for interval in sampling.intervals
        }

    def __len__(self) -> int:
        """The number of windows of the longest samples at all intervals: the length of an epoch; indexes beyond are valid."""
        longest = (self._windows_up_to[self.sampling.longest, interval] for interval in set(self.sampling.intervals))
        return sum(windows[-1] for sources in longest for windows in sources)

    def frames_of(self, index: int) -> int:
        """The number of frames of sample `index`."""
        return self.sampling.frames_at(index // self.batch_size)

    def sample(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Sample `index` >= 0: lr (T, 3, h, w) and gt (T, 3, H, W), float32 in [0, 1], contiguous."""
        lr, gt = self.sample_u8(index)
        return to_unit(lr), to_unit(gt)

    def sample_u8(self, index: int) -> Pixels:
        """The same sample as uint8, before the division by 255: a quarter of the bytes to send between processes."""
        return self._read(self._drawn(index, self.frames_of(index)))

    def readable_u8(self, index: int, bad: BadFrames) -> tuple[Pixels, list[Unreadable]]:
        """Sample `index`, or the next one if it has a frame that counts as bad for `index` or that cannot be read.

        Also returns the frames that turned out to be unreadable. Raises VsrppError if no sample can be read, or for
        anything but an unreadable frame.
        """
        met: list[Unreadable] = []
        for candidate in range(index, index + _MOST_REPLACEMENTS):
            drawn = self._drawn(candidate, self.frames_of(index))  # as long as the other samples of its batch
            if bad and any(bad.counts_for((drawn.span, frame), index) for frame in drawn.frames):
                continue
            if any((one.span, one.frame) == (drawn.span, frame) for one in met for frame in drawn.frames):
                continue
            try:
                return self._read(drawn), met
            except VsrppError as error:
                met.append(self._unreadable(index, drawn, error))
        first = met[0].error if met else "All of them have frames on record as unreadable."
        raise messages.NOTHING_READABLE(index=index, tried=_MOST_REPLACEMENTS - 1, error=first)

    def _unreadable(self, index: int, drawn: _Drawn, error: VsrppError) -> Unreadable:
        """The frame that an error is about. Raises the error if it is not about a frame's file."""
        clip, file = self.spans[drawn.span].clip, error.fields.get("path")
        frame = next((frame for frame in drawn.frames if file in clip.files_of(frame)), None)
        if frame is None or error.reason_code not in OF_A_FRAME:
            raise error
        return Unreadable(
            index=index, span=drawn.span, frame=frame, clip=clip.name, file=str(file), error=str(error),
            reason_code=error.reason_code,
            fields={name: value if isinstance(value, (int, float)) else str(value) for name, value in error.fields.items()},
        )  # fmt: skip

    def _drawn(self, index: int, frames: int) -> _Drawn:
        # Philox is counter-based: (seed, index) is the key, so samples share no state. Only raw words and integer
        # arithmetic are used, because numpy guarantees these across versions but not the methods of Generator.
        words = np.random.Philox(key=[self.seed % _UINT64, index]).random_raw(9).tolist()
        source = bisect_right(self._drawn_below, words[7])
        interval = self.sampling.intervals[_below(words[8], len(self.sampling.intervals))]
        windows = self._windows_up_to[frames, interval][source]
        window = _below(words[0], windows[-1])
        which = bisect_right(windows, window)
        number = self._spans_before[source] + which
        span = self.spans[number]
        first = window - (windows[which - 1] if which else 0)
        side = self.crop_size // self.scale
        return _Drawn(
            index, number, span.numbers(first, frames, interval),
            top=_below(words[1], span.clip.height // self.scale - side + 1),
            left=_below(words[2], span.clip.width // self.scale - side + 1),
            flips=self.sampling.turns([word >> 63 for word in words[3:7]]),
        )  # fmt: skip

    def _read(self, drawn: _Drawn) -> Pixels:
        clip, numbers, top, left = self.spans[drawn.span].clip, drawn.numbers, drawn.top, drawn.left
        cut = _cut(clip.gt(), numbers, top * self.scale, left * self.scale, self.crop_size)
        gt = _turn(cut, drawn.flips)
        if method := self._per_sample.get(clip.degradation):
            small = method.degrade(gt.transpose(0, 2, 3, 1), Draw(self.seed, drawn.index), scale=self.scale)
            return _planes(small), gt
        return _turn(_cut(clip.lr(), numbers, top, left, self.crop_size // self.scale), drawn.flips), gt


def to_unit(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """uint8 to float32 in [0, 1]. Every sample is converted here."""
    return np.divide(pixels, np.float32(255), dtype=np.float32)


def _below(word: int, bound: int) -> int:
    """Maps a 64-bit word to 0 … bound-1 by multiplication; the bias is below bound / 2**64."""
    return word * bound >> 64


def _cut(frames: Any, numbers: slice | list[int], top: int, left: int, side: int) -> NDArray[np.uint8]:
    return frames[numbers, top : top + side, left : left + side].transpose(0, 3, 1, 2)


def _planes(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(frames.transpose(0, 3, 1, 2))


def _turn(clip: NDArray[Any], flips: Sequence[int]) -> NDArray[Any]:
    left_right, up_down, transpose, time = flips
    if left_right:
        clip = clip[..., ::-1]
    if up_down:
        clip = clip[..., ::-1, :]
    if transpose:
        clip = clip.swapaxes(-1, -2)
    if time:
        clip = clip[::-1]
    return np.ascontiguousarray(clip)
