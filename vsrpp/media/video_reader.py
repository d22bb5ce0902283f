"""Reads videos with PyAV, frame by frame, in presentation order.

`iter_video`, `count_video` and `probe_video` serve training, `open_video` serves upscaling, which also needs time stamps and
colours. A container's frame count and duration are often wrong, so training counts frames by decoding them.

Colours: frames are 8-bit RGB, converted exactly (`vsrpp.media.colours`) by the input's matrix and range.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from vsrpp.errors import VsrppError
from vsrpp.media import messages
from vsrpp.media.cause import cause_of
from vsrpp.media.colours import Colours, colours_of, to_rgb
from vsrpp.media.timing import filled_stamps

Frame = NDArray[np.uint8]


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
            raise messages.NOT_DECODABLE(path=path, frame=frames_done, cause=cause_of(error)) from None
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
            raise messages.NOT_DECODABLE(path=path, frame=frames, cause=cause_of(error)) from None
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
            raise messages.UNREADABLE_VIDEO(path=path, cause=cause_of(error)) from None


def _open(path: Path) -> InputContainer:
    try:
        container = av.open(str(path))
    except (av.error.FFmpegError, OSError) as error:
        raise messages.NOT_OPENED_AS_VIDEO(path=path, cause=cause_of(error)) from None
    if not container.streams.video:
        container.close()
        raise messages.NO_VIDEO_STREAM(path=path)
    container.streams.video[0].thread_type = "AUTO"
    return container


@dataclass(slots=True)
class OpenClip:
    """A clip being read. `stamps` holds the time stamps of frames that were read but not yet written."""

    width: int
    height: int
    frames: Iterator[Frame]
    expected: int | None
    """Number of frames according to the container; used only for progress."""
    rate: Fraction | None = None
    time_base: Fraction | None = None
    stamps: list[tuple[int, int]] = field(default_factory=list)
    """(pts, duration) in `time_base`."""
    container: Any = None
    notes: list[str] = field(default_factory=list)
    """What cannot be copied to the output, one line each."""
    colours: Colours = field(default_factory=Colours)
    """Of the first frame."""
    rotation: int = 0
    bits: int = 8
    """Bits per channel: frames are uint8 if 8, else uint16 at full scale."""


def open_video(path: Path) -> OpenClip:
    """Open a video. Raises Refused if it cannot be read."""
    container = _open(path)
    stream = container.streams.video[0]
    context = stream.codec_context
    rate = stream.average_rate or stream.guessed_rate or Fraction(25)
    expected = stream.frames or (int(container.duration / av.time_base * rate) if container.duration else None)
    opened = OpenClip(context.width, context.height, iter(()), expected, rate, stream.time_base, container=container)
    if context.format is not None and any(component.bits > 8 for component in context.format.components):
        opened.notes.append(f"the input has more than 8 bits a channel ({context.pix_fmt}); the output has 8")
    try:
        decoded = container.decode(video=0)
        first = next(decoded, None)
        if first is None:
            raise messages.NO_DECODABLE_FRAME(path=path)
        opened.colours = colours_of(path, first)
        opened.rotation = first.rotation
    except av.error.FFmpegError as error:
        container.close()
        raise messages.NOT_DECODABLE(path=path, frame=0, cause=cause_of(error)) from None
    except VsrppError:
        container.close()
        raise
    opened.frames = _decoded(path, opened, chain([first], decoded))
    return opened


def _decoded(path: Path, opened: OpenClip, frames: Iterable[av.VideoFrame]) -> Iterator[Frame]:
    frames_done = 0
    step = max(1, round(1 / (opened.rate * opened.time_base))) if opened.rate and opened.time_base else 1
    try:
        for frame, stamp in filled_stamps(((frame, frame.pts) for frame in frames), step):
            if (frame.width, frame.height) != (opened.width, opened.height):
                raise messages.VIDEO_CHANGES_SIZE(
                    path=path, frame=frames_done, width=frame.width, height=frame.height,
                    first_width=opened.width, first_height=opened.height,
                )  # fmt: skip
            opened.rotation = frame.rotation
            opened.stamps.append((stamp, frame.duration or 0))
            yield np.asarray(to_rgb(frame, opened.colours), np.uint8)
            frames_done += 1
    except av.error.FFmpegError as error:
        raise messages.NOT_DECODABLE(path=path, frame=frames_done, cause=cause_of(error)) from None
