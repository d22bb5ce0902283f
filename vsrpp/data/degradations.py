"""The computations behind the degradations that ship; `degradation_table` has them by name.

- bicubic (BI): MATLAB's imresize, antialiased (`vsrpp.resize`).
- bd (BD): Gaussian blur with sigma 1.6 and a 12x12 kernel, border replicated, then every 4th pixel from index 1, as in
  BasicVSR's BD_degradation.m. With a 13x13 kernel a BD model loses 7 dB.
- realistic: blur, resize via an intermediate size, noise, JPEG. The parameters are a function of (seed, index); within a
  sample only the noise differs from frame to frame.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Frames = NDArray[np.uint8]

BD_SCALE = 4
BD_SIGMA = 1.6
BD_KERNEL_SIZE = 12
_BD_BEFORE = 5
"""Pixels of the even-sized kernel before its centre, as MATLAB's imfilter counts; six follow."""

_UINT64 = 2**64
_FILTERS = (Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)


def bd(frames: Frames) -> Frames:
    """(T, H, W, C) uint8 -> (T, H / 4, W / 4, C) uint8, rounded half up as in MATLAB. H and W are multiples of 4."""
    kernel = gaussian_kernel()
    out = np.empty((len(frames), frames.shape[1] // BD_SCALE, frames.shape[2] // BD_SCALE, frames.shape[3]), np.uint8)
    after = BD_KERNEL_SIZE - 1 - _BD_BEFORE
    for frame, small in zip(frames, out, strict=True):
        border = ((_BD_BEFORE, after), (_BD_BEFORE, after), (0, 0))
        padded = np.pad(frame.astype(np.float64), border, mode="edge")
        rows = sum(weight * padded[1 + tap :: BD_SCALE][: len(small)] for tap, weight in enumerate(kernel))
        columns = sum(weight * rows[:, 1 + tap :: BD_SCALE][:, : small.shape[1]] for tap, weight in enumerate(kernel))
        small[:] = np.clip(np.floor(columns + 0.5), 0, 255)
    return out


def gaussian_kernel() -> NDArray[np.float64]:
    """BD's kernel along one axis, shape (12,), sum 1; the 12x12 kernel is its outer product with itself."""
    at = np.arange(BD_KERNEL_SIZE) - (BD_KERNEL_SIZE - 1) / 2
    weights = np.exp(-(at**2) / (2 * BD_SIGMA**2))
    return np.asarray(weights / weights.sum())


@dataclass(frozen=True)
class SampleDegradation:
    """The parameters of the realistic chain for one sample."""

    blur_x: float
    """Standard deviation in pixels of the ground truth."""
    blur_y: float
    between: float
    """Intermediate size relative to the small frame; the frame is resized twice."""
    filters: tuple[int, int]
    """Filters of the two resizes: index into box, bilinear, bicubic, Lanczos."""
    noise_read: float
    """Standard deviation of the signal-independent noise, in grey levels."""
    noise_shot: float
    """Variance added per grey level of signal."""
    noise_grey: bool
    """Whether all three channels get the same noise."""
    jpeg_quality: int
    key: tuple[int, int]
    """Key of the noise's random stream."""


def draw_degradation(seed: int, index: int) -> SampleDegradation:
    """The degradation of sample `index`: a pure function of (seed, index)."""
    words = _words(seed, index, 0, 10)
    unit = [word / _UINT64 for word in words]
    blur = 0.2 + 2.3 * unit[0]
    return SampleDegradation(
        blur_x=blur,
        blur_y=blur if unit[1] < 0.5 else 0.2 + 2.3 * unit[2],
        between=0.6 + 1.4 * unit[3],
        filters=(int(4 * unit[4]), int(4 * unit[5])),
        noise_read=8.0 * unit[6] ** 2,
        noise_shot=0.4 * unit[7] ** 2,
        noise_grey=unit[8] < 0.4,
        jpeg_quality=30 + int(66 * unit[9]),
        key=(seed % _UINT64, index),
    )


def realistic(frames: Frames, scale: int, degradation: SampleDegradation, first_frame: int = 0) -> Frames:
    """(T, H, W, 3) uint8 -> (T, H / scale, W / scale, 3) uint8, degraded.

    first_frame: the number of the first frame within its clip, which selects the noise.
    """
    height, width = frames.shape[1] // scale, frames.shape[2] // scale
    out = np.empty((len(frames), height, width, 3), np.uint8)
    for number, frame in enumerate(frames):
        image = Image.fromarray(np.ascontiguousarray(frame)).filter(
            ImageFilter.GaussianBlur((degradation.blur_x, degradation.blur_y))
        )
        between = (max(1, round(width * degradation.between)), max(1, round(height * degradation.between)))
        small = image.resize(between, _FILTERS[degradation.filters[0]]).resize(
            (width, height), _FILTERS[degradation.filters[1]]
        )
        out[number] = _jpeg(_noisy(np.asarray(small), degradation, first_frame + number), degradation.jpeg_quality)
    return out


def _noisy(frame: Frames, degradation: SampleDegradation, number: int) -> Frames:
    """Adds noise drawn as a sum of four uniforms: close to a Gaussian, and bit-identical on every machine."""
    height, width, channels = frame.shape
    drawn = 1 if degradation.noise_grey else channels
    words = np.random.Philox(key=degradation.key, counter=[0, 1 + number, 0, 1]).random_raw(height * width * drawn)
    quarters = words.view(np.uint16).reshape(height, width, drawn, 4).sum(axis=-1, dtype=np.int64)
    unit = (quarters - 2 * 65535) * np.float64(np.sqrt(3) / 65535)
    pixels = frame.astype(np.float64)
    pixels += unit * np.sqrt(degradation.noise_read**2 + degradation.noise_shot * pixels)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def _jpeg(frame: Frames, quality: int) -> Frames:
    packed = io.BytesIO()
    Image.fromarray(frame).save(packed, "JPEG", quality=quality)
    return np.asarray(Image.open(packed))


def _words(seed: int, index: int, block: int, count: int) -> list[int]:
    """Raw 64-bit words of a stream separate from the one that draws the crop (the last counter word differs)."""
    stream = np.random.Philox(key=[seed % _UINT64, index], counter=[0, block, 0, 1])
    return [int(word) for word in stream.random_raw(count)]
