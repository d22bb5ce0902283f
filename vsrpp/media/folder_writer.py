"""Saves frames as PNG files."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from vsrpp.media.colours import Pixels
from vsrpp.media.video_reader import OpenClip

_LEVEL = 3
"""zlib's compression level: files are a few percent larger than at 6, and written twice as fast."""


class FolderWriter:
    """Saves frames as PNG files of 8 or 16 bits, named like the input's frames or numbered from `first` on.

    `turn` is by how many degrees each is turned, counter-clockwise: a PNG file cannot tell viewers to do it.
    """

    def __init__(self, folder: Path, names: tuple[str, ...] = (), first: int = 0, *, turn: int = 0) -> None:
        self._folder, self._names, self._written, self._turn = folder, names, first, turn
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, frame: Pixels) -> Path:
        """Save the next frame, (H, W, 3) uint8 or uint16; returns its file."""
        name = self._names[self._written] if self._names else f"{self._written:08d}"
        file = self._folder / f"{name}.png"
        turned: Pixels = np.ascontiguousarray(np.rot90(frame, self._turn // 90))
        if turned.dtype == np.uint8:
            Image.fromarray(turned).save(file, compress_level=_LEVEL)
        else:
            file.write_bytes(_png_16(turned))
        self._written += 1
        return file

    def finish(self) -> None:
        """Nothing to do; every frame is already written."""

    def close(self) -> None:
        """Nothing to close."""


def _png_16(frame: Pixels) -> bytes:
    """A PNG file of 16 bits per channel, which Pillow cannot write in RGB."""
    encoder: Any = av.CodecContext.create("png", "w")
    encoder.options = {"compression_level": str(_LEVEL)}
    encoder.height, encoder.width = frame.shape[:2]
    encoder.pix_fmt, encoder.time_base = "rgb48be", Fraction(1)
    picture = av.VideoFrame.from_ndarray(frame.astype(np.uint16), format="rgb48le").reformat(format="rgb48be")
    return b"".join(bytes(packet) for packet in (*encoder.encode(picture), *encoder.encode(None)))


def folder_turn(opened: OpenClip) -> int:
    """By how many degrees frames in PNG files are turned. Appends to the notes of `opened` what such files do not say."""
    turn = opened.rotation % 360
    if turn:
        opened.notes.append(f"the frames are turned by {turn}°, because PNG files cannot tell viewers to do it")
    if aspect := opened.sample_aspect:
        opened.notes.append(
            f"dropped: the shape of the pixels ({aspect.numerator}:{aspect.denominator}); PNG files do not hold it"
        )
    if opened.colours.hdr:
        opened.notes.append("dropped: the names of the HDR colours; PNG files do not hold them")
    return turn
