"""Reads images one at a time, in order: with `decode` or Pillow, or with FFmpeg if they have 16 bits a channel.

`version` is the run config's `reader_version` (`vsrpp.media.READER_VERSION`).
"""

from __future__ import annotations

import errno
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile

from vsrpp.errors import VsrppError
from vsrpp.media import READER_VERSION, messages
from vsrpp.media.cause import cause_of
from vsrpp.media.colours import Colours, Pixels, to_rgb
from vsrpp.media.decode import Corner, decode_rgb8
from vsrpp.media.video_reader import OpenClip

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
_ORIENTATION, _FIRST_SIDEWAYS = 0x0112, 5
_TURNS: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}
"""EXIF's orientation -> what makes pixels upright. From 5 on, width and height change places."""
_READERS = 4
_READ_AHEAD = 16


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What an image's header says."""

    width: int
    """Upright, as viewers show it. Height likewise."""
    height: int
    bits: int
    """Bits of a channel: 8 or 16."""
    orientation: int
    """EXIF's number of the turn that makes it upright; 1 for none."""
    alpha: bool
    """Whether it has alpha, transparent or not."""
    pages: int


def open_images(files: Sequence[Path], *, deep: bool = True) -> OpenClip:
    """A folder of frames as a clip, whose notes say what is not read. Raises Refused, naming the first file of another size.

    deep: read them as uint16 if one has more than 8 bits a channel; if not, 16 bits are rounded to 8.
    """
    facts, notes = _facts_of(files)
    bits = max(each.bits for each in facts) if deep else 8
    if bits < max(each.bits for each in facts):
        notes.append(f"the 16 bits a channel of {_some(facts, lambda each: each.bits > 8)} are rounded to 8")
    frames = iter_images(files, bits=bits)
    alpha = any(each.alpha for each in facts)
    return OpenClip(
        facts[0].width, facts[0].height, frames, len(files), bits=bits, notes=notes, alpha=alpha, promised=len(files)
    )


def iter_images(files: Sequence[Path], version: int = READER_VERSION, bits: int = 8) -> Iterator[Pixels]:
    """Every image as (H, W, 3), in the given order: uint8 if `bits` is 8, else uint16 at full scale.

    Raises Refused, naming the file, if an image cannot be read or differs in size from the first.
    """
    size = None
    with ThreadPoolExecutor(_READERS) as pool:
        rest = iter(files)
        while batch := list(islice(rest, _READ_AHEAD)):
            for file, frame in zip(
                batch, pool.map(partial(read_image, version=version, bits=bits), batch), strict=True
            ):
                size = size or frame.shape
                if frame.shape != size:
                    raise _mixed_sizes(file, (frame.shape[1], frame.shape[0]), (size[1], size[0]))
                yield frame


def read_image(file: Path, version: int = READER_VERSION, bits: int = 8) -> Pixels:
    """One image as (H, W, 3), upright: uint8 if `bits` is 8, else uint16 at full scale. Alpha is dropped.

    Raises Refused if the file is not readable or has more than 16 bits a channel; VsrppError if not the file, but the machine
    is at fault.
    """
    quickly = decode_rgb8(file) if bits == 8 else None
    return quickly.pixels if quickly is not None else _read(file, version, bits)


def read_corner(
    file: Path, version: int = READER_VERSION, rows: int | None = None, columns: int | None = None
) -> Corner:
    """At least the first rows and columns of an image, uint8, all by default. Raises what `read_image` raises.

    A file that is damaged below these rows is refused, too.
    """
    corner = decode_rgb8(file, rows, columns)
    if corner is not None:
        return corner
    pixels = _read(file, version, 8)
    return Corner(pixels, *pixels.shape[:2])


def _read(file: Path, version: int, bits: int) -> Pixels:
    with _damage_told(file), Image.open(file) as image:
        if version == 1:
            return _read_version_1(file, image)
        facts = _facts(file, image)
        if facts.bits == 16:
            image.load()  # finds damage, which FFmpeg conceals
            return _upright(_read_deep(file, bits), facts.orientation)
        in_colour = image.convert("RGBA" if image.mode == "P" and "transparency" in image.info else "RGB")
        pixels = np.asarray(in_colour)[..., :3]
        turned = _upright(pixels, 1 if image.format == "TIFF" else facts.orientation)  # Pillow turns TIFF itself
        return turned if bits == 8 else turned.astype(np.uint16) * 257


def images_size(
    files: Sequence[Path], version: int = READER_VERSION, notes: list[str] | None = None
) -> tuple[int, int]:
    """(width, height) shared by all images, from their headers. Raises Refused, naming the first that differs.

    Appends to `notes` what 8-bit training does not use of them.
    """
    if version == 1:
        first = image_size(files[0], version)
        for file in files[1:]:
            if (size := image_size(file, version)) != first:
                raise _mixed_sizes(file, size, first)
        return first
    facts, found = _facts_of(files)
    if any(each.bits > 8 for each in facts):
        found.append(f"the 16 bits a channel of {_some(facts, lambda each: each.bits > 8)} are rounded to 8")
    if notes is not None:
        notes += found
    return facts[0].width, facts[0].height


def image_size(file: Path, version: int = READER_VERSION) -> tuple[int, int]:
    """(width, height) of an image, upright, from its header. Raises Refused if the file is not an image."""
    with _damage_told(file), Image.open(file) as image:
        if version == 1:
            return image.size
        facts = _facts(file, image)
        return facts.width, facts.height


def _facts_of(files: Sequence[Path]) -> tuple[list[ImageFacts], list[str]]:
    """The facts of all images, and what is not read of them. Raises Refused, naming the first of another size."""
    facts = []
    for file in files:
        with _damage_told(file), Image.open(file) as image:
            facts.append(_facts(file, image))
        size = facts[-1].width, facts[-1].height
        if size != (facts[0].width, facts[0].height):
            raise _mixed_sizes(file, size, (facts[0].width, facts[0].height))
    notes = []
    if any(each.alpha for each in facts):
        which = _some(facts, lambda each: each.alpha)
        notes.append(f"the alpha of {which} is dropped: transparent parts show the colours stored beneath")
    if any(each.pages > 1 for each in facts):
        notes.append(f"of {_some(facts, lambda each: each.pages > 1)} with several pages the first is read")
    return facts, notes


def _some(facts: Sequence[ImageFacts], has: Callable[[ImageFacts], bool]) -> str:
    count = sum(map(has, facts))
    return "the frames" if count == len(facts) else f"{count} of {len(facts)} frames"


def _facts(file: Path, image: ImageFile) -> ImageFacts:
    coding: Any = image.tile[0].args if image.tile else ""
    coded = str(coding if isinstance(coding, str) or not coding else coding[0])
    bits = 16 if ";16" in coded else 8
    if image.mode in _DEEP_MODES and bits == 8:
        raise messages.DEEP_GREY(path=file, mode=image.mode)
    orientation = 1
    if image.format == "TIFF" or "exif" in image.info:  # asking for what is not in the header would decode a PNG
        orientation = image.getexif().get(_ORIENTATION, 1)
    orientation = orientation if orientation in _TURNS else 1
    width, height = image.size
    if orientation >= _FIRST_SIDEWAYS and image.format != "TIFF":
        width, height = height, width
    pages = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)  # MPO: a photo with its depth or gain map
    alpha = "A" in image.getbands() or "transparency" in image.info
    return ImageFacts(width, height, bits, orientation, alpha, pages)


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    return pixels if orientation == 1 else np.ascontiguousarray(_TURNS[orientation](pixels))


def _read_deep(file: Path, bits: int) -> Pixels:
    """With FFmpeg: Pillow cuts 16 bits of RGB to 8."""
    codec = av.CodecContext.create("tiff" if file.suffix.lower() in (".tif", ".tiff") else "png", "r")
    codec.thread_count = 1  # with more it returns the frame only after the next
    try:
        frame = codec.decode(av.Packet(file.read_bytes()))[0]
        return to_rgb(frame, Colours(full_range=True), bits)
    except (av.error.FFmpegError, IndexError) as error:
        raise messages.UNREADABLE_IMAGE(path=file, cause=cause_of(error)) from None


def _read_version_1(file: Path, image: Image.Image) -> Pixels:
    if image.mode in _DEEP_MODES:
        raise messages.DEEP_GREY(path=file, mode=image.mode)
    return np.asarray(image.convert("RGB"))


@contextmanager
def _damage_told(file: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        at_fault = getattr(error, "errno", None) in _OF_THE_MACHINE
        reason = messages.READING_FAILED if at_fault else messages.UNREADABLE_IMAGE
        raise reason(path=file, cause=cause_of(error)) from None


def _mixed_sizes(file: Path, size: tuple[int, int], first: tuple[int, int]) -> VsrppError:
    return messages.FRAMES_DIFFER_IN_SIZE(
        path=file, width=size[0], height=size[1], first_width=first[0], first_height=first[1]
    )
