"""A fast decoder for the frames that most data sets hold: PNG files with 8 bits, RGB or RGBA, not interlaced.

It returns the pixels that Pillow returns, or None for every other file, damaged ones included. The caller then reads it
with Pillow, whose pixels or error count.

A crop needs the rows above its last one and, of these, the pixels left of its last column: a PNG row is coded as differences
from the pixels to the left and above. So a decoder may stop early, but cannot skip the start. Rows below are not inflated, but
every chunk's CRC is checked: a file that was damaged anywhere after it was written is noticed. Only a writer's own mistake in
these rows, with CRCs that match it, is not, until they are read.

isal inflates twice as fast as zlib. The differences are undone by FFmpeg's SIMD code: it gets the part of the rows that is
needed as a PNG file that is stored, not compressed.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    inflate = zlib
else:
    try:
        from isal import isal_zlib as inflate
    except ModuleNotFoundError:  # no wheel for this platform: the same pixels, more slowly
        inflate = zlib

Frame = NDArray[np.uint8]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {2: 3, 6: 4}
"""Channels by PNG colour type: RGB and RGBA."""
_WITHOUT_EFFECT = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"pHYs": 9, b"tIME": 7}
"""Chunks with the length they must have. Pillow ignores them, and so do readers that apply what a file says of its pixels."""
_LONGEST_TEXT = 4096
_STORED_MOST = 65535
"""Bytes of a stored deflate block; each row becomes one."""


@dataclass(frozen=True, slots=True)
class Corner:
    """The upper left part of an image, or all of it."""

    pixels: Frame
    """(rows, columns, 3) uint8."""
    height: int
    """Of the image."""
    width: int


def decode_rgb8(file: Path, rows: int | None = None, columns: int | None = None) -> Corner | None:
    """At least the first rows and columns of an image file (all by default), or None if only Pillow can tell what it holds.

    Raises nothing about the file: one that cannot be opened or is damaged is None.
    """
    try:
        return _decode(memoryview(file.read_bytes()), rows, columns)
    except (OSError, ValueError, struct.error, inflate.error, av.error.FFmpegError):
        return None


def _decode(data: memoryview, rows: int | None, columns: int | None) -> Corner | None:
    chunks = list(_chunks(data))
    if not chunks or chunks[0][0] != b"IHDR":
        return None
    width, height, *coding, interlaced = struct.unpack(">IIBBBBB", chunks[0][1])
    depth, colour, *_ = coding
    channels = _CHANNELS.get(colour, 0)
    packed = [body for name, body in chunks if name == b"IDAT"]
    pixels = width * height
    plain = depth == 8 and channels and coding[2:] == [0, 0] and not interlaced and packed and pixels
    if not plain or pixels > (Image.MAX_IMAGE_PIXELS or pixels) or 1 + channels * width > _STORED_MOST:
        return None
    rows, columns = min(rows or height, height), min(columns or width, width)
    coded = _inflated(b"".join(packed), rows, 1 + channels * width, whole=rows == height)
    if coded is None or coded[:, 0].max() > 4:  # no such filter
        return None
    decoded = _unfiltered(coded[:, : 1 + channels * columns], colour, columns)
    return Corner(np.ascontiguousarray(decoded.reshape(rows, columns, channels)[..., :3]), height, width)


def _chunks(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """(name, body) of every chunk. Raises ValueError unless all are undamaged, known to be harmless, and in order."""
    if data[: len(_SIGNATURE)] != _SIGNATURE:
        raise ValueError("not a PNG file")
    at, names = len(_SIGNATURE), [b""]
    while names[-1] != b"IEND":
        length, name = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        (crc,) = struct.unpack_from(">I", data, at + 8 + length)
        if inflate.crc32(data[at + 4 : at + 8 + length]) != crc:
            raise ValueError(f"{name!r} is damaged")
        if not _is_plain(name, length, names):
            raise ValueError(f"{name!r} is unexpected, or may change what the pixels mean")
        yield name, body
        names.append(name)
        at += 12 + length


def _is_plain(name: bytes, length: int, before: list[bytes]) -> bool:
    if name in (b"IHDR", b"IDAT"):
        return name not in before or before[-1] == name == b"IDAT"
    return name == b"IEND" or _WITHOUT_EFFECT.get(name) == length or (name == b"tEXt" and length <= _LONGEST_TEXT)


def _inflated(packed: bytes, rows: int, stride: int, *, whole: bool) -> Frame | None:
    """The coded rows, (rows, stride): a filter number, then the differences. None if the stream ends early or late."""
    stream = inflate.decompressobj()
    coded = stream.decompress(packed, rows * stride + whole)  # one more byte than there may be: then the end is reached
    if len(coded) != rows * stride or (whole and not stream.eof):
        return None
    return np.frombuffer(coded, np.uint8).reshape(rows, stride)


def _unfiltered(coded: Frame, colour: int, width: int) -> Frame:
    """The rows as (rows, channels * width) of pixels, by FFmpeg's decoder.

    The codec is new for each image: one that has decoded an image adds the next to it, as PNG video may need.
    """
    rows, size = coded.shape
    stored = np.empty((rows, 5 + size), np.uint8)
    stored[:, :5] = np.frombuffer(struct.pack("<BHH", 0, size, size ^ 0xFFFF), np.uint8)  # a stored block
    stored[:, 5:] = coded  # no block is marked as the last: FFmpeg stops at the last row
    header = struct.pack(">IIBBBBB", width, rows, 8, colour, 0, 0, 0)
    png = b"".join([_SIGNATURE, *_chunk(b"IHDR", header), *_chunk(b"IDAT", b"\x78\x01", stored.data), *_chunk(b"IEND")])
    codec = av.CodecContext.create("png", "r")
    codec.thread_count = 1  # more would return the frame only after the next
    codec.options = {"err_detect": "0"}  # no check of the CRCs, which are not computed
    (frame,) = codec.decode(av.Packet(png))
    plane = frame.planes[0]
    pixels = np.frombuffer(plane, np.uint8)  # type: ignore[call-overload]  # a plane has the buffer protocol
    return np.asarray(pixels.reshape(rows, plane.line_size)[:, : size - 1])


def _chunk(name: bytes, *body: bytes | memoryview) -> list[bytes | memoryview]:
    return [struct.pack(">I", sum(memoryview(part).nbytes for part in body)), name, *body, bytes(4)]
