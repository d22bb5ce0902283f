"""The fast decoder gives Pillow's pixels or leaves the file to Pillow, whatever kind of file it is and however it is damaged."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.support.pngs import SIGNATURE, chunk, png
from vsrpp.errors import VsrppError
from vsrpp.media import decode, images
from vsrpp.media.decode import decode_rgb8

FRAME = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
ALPHA = np.dstack([FRAME, FRAME[..., 0]])
INFLATERS = list({module.__name__: module for module in (decode.inflate, zlib)}.values())


def _saved(mode: str, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(ALPHA[..., : 4 if "A" in mode else 3]).convert(mode).save(file, format, **options)
    return file.getvalue()


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned when shown
    return exif


BY_THE_DECODER = {
    "RGB": _saved("RGB", "png"),
    "RGB, dpi": _saved("RGB", "png", dpi=(72, 72)),
    "RGBA": _saved("RGBA", "png"),
    "text": png(FRAME, after=[(b"tEXt", b"Software\0x")]),
    "gamma": png(FRAME, before=[(b"gAMA", struct.pack(">I", 45455)), (b"sRGB", b"\0")]),
    "bytes after the end": _saved("RGB", "png") + b"more",
}
BY_PILLOW = {
    "palette": _saved("P", "png"),
    "grey": _saved("L", "png"),
    "grey, alpha": _saved("LA", "png"),
    "1 bit": _saved("1", "png"),
    "interlaced": png(FRAME, [1, 2, 3, 4], interlaced=True),
    "48 bits": png(FRAME.astype(np.uint16) * 256 + 200, [4]),
    "one transparent colour": _saved("RGB", "png", transparency=(1, 2, 3)),
    "colour profile": _saved("RGB", "png", icc_profile=b"a profile"),
    "orientation": _saved("RGB", "png", exif=_exif()),
    "animated": _saved("RGB", "png", save_all=True, append_images=[Image.fromarray(FRAME[::-1])]),
    "long text": png(FRAME, before=[(b"tEXt", b"k\0" + bytes(5000))]),
    "data after the last row": png(FRAME, changed=lambda stream: zlib.compress(zlib.decompress(stream) + b"\0")),
    "wide": png(np.zeros((1, 21846, 3), np.uint8)),
    "JPEG": _saved("RGB", "jpeg", quality=90),
    "JPEG, progressive": _saved("RGB", "jpeg", progressive=True),
    "JPEG, CMYK": _saved("CMYK", "jpeg"),
    "JPEG, grey": _saved("L", "jpeg"),
    "BMP": _saved("RGB", "bmp"),
    "TIFF": _saved("RGB", "tiff", compression="tiff_lzw"),
    "WebP": _saved("RGB", "webp", lossless=True),
}


@pytest.mark.parametrize("name", [*BY_THE_DECODER, *BY_PILLOW])
def test_an_image_of_any_kind_has_pillows_pixels(tmp_path: Path, name: str) -> None:
    file = tmp_path / "image"
    file.write_bytes({**BY_THE_DECODER, **BY_PILLOW}[name])
    with Image.open(file) as image:
        expected = np.asarray(image.convert("RGB"))
    assert (decode_rgb8(file) is not None) == (name in BY_THE_DECODER)
    np.testing.assert_array_equal(images.read_image(file, 1), expected)
    corner = images.read_corner(file, 1, 9, 11)
    assert (corner.height, corner.width) == expected.shape[:2]
    np.testing.assert_array_equal(corner.pixels[:9, :11], expected[:9, :11])


@settings(max_examples=40)
@given(st.data())
@pytest.mark.parametrize("inflate", INFLATERS, ids=lambda module: module.__name__)
def test_every_corner_has_pillows_pixels_with_every_filter(
    tmp_path_factory: pytest.TempPathFactory, inflate: Any, data: st.DataObject
) -> None:
    height, width = data.draw(st.integers(1, 40), "height"), data.draw(st.integers(1, 70), "width")
    rows, columns = data.draw(st.integers(1, height), "rows"), data.draw(st.integers(1, width), "columns")
    noise = np.random.default_rng(data.draw(st.integers(0, 99), "pixels"))
    pixels = noise.integers(0, 256, (height, width, data.draw(st.sampled_from([3, 4]), "channels")), np.uint8)
    file = tmp_path_factory.getbasetemp() / "corner.png"
    filters = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=8), "filters")
    file.write_bytes(png(pixels, filters, pieces=data.draw(st.integers(1, 5)), level=data.draw(st.integers(0, 9))))
    with Image.open(file) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode, "inflate", inflate)
        corner = decode_rgb8(file, rows, columns)
    assert corner is not None
    assert (corner.height, corner.width, corner.pixels.shape) == (height, width, (rows, columns, 3))
    np.testing.assert_array_equal(corner.pixels, pixels[:rows, :columns, :3])


WHOLE = _saved("RGB", "png")
DAMAGED: dict[str, bytes] = {
    **{
        f"byte {at} flipped": WHOLE[:at] + bytes([WHOLE[at] ^ 0x10]) + WHOLE[at + 1 :] for at in (*range(40), 300, 2000)
    },
    **{f"cut after {at} bytes": WHOLE[:at] for at in (0, 7, 20, 33, 50, 2000, len(WHOLE) - 16, len(WHOLE) - 4)},
    "last byte of the data flipped": WHOLE[:-17] + bytes([WHOLE[-17] ^ 1]) + WHOLE[-16:],
    "checksum of the stream": png(FRAME, changed=lambda stream: stream[:-4] + bytes(4)),
    "checksum of the stream missing": png(FRAME, changed=lambda stream: stream[:-4]),
    "no such filter": png(FRAME, [0, 5]),
    "a row missing": png(FRAME, changed=lambda stream: zlib.compress(zlib.decompress(stream)[: -1 - 3 * 56])),
    "nothing compressed": png(FRAME, changed=lambda stream: zlib.compress(b"")),
    "not compressed": png(FRAME, changed=lambda stream: b"as it is" * 50),
    "no data": SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", 5, 5, 8, 2, 0, 0, 0)) + chunk(b"IEND", b""),
    "no columns": SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", 0, 5, 8, 2, 0, 0, 0)) + WHOLE[33:],
    "far too large": SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0)) + WHOLE[33:],
    "header twice": WHOLE[:33] + WHOLE[8:],
    "data in two places": png(FRAME, pieces=2).replace(
        chunk(b"IEND", b""), chunk(b"tEXt", b"a\0b") + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    ),
    "not an image": b"not an image at all",
    "grey of 16 bits": png(FRAME[..., :1].astype(np.uint16)),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_has_pillows_pixels_or_pillows_reason(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "image.png"
    file.write_bytes(DAMAGED[name])
    readers = (images.read_image, lambda path: images.read_corner(path, 2, 40, 20).pixels[:, :20])
    ours = [_outcome(read, file) for read in readers]
    monkeypatch.setattr(images, "decode_rgb8", lambda *_: None)
    assert ours == [_outcome(read, file) for read in readers]


@pytest.mark.parametrize(
    "name", [name for name in DAMAGED if name.startswith(("byte 300", "byte 2000", "cut after", "last byte"))]
)
def test_damage_below_the_corner_is_noticed(tmp_path: Path, name: str) -> None:
    file = tmp_path / "image.png"
    file.write_bytes(DAMAGED[name])
    assert decode_rgb8(file, 1, 1) is None
    file.write_bytes(WHOLE)
    assert decode_rgb8(file, 1, 1) is not None


def test_a_missing_file_and_a_folder_have_pillows_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = (tmp_path, tmp_path / "missing.png")
    ours = [_outcome(images.read_image, file) for file in files]
    monkeypatch.setattr(images, "decode_rgb8", lambda *_: None)
    assert ours == [_outcome(images.read_image, file) for file in files]


def test_a_machine_out_of_file_descriptors_is_still_the_machines_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "image.png").write_bytes(WHOLE)

    def out_of_files(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(Path, "read_bytes", out_of_files)
    monkeypatch.setattr(Image, "open", out_of_files)
    assert _outcome(images.read_image, tmp_path / "image.png")[0] == images.messages.READING_FAILED.code


def _outcome(read: Callable[[Path], np.ndarray], file: Path) -> tuple[str, str]:
    """The reason and the sentence, or the pixels."""
    try:
        pixels = read(file)
    except VsrppError as error:
        return error.reason_code, str(error)
    return str(pixels.shape), pixels.tobytes().hex()
