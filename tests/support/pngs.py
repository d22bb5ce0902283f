"""A PNG writer for tests: any filter in any row, any chunk, and every kind of damage that Pillow would not write."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Sequence

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOUR_TYPES = {1: 0, 3: 2, 4: 6}
Chunk = tuple[bytes, bytes]


def chunk(name: bytes, body: bytes) -> bytes:
    """A chunk with its CRC."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(
    pixels: np.ndarray, filters: Sequence[int] = (0,), *, interlaced: bool = False, before: Iterable[Chunk] = (),
    after: Iterable[Chunk] = (), level: int = 6, pieces: int = 1,
    changed: Callable[[bytes], bytes] = lambda stream: stream,
) -> bytes:  # fmt: skip
    """An image (H, W, channels) uint8, or uint16 of which each value keeps its two bytes.

    filters: by row, over and over. before and after: chunks on either side of the image data, which is cut into `pieces`.
    changed: damage to the compressed stream.
    """
    height, width, channels = pixels.shape
    depth = 8 * pixels.dtype.itemsize
    passes = [pixels[y::dy, x::dx] for x, y, dx, dy in _ADAM7] if interlaced else [pixels]
    stream = changed(zlib.compress(b"".join(_filtered(part, filters) for part in passes if part.size), level))
    step = -(-len(stream) // pieces)
    header = struct.pack(">IIBBBBB", width, height, depth, COLOUR_TYPES[channels], 0, 0, interlaced)
    body = [(b"IDAT", stream[start : start + step]) for start in range(0, len(stream), step)]
    parts = [(b"IHDR", header), *before, *body, *after, (b"IEND", b"")]
    return SIGNATURE + b"".join(chunk(name, data) for name, data in parts)


_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def _filtered(pixels: np.ndarray, filters: Sequence[int]) -> bytes:
    height, _, channels = pixels.shape
    big_endian = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder(">"))
    rows = big_endian.view(np.uint8).reshape(height, -1).astype(np.int64)
    reach = channels * pixels.dtype.itemsize
    left = np.pad(rows, ((0, 0), (reach, 0)))[:, :-reach]
    up = np.pad(rows, ((1, 0), (0, 0)))[:-1]
    corner = np.pad(left, ((1, 0), (0, 0)))[:-1]
    estimate = left + up - corner
    distances = np.stack([abs(estimate - side) for side in (left, up, corner)])
    paeth = np.choose(distances.argmin(axis=0), [left, up, corner])
    predicted = [np.zeros_like(rows), left, up, (left + up) // 2, paeth]
    coded = bytearray()
    for number in range(height):
        kind = filters[number % len(filters)]
        coded.append(kind)
        coded += ((rows[number] - predicted[min(kind, 4)][number]) % 256).astype(np.uint8).tobytes()
    return bytes(coded)
