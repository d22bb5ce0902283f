"""Images as people have them: turned, deep, transparent, with pages."""

from __future__ import annotations

import warnings
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.support.reasons import raises
from vsrpp.media import messages
from vsrpp.media.images import image_size, images_size, iter_images, open_images, read_image

DEEP = np.random.default_rng(0).integers(0, 65536, (10, 14, 3)).astype(np.uint16)
FLAT = (DEEP >> 8).astype(np.uint8)
ROUNDED = np.round(DEEP / 257).astype(np.uint8)


def deep_file(path: Path, pix_fmt: str, pixels: NDArray[np.uint16]) -> Path:
    codec = av.CodecContext.create("png" if path.suffix == ".png" else "tiff", "w")
    codec.width, codec.height, codec.pix_fmt = pixels.shape[1], pixels.shape[0], pix_fmt  # type: ignore[attr-defined]
    codec.time_base = Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=pix_fmt)
    path.write_bytes(b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)]))  # type: ignore[attr-defined]
    return path


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


@pytest.mark.parametrize("suffix", (".png", ".tif", ".webp", ".jpg"))
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_read_as_viewers_show_it(tmp_path: Path, suffix: str, orientation: int) -> None:
    shown = np.repeat(np.repeat(FLAT[:4, :6], 8, 0), 8, 1)
    undo = {5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, orientation)
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }  # fmt: skip
    stored = Image.fromarray(shown)
    stored = stored.transpose(turn[undo]) if undo != 1 else stored
    path = tmp_path / f"a{suffix}"
    how = {"lossless": True} if suffix == ".webp" else {"quality": 100, "subsampling": 0} if suffix == ".jpg" else {}
    stored.save(path, exif=exif(orientation), **how)

    pixels = read_image(path)
    assert pixels.shape == shown.shape
    assert image_size(path) == images_size([path]) == (shown.shape[1], shown.shape[0])
    assert np.abs(pixels.astype(int) - shown).max() <= (3 if suffix == ".jpg" else 0)


def test_version_1_ignores_orientation_and_cuts_16_bits(tmp_path: Path) -> None:
    Image.fromarray(FLAT).save(tmp_path / "a.png", exif=exif(6))
    deep = deep_file(tmp_path / "b.png", "rgb48be", DEEP)
    assert np.array_equal(read_image(tmp_path / "a.png", 1), FLAT) and image_size(tmp_path / "a.png", 1) == (14, 10)
    assert np.array_equal(read_image(deep, 1), FLAT)
    grey = deep_file(tmp_path / "c.png", "gray16be", DEEP[..., 0])
    with raises(messages.DEEP_GREY):
        read_image(grey, 1)


@pytest.mark.parametrize(
    ("name", "pix_fmt"),
    (("a.png", "rgb48be"), ("a.png", "gray16be"), ("a.png", "rgba64be"), ("a.tif", "rgb48le"), ("a.tif", "gray16le")),
)
def test_16_bits_are_read_in_their_depth_or_rounded_with_a_note(tmp_path: Path, name: str, pix_fmt: str) -> None:
    grey, alpha = "gray" in pix_fmt, "a64" in pix_fmt
    pixels = DEEP[..., 0] if grey else np.dstack([DEEP, DEEP[..., :1]]) if alpha else DEEP
    path = deep_file(tmp_path / name, pix_fmt, pixels)
    want = np.repeat(DEEP[..., :1], 3, 2) if grey else DEEP

    deep = open_images([path])
    (frame,) = deep.frames
    assert deep.bits == 16 and frame.dtype == np.uint16 and np.array_equal(frame, want)

    shallow = open_images([path], deep=False)
    (frame,) = shallow.frames
    assert shallow.bits == 8 and np.array_equal(frame, np.round(want / 257).astype(np.uint8))
    assert "rounded to 8" in shallow.notes[-1]
    assert np.array_equal(read_image(path), frame)
    notes: list[str] = []
    assert images_size([path], notes=notes) == (14, 10) and "16 bits" in notes[-1]


def test_frames_of_8_and_16_bits_are_read_as_one_clip(tmp_path: Path) -> None:
    Image.fromarray(FLAT).save(tmp_path / "a.png")
    files = [tmp_path / "a.png", deep_file(tmp_path / "b.png", "rgb48be", DEEP)]
    first, second = open_images(files).frames
    assert np.array_equal(first, FLAT.astype(np.uint16) * 257) and np.array_equal(second, DEEP)
    assert "1 of 2 frames" in open_images(files, deep=False).notes[0]


def test_a_truncated_16_bit_image_is_refused(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (200, 200, 3)).astype(np.uint16)
    path = deep_file(tmp_path / "a.png", "rgb48be", pixels)
    path.write_bytes(path.read_bytes()[:-100_000])
    with raises(messages.UNREADABLE_IMAGE):
        read_image(path)


@pytest.mark.parametrize("mode", ("RGBA", "LA", "P"))
def test_alpha_is_dropped_with_a_note_and_without_warnings(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.png"
    image = Image.fromarray(np.dstack([FLAT, FLAT[..., :1]]), "RGBA")
    if mode == "P":
        image = image.convert("RGB").quantize(16)
        image.save(path, transparency=bytes(range(0, 256, 16)))
    else:
        image.convert(mode).save(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixels = read_image(path)
        opened = open_images([path])
    assert pixels.shape == (10, 14, 3)
    assert opened.alpha and "alpha of the frames is dropped" in opened.notes[0]


def test_second_pages_are_named(tmp_path: Path) -> None:
    pages = [Image.fromarray(FLAT), Image.fromarray(FLAT[::-1])]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    opened = open_images([tmp_path / "a.tif"])
    assert "several pages the first is read" in opened.notes[0]
    assert np.array_equal(next(iter(opened.frames)), FLAT)


def test_plain_images_have_no_notes(tmp_path: Path) -> None:
    for number in range(3):
        Image.fromarray(FLAT).save(tmp_path / f"{number}.png")
    files = sorted(tmp_path.iterdir())
    opened = open_images(files)
    assert (opened.notes, opened.problems, opened.bits, opened.promised) == ([], [], 8, 3)
    assert all(np.array_equal(frame, FLAT) for frame in iter_images(files))


def test_images_of_32_bits_are_refused(tmp_path: Path) -> None:
    Image.fromarray(DEEP[..., 0].astype(np.int32)).save(tmp_path / "a.tif")
    with raises(messages.DEEP_GREY):
        read_image(tmp_path / "a.tif")
