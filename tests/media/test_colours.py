"""Colours against a float64 reference that is written here, pixel by pixel, from ITU-T H.273."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from vsrpp.errors import Refused
from vsrpp.media.colours import Colours, alpha_of, colours_of, from_rgb, to_rgb

KR_KB = {
    1: (0.2126, 0.0722),
    4: (0.3, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
PLACES = {"left": (0, 0.5), "center": (0.5, 0.5), "topleft": (0, 0)}
FORMATS = {
    8: ("yuv420p", "yuv422p", "yuv444p"), 10: ("yuv420p10le", "yuv422p10le", "yuv444p10le"),
    12: ("yuv420p12le", "yuv444p12le"), 16: ("yuv420p16le", "yuv422p16le"),
}  # fmt: skip
CASES = [
    pytest.param(
        pix_fmt, bits, Colours(matrix=matrix, full_range=full, siting=siting),
        marks=() if matrix == 1 and siting == "left" else pytest.mark.slow,
    )
    for bits, formats in FORMATS.items()
    for pix_fmt, matrix, full, siting in product(formats, KR_KB, (False, True), PLACES)
    if siting == "left" or "420" in pix_fmt
]  # fmt: skip
Floats = NDArray[np.float64]


def linear(values: Floats, axis: int, factor: int, place: float, length: int) -> Floats:
    """Chroma at every pixel: linear between samples, the outermost ones held."""
    at = (np.arange(length) - place * (factor - 1)) / factor
    count = values.shape[axis]
    before = np.clip(np.floor(at).astype(int), 0, count - 1)
    after = np.clip(np.floor(at).astype(int) + 1, 0, count - 1)
    share = (at - np.floor(at)).reshape([-1 if side == axis else 1 for side in range(2)])
    return np.take(values, before, axis) * (1 - share) + np.take(values, after, axis) * share


def averaged(values: Floats, axis: int, factor: int, place: float) -> Floats:
    """Chroma around each sample: a tent over the neighbours where it sits on a pixel, else the mean of its pixels."""
    if factor == 1:
        return values
    length = values.shape[axis]
    first = np.arange(0, length, factor)
    taps = [(0, 0.5), (1, 0.5)] if place else [(-1, 0.25), (0, 0.5), (1, 0.25)]
    assert factor == 2
    return sum((np.take(values, np.clip(first + at, 0, length - 1), axis) * weight for at, weight in taps), np.zeros(1))


def units(colours: Colours, bits: int) -> tuple[float, float, float, float]:
    """Luma at black, its span, chroma's middle, its span."""
    if colours.full_range:
        return 0, 2**bits - 1, 2 ** (bits - 1), 2**bits - 1
    step = 2 ** (bits - 8)
    return 16 * step, 219 * step, 128 * step, 224 * step


def rgb_of(planes: list[Floats], colours: Colours, bits: int) -> Floats:
    black, span, middle, chroma_span = units(colours, bits)
    kr, kb = KR_KB[colours.matrix]
    height, width = planes[0].shape
    luma = (planes[0] - black) / span
    across, down = PLACES[colours.siting]
    chroma = []
    for plane in planes[1:]:
        full = linear(plane, 0, round(height / plane.shape[0]), down, height)
        chroma.append((linear(full, 1, round(width / plane.shape[1]), across, width) - middle) / chroma_span)
    red, blue = luma + 2 * (1 - kr) * chroma[1], luma + 2 * (1 - kb) * chroma[0]
    return np.clip(np.stack([red, (luma - kr * red - kb * blue) / (1 - kr - kb), blue], -1), 0, 1)


def planes_of(rgb: Floats, colours: Colours, bits: int, across_factor: int, down_factor: int) -> list[Floats]:
    black, span, middle, chroma_span = units(colours, bits)
    kr, kb = KR_KB[colours.matrix]
    red, green, blue = np.moveaxis(rgb, -1, 0)
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    across, down = PLACES[colours.siting]
    chroma = [
        averaged(averaged(plane, 1, across_factor, across), 0, down_factor, down) * chroma_span + middle
        for plane in ((blue - luma) / (2 * (1 - kb)), (red - luma) / (2 * (1 - kr)))
    ]
    return [luma * span + black, *chroma]


def samples(frame: av.VideoFrame) -> Iterator[NDArray[Any]]:
    dtype = np.dtype(np.uint8 if frame.format.components[0].bits == 8 else np.uint16)
    for plane in frame.planes:
        lines = np.frombuffer(memoryview(plane), dtype).reshape(plane.height, plane.line_size // dtype.itemsize)
        yield lines[:, : plane.width]


def picture(height: int, width: int) -> Floats:
    """Smooth, noisy, neither black nor white."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [0.5 + 0.3 * np.sin(x / 9), 0.45 + 0.3 * np.sin(y / 7 + 1), 0.5 + 0.3 * np.cos((x + y) / 8)]
    noise = np.random.default_rng(5).uniform(-0.04, 0.04, (height, width, 3))
    return np.clip(np.stack(waves, -1) + noise, 0.05, 0.95)


@pytest.mark.parametrize(("pix_fmt", "bits", "colours"), CASES)
def test_each_conversion_is_within_half_a_level_of_the_exact_one(pix_fmt: str, bits: int, colours: Colours) -> None:
    top = 255 if bits == 8 else 65535
    pixels = np.round(picture(38, 45) * top).astype(np.uint8 if bits == 8 else np.uint16)

    frame = from_rgb(pixels, colours, pix_fmt)
    down = 2 if "420" in pix_fmt else 1
    want = planes_of(pixels / top, colours, bits, 1 if "444" in pix_fmt else 2, down)
    assert frame.format.name == pix_fmt
    for got, exact in zip(samples(frame), want, strict=True):
        assert np.abs(got - exact).max() <= 0.52
        assert abs(got.mean() - exact.mean()) <= 0.1

    read = to_rgb(frame, colours, bits)
    exact_rgb = rgb_of([plane.astype(np.float64) for plane in samples(frame)], colours, bits) * top
    assert read.dtype == pixels.dtype and read.shape == pixels.shape
    assert np.abs(read - exact_rgb).max() <= 0.52
    assert np.abs((read - exact_rgb).reshape(-1, 3).mean(0)).max() <= 0.1


@pytest.mark.parametrize("bits", (10, 12, 16))
def test_deep_video_is_rounded_to_8_bits_once(bits: int) -> None:
    colours = Colours(matrix=9)
    pixels = np.round(picture(20, 30) * 65535).astype(np.uint16)
    frame = from_rgb(pixels, colours, f"yuv444p{bits}le")
    exact = rgb_of([plane.astype(np.float64) for plane in samples(frame)], colours, bits) * 255
    assert np.abs(to_rgb(frame, colours, 8) - exact).max() <= 0.51


@pytest.mark.parametrize("pix_fmt", ("yuv420p", "yuv444p", "yuv420p10le"))
@pytest.mark.parametrize("matrix", KR_KB)
@pytest.mark.parametrize("full", (False, True))
def test_grey_stays_grey(pix_fmt: str, matrix: int, full: bool) -> None:
    colours = Colours(matrix=matrix, full_range=full)
    dtype, top = (np.uint8, 255) if pix_fmt.endswith("p") else (np.uint16, 65535)
    ramp = np.linspace(0, top, 256).astype(dtype)
    frame = from_rgb(np.broadcast_to(ramp[:, None, None], (256, 8, 3)), colours, pix_fmt)
    middle = 128 if dtype is np.uint8 else 512
    assert all((plane == middle).all() for plane in list(samples(frame))[1:])
    read = to_rgb(frame, colours, 8 if dtype is np.uint8 else 16).astype(int)
    assert (read.max(-1) == read.min(-1)).all() and read.min() == 0 and read.max() == top


def test_a_frame_larger_than_a_block_has_no_seams() -> None:
    colours = Colours(matrix=1, siting="topleft")
    pixels = np.round(picture(70, 4096) * 255).astype(np.uint8)
    frame = from_rgb(pixels, colours, "yuv420p")
    for got, exact in zip(samples(frame), planes_of(pixels / 255, colours, 8, 2, 2), strict=True):
        assert np.abs(got - exact).max() <= 0.52
    exact = rgb_of([plane.astype(np.float64) for plane in samples(frame)], colours, 8) * 255
    assert np.abs(to_rgb(frame, colours) - exact).max() <= 0.52


@pytest.mark.parametrize(
    "pix_fmt", ("gbrp", "rgb24", "bgr24", "bgr0", "rgba", "argb", "rgb48le", "rgb48be", "rgba64le")
)
def test_8_bit_rgb_is_kept_exactly(pix_fmt: str) -> None:
    pixels = np.round(picture(10, 14) * 255).astype(np.uint8)
    assert np.array_equal(to_rgb(from_rgb(pixels, Colours(), pix_fmt), Colours()), pixels)


@pytest.mark.parametrize(("pix_fmt", "bits"), (("gbrp10le", 10), ("gbrp12le", 12), ("gbrp16le", 16), ("gray12le", 12)))
def test_deep_rgb_and_grey_lose_nothing(pix_fmt: str, bits: int) -> None:
    steps = np.arange(0, 2**bits, max(1, 2**bits // 4096))
    pixels = np.round(steps * (65535 / (2**bits - 1))).astype(np.uint16)[None, :, None].repeat(3, 2)
    colours = Colours(full_range=True)
    frame = from_rgb(pixels, colours, pix_fmt)
    assert np.array_equal(next(iter(samples(frame)))[0], steps)
    assert np.array_equal(to_rgb(frame, colours, 16), pixels)


@pytest.mark.parametrize("packed", ("nv12", "p010le", "yuyv422", "yuv420p10be", "yuvj420p", "yuva420p"))
def test_packing_changes_no_sample(packed: str) -> None:
    planar = {"p010le": "yuv420p10le", "yuyv422": "yuv422p", "yuv420p10be": "yuv420p10le"}.get(packed, "yuv420p")
    bits = 16 if "10" in packed else 8
    top, dtype = (255, np.uint8) if bits == 8 else (65535, np.uint16)
    pixels = np.round(picture(16, 32) * top).astype(dtype)
    frame = from_rgb(pixels, Colours(), planar)
    other = from_rgb(pixels, Colours(), packed)
    assert other.format.name == packed
    assert np.array_equal(to_rgb(other, Colours(), bits), to_rgb(frame, Colours(), bits))


def test_alpha_is_read_beside_the_colours() -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    rgba = np.dstack([values, values, values, values[::-1]])
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgba), format="rgba")
    alpha = alpha_of(frame)
    assert alpha is not None and np.array_equal(alpha, values[::-1])
    assert alpha_of(av.VideoFrame(16, 16, "yuv420p")) is None


@pytest.mark.parametrize(("matrix", "name"), ((8, "YCgCo"), (10, "constant luminance"), (14, "ICtCp"), (99, "99")))
def test_other_matrices_are_refused_by_name(matrix: int, name: str) -> None:
    frame = av.VideoFrame(16, 16, "yuv420p")
    frame.colorspace = matrix
    with pytest.raises(Refused, match=name):
        colours_of(Path("film.mkv"), frame)


@pytest.mark.parametrize(("height", "matrix"), ((718, 6), (720, 1)))
def test_an_unnamed_matrix_is_chosen_by_height(height: int, matrix: int) -> None:
    assert colours_of(Path("film.mkv"), av.VideoFrame(16, height, "yuv420p")).matrix == matrix
