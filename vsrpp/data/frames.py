"""Reads frames from files: videos with PyAV, folders of images with `decode` or Pillow. RGB24, one frame at a time, in order.

A container's frame count and duration are often wrong, so frames are counted by decoding them.
"""

from __future__ import annotations

import errno
import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from PIL import Image

from vsrpp.data import messages
from vsrpp.data.decode import Corner, Frame, decode_rgb8
from vsrpp.errors import VsrppError

_DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_DAMAGED = (
    OSError, ValueError, SyntaxError, EOFError, LookupError, ArithmeticError, TypeError, struct.error, zlib.error,
    Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow raises for damaged files."""
_OF_THE_MACHINE = frozenset(
    {
        errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN, errno.EINTR, errno.ESTALE,
        errno.ETIMEDOUT, errno.ENOTCONN, errno.ECONNRESET, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN,
        errno.ENETUNREACH,
    }
)  # fmt: skip
"""Errors that say nothing about a file: too many open ones, or a file server that does not answer."""
_READERS = 4
_READ_AHEAD = 16


def iter_video(path: Path) -> Iterator[Frame]:
    """Every frame of a video as (H, W, 3) uint8, in presentation order.

    Raises Refused, naming file and frame, if the video cannot be decoded or changes its size.
    """
    frames_done = 0
    size = None
    with _open(path) as container:
        try:
            for frame in container.decode(video=0):
                size = size or (frame.width, frame.height)
                if (frame.width, frame.height) != size:
                    raise messages.VIDEO_CHANGES_SIZE(
                        path=path, frame=frames_done, width=frame.width, height=frame.height,
                        first_width=size[0], first_height=size[1],
                    )  # fmt: skip
                yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
                frames_done += 1
        except av.error.FFmpegError as error:
            raise messages.NOT_DECODABLE(path=path, frame=frames_done, cause=_cause(error)) from None
    if not frames_done:
        raise messages.NO_DECODABLE_FRAME(path=path)


def count_video(path: Path) -> tuple[int, int, int]:
    """(frames, width, height) of a video, by decoding all of it without converting colours. Raises Refused."""
    width, height = probe_video(path)
    frames = 0
    with _open(path) as container:
        try:
            for _ in container.decode(video=0):
                frames += 1
        except av.error.FFmpegError as error:
            raise messages.NOT_DECODABLE(path=path, frame=frames, cause=_cause(error)) from None
    if not frames:
        raise messages.NO_DECODABLE_FRAME(path=path)
    return frames, width, height


def probe_video(path: Path) -> tuple[int, int]:
    """(width, height) of a video's first stream, from its header. Raises Refused if the video is not readable."""
    with _open(path) as container:
        context = container.streams.video[0].codec_context
        if not context.width or not context.height:
            raise messages.NO_FRAME_SIZE(path=path)
        return context.width, context.height


def packet_count(path: Path) -> int:
    """The number of packets of a video: an upper bound on its frames that needs no decoding. Raises Refused."""
    with _open(path) as container:
        try:
            return sum(1 for packet in container.demux(video=0) if packet.size)
        except av.error.FFmpegError as error:
            raise messages.UNREADABLE_VIDEO(path=path, cause=_cause(error)) from None


def iter_images(files: Sequence[Path]) -> Iterator[Frame]:
    """Every image as (H, W, 3) uint8, in the given order.

    Raises Refused, naming the file, if an image cannot be read or differs in size from the first.
    """
    size = None
    with ThreadPoolExecutor(_READERS) as pool:
        rest = iter(files)
        while batch := list(islice(rest, _READ_AHEAD)):
            for file, frame in zip(batch, pool.map(read_image, batch), strict=True):
                size = size or frame.shape
                if frame.shape != size:
                    raise _mixed_sizes(file, (frame.shape[1], frame.shape[0]), (size[1], size[0]))
                yield frame


def read_image(file: Path) -> Frame:
    """One image as (H, W, 3) uint8.

    Raises Refused if the file is not readable, or for grey images of more than 8 bits, which Pillow would clip, not scale;
    VsrppError if not the file, but the machine is at fault.
    """
    return read_corner(file).pixels


def read_corner(file: Path, rows: int | None = None, columns: int | None = None) -> Corner:
    """At least the first rows and columns of an image, all by default. Raises what `read_image` raises.

    A file that is damaged below these rows is refused, too.
    """
    return decode_rgb8(file, rows, columns) or _with_pillow(file)


def _with_pillow(file: Path) -> Corner:
    try:
        with Image.open(file) as image:
            if image.mode in _DEEP_MODES:
                raise messages.DEEP_GREY(path=file, mode=image.mode)
            return Corner(np.asarray(image.convert("RGB")), image.height, image.width)
    except _DAMAGED as error:
        at_fault = getattr(error, "errno", None) in _OF_THE_MACHINE
        reason = messages.READING_FAILED if at_fault else messages.UNREADABLE_IMAGE
        raise reason(path=file, cause=_cause(error)) from None


def iter_raw(folder: Path) -> Iterator[Frame]:
    """Every frame of a packed clip as (H, W, 3) uint8. Raises Refused if the clip is incomplete."""
    yield from np.memmap(folder / "gt.bin", np.uint8, "r", shape=raw_shape(folder)).view(np.ndarray)


def raw_shape(folder: Path) -> tuple[int, int, int, int]:
    """(T, H, W, 3) of a packed clip's gt.bin. Raises Refused if meta.json is unreadable or the file's size differs."""
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        shape = (int(meta["frames"]), int(meta["source_height"]), int(meta["source_width"]), 3)
        complete = (folder / "gt.bin").stat().st_size == int(np.prod(shape))
    except (OSError, ValueError, KeyError, TypeError):
        complete = False
    if not complete:
        raise messages.PACK_INCOMPLETE(path=folder)
    return shape


def images_size(files: Sequence[Path]) -> tuple[int, int]:
    """(width, height) shared by all images, from their headers. Raises Refused, naming the first that differs."""
    first = image_size(files[0])
    for file in files[1:]:
        if (size := image_size(file)) != first:
            raise _mixed_sizes(file, size, first)
    return first


def image_size(file: Path) -> tuple[int, int]:
    """(width, height) of an image, from its header. Raises Refused if the file is not an image."""
    try:
        with Image.open(file) as image:
            return image.size
    except _DAMAGED as error:
        raise messages.UNREADABLE_IMAGE(path=file, cause=_cause(error)) from None


def _mixed_sizes(file: Path, size: tuple[int, int], first: tuple[int, int]) -> VsrppError:
    return messages.FRAMES_DIFFER_IN_SIZE(
        path=file, width=size[0], height=size[1], first_width=first[0], first_height=first[1]
    )


def _open(path: Path) -> InputContainer:
    try:
        container = av.open(str(path))
    except (av.error.FFmpegError, OSError) as error:
        raise messages.NOT_OPENED_AS_VIDEO(path=path, cause=_cause(error)) from None
    if not container.streams.video:
        container.close()
        raise messages.NO_VIDEO_STREAM(path=path)
    container.streams.video[0].thread_type = "AUTO"
    return container


def _cause(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())
