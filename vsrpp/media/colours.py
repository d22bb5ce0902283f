"""Exact conversions between the planes of a video frame and RGB, in numpy.

Matrices and ranges follow ITU-T H.273. Each value is computed in float32 and rounded once, so it is within half a level of
the exact result. The bits depend neither on FFmpeg's version nor on the CPU. swscale, which FFmpeg uses, loses 1 to 1.5
levels of each colour on its fast path for 4:2:0, and half a level of chroma when it writes full range.

Chroma is interpolated linearly between the positions of its samples. When written, it is averaged over the pixels around
those positions.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from vsrpp.media import messages

Pixels = NDArray[Any]
"""(H, W, 3) RGB as coded, not linear: uint8, or uint16 with 65535 as white."""
_Floats = NDArray[np.float32]

UNSPECIFIED = 2
"""FFmpeg's number for an unspecified matrix, primaries or transfer function."""
BT709, BT601 = 1, 6
HD_LINES = 720
FULL_RANGE, LIMITED_RANGE = 2, 1
PQ, HLG = 16, 18
"""FFmpeg's numbers for the transfer functions of HDR: SMPTE ST 2084 and ARIB STD-B67."""

_KR_KB = {
    1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087), 9: (0.2627, 0.0593),
}  # fmt: skip
"""FFmpeg's number of a matrix -> the shares of red and blue in luma: BT.709, FCC, BT.470BG, BT.601, 240M, BT.2020."""
_OTHER_MATRICES = {
    8: "YCgCo", 10: "BT.2020 with constant luminance", 11: "SMPTE ST 2085", 12: "derived from the primaries",
    13: "derived from the primaries, constant luminance", 14: "ICtCp", 15: "IPT-C2", 16: "YCgCo-Re", 17: "YCgCo-Ro",
}  # fmt: skip
_SITINGS = {"left": (0.0, 0.5), "center": (0.5, 0.5), "topleft": (0.0, 0.0)}
"""Place of a chroma sample in the pixels it covers, across and down: 0 is the first pixel's centre, 0.5 the middle."""
_BLOCK_PIXELS = 1 << 15
"""Pixels converted at once, so that the intermediate arrays stay in the CPU's cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Colours:
    """How a video codes colours; the numbers are FFmpeg's, which are those of H.273."""

    matrix: int = BT709
    """One of those that `to_rgb` knows; not read for RGB and grey."""
    full_range: bool = False
    siting: str = "left"
    """Place of chroma samples: `left`, `center` or `topleft`."""
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED

    @property
    def hdr(self) -> bool:
        return self.transfer in (PQ, HLG)


def colours_of(path: Path, frame: av.VideoFrame, siting: str = "left") -> Colours:
    """The colours of a decoded frame of the file `path`.

    An unspecified matrix is BT.601 below 720 lines and BT.709 from there on, as players assume. An unspecified range is
    limited, but full for grey, as FFmpeg assumes. Raises Refused for a matrix or pixel format that cannot be converted.
    """
    pix_fmt = frame.format.name
    try:
        layout = _Layout.of(pix_fmt)
    except ValueError:
        raise messages.UNKNOWN_PIXELS(path=path, pix_fmt=pix_fmt) from None
    matrix = int(frame.colorspace)
    if layout.rgb or layout.grey or matrix in (0, UNSPECIFIED, 3):
        matrix = BT709 if frame.height >= HD_LINES else BT601
    if matrix not in _KR_KB:
        raise messages.UNKNOWN_MATRIX(path=path, matrix=_OTHER_MATRICES.get(matrix, f"number {matrix}"))
    named = int(frame.color_range)
    full = named == FULL_RANGE or pix_fmt.startswith("yuvj") or (layout.grey and named != LIMITED_RANGE)
    return Colours(
        matrix=matrix, full_range=full, siting=siting, primaries=int(frame.color_primaries),
        transfer=int(frame.color_trc),
    )  # fmt: skip


def depth_of(pix_fmt: str) -> int:
    """Bits of a channel of a pixel format."""
    return _Layout.of(pix_fmt).bits


def to_rgb(frame: av.VideoFrame, colours: Colours, bits: int = 8) -> Pixels:
    """A frame as (H, W, 3) RGB: uint8 if `bits` is 8, else uint16 at full scale. Values outside the range are clipped."""
    layout = _Layout.of(frame.format.name)
    frame = _planar(frame, layout)
    out = np.empty((frame.height, frame.width, 3), np.uint8 if bits == 8 else np.uint16)
    top = 255 if bits == 8 else 65535
    if layout.rgb:
        for channel, plane in enumerate((2, 0, 1)):  # planes are G, B, R
            out[..., channel] = _rescaled(_samples(frame, plane), layout.bits, top)
    elif layout.grey:
        scale, offset = _luma_to_unit(colours, layout.bits)
        grey = _samples(frame, 0) * np.float32(scale * top) + np.float32(offset * top + 0.5)
        out[...] = np.clip(grey, 0, top).astype(out.dtype)[..., None]
    else:
        _fill_rgb(frame, layout, colours, out, top)
    return out


def alpha_of(frame: av.VideoFrame, bits: int = 8) -> Pixels | None:
    """A frame's alpha as (H, W), uint8 or uint16 as in `to_rgb`; None if it has none."""
    layout = _Layout.of(frame.format.name)
    if not layout.alpha:
        return None
    planar = _planar(frame, layout, keep_alpha=True)
    alpha = _rescaled(_samples(planar, len(planar.planes) - 1), layout.bits, 255 if bits == 8 else 65535)
    return alpha.astype(np.uint8 if bits == 8 else np.uint16)


def from_rgb(pixels: Pixels, colours: Colours, pix_fmt: str) -> av.VideoFrame:
    """A frame of `pix_fmt` from (H, W, 3) RGB, uint8 or uint16 at full scale, rounded once and tagged with its colours.

    Raises ValueError for pixel formats that are not RGB, grey or YUV.
    """
    layout = _Layout.of(pix_fmt)
    height, width = pixels.shape[:2]
    top = 255 if pixels.dtype == np.uint8 else 65535
    frame = av.VideoFrame(width, height, layout.planar())
    if layout.rgb:
        for channel, plane in enumerate((2, 0, 1)):
            _samples(frame, plane)[...] = _rescaled(pixels[..., channel], 8 if top == 255 else 16, layout.most)
    else:
        _fill_planes(pixels, layout, colours, frame, top)
        frame.colorspace = colours.matrix
    frame.color_range = FULL_RANGE if colours.full_range or layout.rgb else LIMITED_RANGE
    frame.color_primaries, frame.color_trc = colours.primaries, colours.transfer
    return frame if layout.planar() == pix_fmt else frame.reformat(format=pix_fmt)


@dataclass(frozen=True, slots=True)
class _Layout:
    """What a pixel format holds, however it is packed."""

    name: str
    bits: int
    across: int
    """Pixels that share a chroma sample, across; `down` likewise."""
    down: int
    rgb: bool
    grey: bool
    alpha: bool
    plain: bool
    """Whether each channel is a plane in the machine's byte order."""

    @staticmethod
    @lru_cache(maxsize=64)
    def of(name: str) -> _Layout:
        """Raises ValueError for a format that is not RGB, grey or YUV."""
        found = av.VideoFormat(name, 64, 64)
        parts = found.components
        rgb = found.is_rgb or found.has_palette
        if found.is_bayer or name.startswith(("xyz", "vaapi", "cuda")) or not parts:
            raise ValueError(f"pixel format {name} is not RGB, grey or YUV")
        alpha = any(part.is_alpha for part in parts) or found.has_palette
        colour = [part for part in parts if not part.is_alpha]
        grey = len(colour) == 1 and not rgb
        bits = 8 if found.has_palette else max(part.bits for part in colour)
        bits = 8 if bits < 8 else min(bits, 16)
        chroma = colour[-1]
        foreign = name.endswith("le" if sys.byteorder == "big" else "be")
        plain = (
            len({part.plane for part in parts}) == len(parts) and not foreign and not name.startswith("mono")
            and len({part.bits for part in parts}) == 1 and 8 <= parts[0].bits <= 16 and "f16" not in name
        )  # fmt: skip
        plain = plain and (not rgb or name.startswith("gb"))
        return _Layout(name, bits, 64 // chroma.width, 64 // chroma.height, rgb, grey, alpha, plain)

    @property
    def most(self) -> int:
        """The largest value of a sample."""
        return (1 << self.bits) - 1

    def planar(self, keep_alpha: bool = False) -> str:
        """The planar format with the same samples; without alpha unless asked for it."""
        if self.plain and (not self.alpha or keep_alpha):
            return self.name
        deep = "" if self.bits == 8 else f"{self.bits}{'le' if sys.byteorder == 'little' else 'be'}"
        alpha = self.alpha and keep_alpha
        if self.rgb:
            return f"gbr{'a' * alpha}p{deep}"
        if self.grey:
            return f"gbrap{deep}" if alpha else f"gray{deep}"
        subsampled = {(1, 1): "444", (2, 1): "422", (2, 2): "420", (4, 1): "411", (4, 4): "410", (1, 2): "440"}
        return f"yuv{'a' * alpha}{subsampled[self.across, self.down]}p{deep}"


def _planar(frame: av.VideoFrame, layout: _Layout, keep_alpha: bool = False) -> av.VideoFrame:
    """The same samples, one plane each. Repacking does not change them."""
    if layout.plain:
        return frame
    return frame.reformat(format=layout.planar(keep_alpha))


def _samples(frame: av.VideoFrame, number: int) -> NDArray[Any]:
    """A plane as (h, w), without the padding of its lines; a view of the frame's memory."""
    plane = frame.planes[number]
    dtype = np.dtype(np.uint8 if frame.format.components[0].bits == 8 else np.uint16)
    return np.frombuffer(memoryview(plane), dtype).reshape(plane.height, plane.line_size // dtype.itemsize)[
        :, : plane.width
    ]


def _rescaled(samples: NDArray[Any], bits: int, top: int) -> NDArray[Any]:
    """Samples of `bits` at another full scale, rounded to the nearest."""
    most = (1 << bits) - 1
    if most == top:
        return samples
    return ((samples.astype(np.uint32) * (2 * top) + most) // (2 * most)).astype(np.uint16)


def _luma_to_unit(colours: Colours, bits: int) -> tuple[float, float]:
    """(factor, offset) that map luma to 0 … 1."""
    if colours.full_range:
        return 1 / ((1 << bits) - 1), 0.0
    return 1 / (219 << (bits - 8)), -16 / 219


def _chroma_to_unit(colours: Colours, bits: int) -> tuple[float, float]:
    """(factor, middle): chroma minus middle, times factor, is in -0.5 … 0.5."""
    middle = float(1 << (bits - 1))
    return (1 / ((1 << bits) - 1) if colours.full_range else 1 / (224 << (bits - 8))), middle


def _blocks(height: int, width: int, step: int) -> Iterator[tuple[int, int]]:
    """(first, last + 1) of bands of rows, each but the last a multiple of `step`."""
    rows = max(step, _BLOCK_PIXELS // max(width, 1) // step * step)
    for start in range(0, height, rows):
        yield start, min(start + rows, height)


def _phases(factor: int, place: float) -> list[tuple[int, Fraction]]:
    """For each of `factor` pixels: the chroma sample before it, from -1, and how far the pixel is towards the next one."""
    offset = Fraction(place) * (factor - 1)
    positions = [(pixel - offset) / factor for pixel in range(factor)]
    return [(position.__floor__(), position - position.__floor__()) for position in positions]


def _grown(padded: _Floats, factor: int, place: float, out: _Floats) -> _Floats:
    """Rows interpolated linearly to `factor` times as many; `padded` has one more row at each end."""
    count = len(padded) - 2
    for pixel, (before, share) in enumerate(_phases(factor, place)):
        first = padded[1 + before : 1 + before + count]
        rows = out[pixel::factor]
        if not share:
            rows[...] = first
            continue
        np.subtract(padded[2 + before : 2 + before + count], first, out=rows)
        rows *= np.float32(share)
        rows += first
    return out


def _fill_rgb(frame: av.VideoFrame, layout: _Layout, colours: Colours, out: Pixels, top: int) -> None:
    """The matrix is applied to the chroma samples before they are interpolated, where there are fewer; it is linear."""
    kr, kb = _KR_KB[colours.matrix]
    kg = 1 - kr - kb
    scale, middle = _chroma_to_unit(colours, layout.bits)
    red, blue = 2 * (1 - kr) * scale * top, 2 * (1 - kb) * scale * top
    luma_scale, luma_offset = (value * top for value in _luma_to_unit(colours, layout.bits))
    luma, (cb, cr) = _samples(frame, 0), (np.pad(_samples(frame, plane), 1, "edge") for plane in (1, 2))
    across_place, down_place = _SITINGS[colours.siting]
    height, width = luma.shape
    across, down = layout.across, layout.down
    chroma_width = cb.shape[1] - 2
    offset = np.float32(luma_offset + 0.5)  # 0.5, because the cast to integers cuts
    for start, stop in _blocks(height, width, down):
        rows = slice(start // down, -(-stop // down) + 2)
        count = -(-stop // down) - start // down
        u, v = (plane[rows].astype(np.float32) - np.float32(middle) for plane in (cb, cr))
        channels = (v * np.float32(red), u * np.float32(-kb * blue / kg) + v * np.float32(-kr * red / kg),
                    u * np.float32(blue))  # fmt: skip
        bright = luma[start:stop].astype(np.float32)
        bright *= np.float32(luma_scale)
        bright += offset
        for number, small in enumerate(channels):
            tall = small[1:-1] if down == 1 else _grown(small, down, down_place, _floats(count * down, small.shape[1]))
            if across == 1:
                wide = tall[:, 1:-1]
            else:
                wide = _grown(tall.T, across, across_place, _floats(count * down, chroma_width * across).T).T
            value = np.add(wide[: stop - start, :width], bright)
            np.clip(value, 0, top, out=value)
            out[start:stop, :, number] = value


def _floats(rows: int, columns: int) -> _Floats:
    return np.empty((rows, columns), np.float32)


def _fill_planes(pixels: Pixels, layout: _Layout, colours: Colours, frame: av.VideoFrame, top: int) -> None:
    kr, kb = _KR_KB[colours.matrix]
    shares = [np.float32(share / top) for share in (kr, 1 - kr - kb, kb)]
    luma_scale, luma_offset = _luma_to_unit(colours, layout.bits)
    chroma_scale, middle = _chroma_to_unit(colours, layout.bits)
    across_place, down_place = _SITINGS[colours.siting]
    height, width = pixels.shape[:2]
    planes = [_samples(frame, number) for number in range(1 if layout.grey else 3)]
    for start, stop in _blocks(height, width, layout.down):
        first = max(start - layout.down + 1, 0)  # the rows above count for chroma that sits on a row
        red, green, blue = (pixels[first:stop, :, channel].astype(np.float32) for channel in range(3))
        bright = red * shares[0] + green * shares[1] + blue * shares[2]
        luma = bright[start - first :] * np.float32(1 / luma_scale)
        luma += np.float32(-luma_offset / luma_scale + 0.5)
        planes[0][start:stop] = np.clip(luma, 0, layout.most, out=luma)
        for plane, colour, share in zip(planes[1:], (blue, red), (kb, kr), strict=False):
            difference = colour * np.float32(1 / top)
            difference -= bright
            small = _shrunk(difference.T, layout.across, across_place, 0).T
            small = _shrunk(small, layout.down, down_place, start - first)
            value = small * np.float32(1 / (2 * (1 - share) * chroma_scale)) + np.float32(middle + 0.5)
            plane[start // layout.down : -(-stop // layout.down)] = np.clip(value, 0, layout.most)


def _shrunk(rows: _Floats, factor: int, place: float, before: int) -> _Floats:
    """Every `factor` rows averaged around their chroma sample; the first `before` (0 or factor - 1) rows belong to others."""
    if factor == 1:
        return rows[before:]
    missing = -(len(rows) - before) % factor
    if missing:
        rows = np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)])
    own = rows[before:]
    if place:
        total = own[::factor] + own[1::factor]
        for number in range(2, factor):
            total += own[number::factor]
        return total * np.float32(1 / factor)
    padded = rows if before else np.concatenate([np.repeat(rows[:1], factor - 1, axis=0), rows])
    weights: Sequence[int] = [*range(1, factor), *range(factor, 0, -1)]
    count = len(own) // factor
    total = np.zeros((count, *own.shape[1:]), np.float32)
    for number, weight in enumerate(weights):
        total += padded[number : number + (count - 1) * factor + 1 : factor] * np.float32(weight)
    return total * np.float32(1 / factor**2)
