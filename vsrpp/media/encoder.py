"""Encodes frames into packets, which `video_writer.VideoWriter` puts into a file together with the input's other streams.

A film may be encoded by several encoders of one `Encoding`, one after another: the packets of each begin with a keyframe and
depend on no frame outside, so finished ones can be kept while the next are computed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from av.codec.context import Flags

from vsrpp.media import messages
from vsrpp.media.cause import cause_of
from vsrpp.media.colours import FULL_RANGE, LIMITED_RANGE, Colours, Pixels, from_rgb
from vsrpp.media.containers import Container
from vsrpp.media.scheduling import scheduling_kept

os.environ.setdefault("SVT_LOG", "0")  # SVT-AV1 prints its settings for each encoder, and that one was not used


class VideoCodec(NamedTuple):
    """A codec that is written."""

    encoder: str
    """FFmpeg's name of the encoder."""
    options: dict[str, str]
    """The defaults are visually lossless."""
    depths: tuple[int, ...]
    """Bits per channel that it is written with."""
    most_crf: int = 0
    """The coarsest quality factor; 0 if it has none."""


CODECS = {
    "h264": VideoCodec(
        "libx264", {"crf": "16", "preset": "medium", "x264-params": "cpu-independent=1"}, (8,), 51
    ),  # without it, the bytes vary with the place of the pictures in memory
    "hevc": VideoCodec("libx265", {"crf": "18", "preset": "medium", "x265-params": "log-level=error"}, (8, 10, 12), 51),
    "av1": VideoCodec("libsvtav1", {"crf": "18", "preset": "6"}, (8, 10), 63),
    "vp9": VideoCodec("libvpx-vp9", {"crf": "20", "b:v": "0", "row-mt": "1"}, (8,), 63),
    "ffv1": VideoCodec("ffv1", {"level": "3"}, (8, 10, 12, 16)),
}
"""By the name on the command line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """All that is decided about an output video before its first frame; made by `encoding_plan.plan_encoding`."""

    out: Path
    container: Container
    codec: str
    size: tuple[int, int]
    """(width, height) as encoded, after `turn`."""
    bits: int
    pix_fmt: str
    options: dict[str, str]
    """Of the encoder."""
    rate: Fraction
    """Frames per second; of an uneven input, the average."""
    time_base: Fraction
    """Unit of the time stamps of frames and packets, in seconds."""
    colours: Colours
    sample_aspect: Fraction | None
    turn: int = 0
    """Degrees by which the pixels of each frame are turned, counter-clockwise: what the container cannot say."""
    rotation: int = 0
    """Degrees by which players are told to turn them, counter-clockwise."""
    stream: int = 0
    """Index of the input's stream that is upscaled."""

    @property
    def step(self) -> int:
        """Ticks of `time_base` from a frame to the next, at the average rate."""
        return max(1, round(1 / (self.rate * self.time_base)))

    @property
    def rgb(self) -> bool:
        """Whether the video holds RGB itself."""
        return self.pix_fmt.startswith(("bgr", "rgb", "gbr"))

    def describe(self, context: Any) -> None:
        """Set an encoder's size, pixel format, time base, colours and what its container asks for."""
        context.width, context.height = self.size
        context.framerate = self.rate
        context.time_base, context.pix_fmt = self.time_base, self.pix_fmt
        context.color_primaries, context.color_trc = self.colours.primaries, self.colours.transfer
        if self.sample_aspect:
            context.sample_aspect_ratio = self.sample_aspect
        if not self.rgb:
            context.colorspace = self.colours.matrix
            context.color_range = FULL_RANGE if self.colours.full_range else LIMITED_RANGE
        context.flags = int(context.flags) | int(Flags.global_header)


class FrameEncoder:
    """Encodes frames into packets, the first a keyframe. Raises Refused if the encoder does not take the settings."""

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        self._context: Any = av.CodecContext.create(CODECS[encoding.codec].encoder, "w")
        self._context.options = dict(encoding.options)
        encoding.describe(self._context)
        try:
            with scheduling_kept():
                self._context.open()
        except (av.error.FFmpegError, ValueError) as error:
            raise self._refused(error) from None

    @property
    def header(self) -> bytes:
        """What a file's header says about the stream; the same for each encoder of an `Encoding`."""
        return bytes(self._context.extradata or b"")

    def encode(self, frame: Pixels, stamp: tuple[int, int]) -> list[av.Packet]:
        """The packets that are ready after this frame, (H, W, 3). `stamp` is (pts, duration) in the time base.

        Raises Refused if the encoder fails.
        """
        turned: Pixels = np.ascontiguousarray(np.rot90(frame, self._encoding.turn // 90))
        picture = from_rgb(turned, self._encoding.colours, self._encoding.pix_fmt)
        picture.pts, picture.time_base = stamp[0], self._encoding.time_base
        if stamp[1]:
            picture.duration = stamp[1]
        return self._packets(picture)

    def flush(self) -> list[av.Packet]:
        """The remaining packets; nothing can be encoded afterwards."""
        return self._packets(None)

    def _packets(self, picture: Any) -> list[av.Packet]:
        try:
            return list(self._context.encode(picture))
        except (av.error.FFmpegError, ValueError) as error:
            raise self._refused(error) from None

    def _refused(self, error: Exception) -> Exception:
        plan = self._encoding
        return messages.NOT_ENCODED(
            codec=plan.codec, width=plan.size[0], height=plan.size[1], pix_fmt=plan.pix_fmt, cause=cause_of(error)
        )
