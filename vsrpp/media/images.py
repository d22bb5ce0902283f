"""Reads images with Pillow: RGB24, one frame at a time, in order."""

from __future__ import annotations

import errno
import struct
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vsrpp.errors import VsrppError
from vsrpp.media import messages
from vsrpp.media.cause import cause_of

Frame = NDArray[np.uint8]

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
    try:
        with Image.open(file) as image:
            if image.mode in _DEEP_MODES:
                raise messages.DEEP_GREY(path=file, mode=image.mode)
            return np.asarray(image.convert("RGB"))
    except _DAMAGED as error:
        at_fault = getattr(error, "errno", None) in _OF_THE_MACHINE
        reason = messages.READING_FAILED if at_fault else messages.UNREADABLE_IMAGE
        raise reason(path=file, cause=cause_of(error)) from None


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
        raise messages.UNREADABLE_IMAGE(path=file, cause=cause_of(error)) from None


def _mixed_sizes(file: Path, size: tuple[int, int], first: tuple[int, int]) -> VsrppError:
    return messages.FRAMES_DIFFER_IN_SIZE(
        path=file, width=size[0], height=size[1], first_width=first[0], first_height=first[1]
    )
