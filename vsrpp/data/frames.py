"""Pixels out of files: a video through PyAV, a folder of images through Pillow. RGB24, one frame at a time, in order.

Nothing here trusts a container: its frame count and duration are often wrong, so frames are counted by decoding them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray
from PIL import Image

from vsrpp.errors import Refused

Frame = NDArray[np.uint8]

_DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_READERS = 4
_READ_AHEAD = 16


def iter_video(path: Path) -> Iterator[Frame]:
    """Every frame of a video as (H, W, 3) uint8, in presentation order; Refused names the file and the frame."""
    frames_done = 0
    size = None
    with _open(path) as container:
        try:
            for frame in container.decode(video=0):
                size = size or (frame.width, frame.height)
                if (frame.width, frame.height) != size:
                    raise Refused(
                        f"{path} refused: frame {frames_done} is {frame.width}x{frame.height}, those before it "
                        f"{size[0]}x{size[1]}; a clip has one size"
                    )
                yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
                frames_done += 1
        except av.error.FFmpegError as error:
            raise Refused(f"{path} refused: it cannot be decoded past frame {frames_done} ({_reason(error)})") from None
    if not frames_done:
        raise Refused(f"{path} refused: it has a video stream but not one decodable frame")


def count_video(path: Path) -> tuple[int, int, int]:
    """(frames, width, height) of a video by decoding all of it, without the cost of converting colours."""
    width, height = probe_video(path)
    frames = 0
    with _open(path) as container:
        try:
            for _ in container.decode(video=0):
                frames += 1
        except av.error.FFmpegError as error:
            raise Refused(f"{path} refused: it cannot be decoded past frame {frames} ({_reason(error)})") from None
    if not frames:
        raise Refused(f"{path} refused: it has a video stream but not one decodable frame")
    return frames, width, height


def probe_video(path: Path) -> tuple[int, int]:
    """(width, height) of a video's first stream; raises Refused when it is no readable video."""
    with _open(path) as container:
        context = container.streams.video[0].codec_context
        if not context.width or not context.height:
            raise Refused(f"{path} refused: its video stream says no frame size, so the file is torn or not a video")
        return context.width, context.height


def packet_count(path: Path) -> int:
    """Packets of a video: at least its frames, and read without decoding, so known before a long decode starts."""
    with _open(path) as container:
        try:
            return sum(1 for packet in container.demux(video=0) if packet.size)
        except av.error.FFmpegError as error:
            raise Refused(f"{path} refused: it cannot be read ({_reason(error)})") from None


def iter_images(files: Sequence[Path]) -> Iterator[Frame]:
    """Every image as (H, W, 3) uint8, in the order given; Refused names the file that cannot be read or differs."""
    size = None
    with ThreadPoolExecutor(_READERS) as pool:
        rest = iter(files)
        while batch := list(islice(rest, _READ_AHEAD)):
            for file, frame in zip(batch, pool.map(read_image, batch), strict=True):
                size = size or frame.shape
                if frame.shape != size:
                    raise Refused(_mixed_sizes(file, (frame.shape[1], frame.shape[0]), (size[1], size[0])))
                yield frame


def read_image(file: Path) -> Frame:
    """One image as (H, W, 3) uint8. Deep grey images are refused: converting them would clip, not scale."""
    try:
        with Image.open(file) as image:
            if image.mode in _DEEP_MODES:
                raise Refused(f"{file} refused: more than 8 bits of grey (mode {image.mode}); save it with 8 bits")
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise Refused(f"{file} refused: it cannot be read as an image ({_reason(error)})") from None


def iter_raw(folder: Path) -> Iterator[Frame]:
    """Every frame of a clip of a packed copy as (H, W, 3) uint8."""
    yield from np.memmap(folder / "gt.bin", np.uint8, "r", shape=raw_shape(folder)).view(np.ndarray)


def raw_shape(folder: Path) -> tuple[int, int, int, int]:
    """(T, H, W, 3) of a packed clip's gt.bin; raises Refused where its meta.json or its size do not say so."""
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        shape = (int(meta["frames"]), int(meta["source_height"]), int(meta["source_width"]), 3)
        whole = (folder / "gt.bin").stat().st_size == int(np.prod(shape))
    except (OSError, ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise Refused(f"{folder} refused: this clip of a packed copy is not whole; pack again")
    return shape


def images_size(files: Sequence[Path]) -> tuple[int, int]:
    """(width, height) that all the images share, from their headers; raises Refused naming the first that differs."""
    first = image_size(files[0])
    for file in files[1:]:
        if (size := image_size(file)) != first:
            raise Refused(_mixed_sizes(file, size, first))
    return first


def image_size(file: Path) -> tuple[int, int]:
    """(width, height) of an image from its header; raises Refused where it is none."""
    try:
        with Image.open(file) as image:
            return image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise Refused(f"{file} refused: it cannot be read as an image ({_reason(error)})") from None


def _mixed_sizes(file: Path, size: tuple[int, int], first: tuple[int, int]) -> str:
    return (
        f"{file} refused: it is {size[0]}x{size[1]}, the frames before it in that folder are {first[0]}x{first[1]}; "
        "a clip has one size"
    )


def _open(path: Path) -> InputContainer:
    try:
        container = av.open(str(path))
    except (av.error.FFmpegError, OSError) as error:
        raise Refused(f"{path} refused: it cannot be opened as a video ({_reason(error)})") from None
    if not container.streams.video:
        container.close()
        raise Refused(f"{path} refused: it has no video stream")
    container.streams.video[0].thread_type = "AUTO"
    return container


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())
