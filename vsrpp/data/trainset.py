"""Training samples as a pure function of (seed, index): any position of any run can be read again, in any process.

Legend of shapes: T frames, 3 channels, H W of ground truth, h = H / scale, w = W / scale.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrpp.data.split import Span

_UINT64 = 2**64


class TrainSet:
    """Windows of num_frames frames, cropped and turned at random. Plain values: it travels to worker processes."""

    def __init__(self, spans: Sequence[Span], *, seed: int, num_frames: int, crop_size: int, scale: int) -> None:
        """Raises ValueError unless every span has num_frames frames and holds a crop that is a multiple of scale."""
        fits = [span.frames >= num_frames and min(span.clip.height, span.clip.width) >= crop_size for span in spans]
        if not fits or not all(fits) or crop_size % scale:
            raise ValueError(f"no sample of {num_frames} frames of {crop_size} px at scale {scale} in every span")
        self.spans = tuple(spans)
        self.seed = seed
        self.num_frames = num_frames
        self.crop_size = crop_size
        self.scale = scale
        self._windows_up_to = list(accumulate(span.frames - num_frames + 1 for span in self.spans))

    def __len__(self) -> int:
        """Windows there are: what an epoch would be; indexes go on beyond it without end."""
        return self._windows_up_to[-1]

    def sample(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Sample `index` >= 0: lr (T, 3, h, w) and gt (T, 3, H, W), float32 in [0, 1], contiguous."""
        lr, gt = self.sample_u8(index)
        return to_unit(lr), to_unit(gt)

    def sample_u8(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The same sample before the division by 255: a quarter of the bytes to move between processes."""
        # Philox is counter-based: the key is the position, so no state is carried from sample to sample. Raw words and
        # integer arithmetic only, because numpy promises these to stay what they are and Generator's methods not.
        draws = iter(np.random.Philox(key=[self.seed % _UINT64, index]).random_raw(7).tolist())
        window = _below(next(draws), len(self))
        which = bisect_right(self._windows_up_to, window)
        span = self.spans[which]
        start = span.start + window - (self._windows_up_to[which - 1] if which else 0)
        side = self.crop_size // self.scale
        top = _below(next(draws), span.clip.height // self.scale - side + 1)
        left = _below(next(draws), span.clip.width // self.scale - side + 1)
        flips = [word >> 63 for word in draws]  # left-right, up-down, transpose, time
        lr = _cut(span.clip.lr(), start, self.num_frames, top, left, side)
        gt = _cut(span.clip.gt(), start, self.num_frames, top * self.scale, left * self.scale, self.crop_size)
        return _turn(lr, flips), _turn(gt, flips)


def to_unit(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """uint8 to float32 in [0, 1]; the one conversion every sample goes through."""
    return np.divide(pixels, np.float32(255), dtype=np.float32)


def _below(word: int, bound: int) -> int:
    """0 … bound-1 from a 64-bit word, by multiplication; the bias is below bound / 2**64."""
    return word * bound >> 64


def _cut(frames: NDArray[np.uint8], start: int, count: int, top: int, left: int, side: int) -> NDArray[np.uint8]:
    return frames[start : start + count, top : top + side, left : left + side].transpose(0, 3, 1, 2)


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
