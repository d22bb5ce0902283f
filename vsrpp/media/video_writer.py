"""Encodes videos with PyAV, keeping the input's time stamps, colours, sound and subtitles.

Colours: frames are 8-bit RGB. The conversion uses the input's matrix and range, so the output keeps them. If the input does
not name its matrix, the output names the one it was read with, because players would otherwise guess from the larger size.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from vsrpp.media import messages
from vsrpp.media.colours import FULL_RANGE, LIMITED_RANGE, from_rgb
from vsrpp.media.suffixes import VIDEO_SUFFIXES
from vsrpp.media.video_reader import OpenClip

Frame = NDArray[np.uint8]
CODECS = {
    "h264": ("libx264", {"crf": "16", "preset": "medium"}),
    "hevc": ("libx265", {"crf": "18", "preset": "medium", "x265-params": "log-level=error"}),
    "vp9": ("libvpx-vp9", {"crf": "20", "b:v": "0", "row-mt": "1"}),
    "ffv1": ("ffv1", {"level": "3"}),
}
"""Name on the command line -> (FFmpeg encoder, its options). The defaults are visually lossless."""
_BY_SUFFIX = {".webm": "vp9", ".avi": "ffv1"}
_SOUND_AND_TEXT = ("audio", "subtitle")


def codec_for(path: Path, asked: str | None) -> str:
    """The codec of an output file: the requested one, else by suffix. Raises Refused unless it has a video suffix."""
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        raise messages.NOT_A_VIDEO_NAME(path=path, suffixes=" ".join(VIDEO_SUFFIXES))
    return asked or _BY_SUFFIX.get(path.suffix.lower(), "h264")


class VideoWriter:
    """Encodes frames into a file and copies the input's sound and subtitles, packet by packet."""

    def __init__(
        self, path: Path, source: Path | None, opened: OpenClip, size: tuple[int, int], *, codec: str, rate: Fraction,
        crf: int | None, audio: bool,
    ) -> None:  # fmt: skip
        self._path, self._reading = path, opened
        encoder, options = CODECS[codec]
        if crf is not None and "crf" in options:
            options = {**options, "crf": str(crf)}
        self._container: Any = av.open(str(path), "w")
        try:
            self._stream: Any = self._container.add_stream(encoder, rate=rate, options=dict(options))
        except (av.error.FFmpegError, ValueError) as error:
            self._container.close()
            raise messages.CODEC_NOT_HELD(codec=codec, suffix=path.suffix, cause=error) from None
        self._time_base = opened.time_base or 1 / rate
        self._written = 0
        self._lossless = codec == "ffv1"
        self._describe(size)
        self._copied: dict[int, Any] = {}
        self._input: Any = av.open(str(source)) if source is not None and audio else None
        self._pending: Iterator[Any] = iter(())
        self._next: Any = None
        self._carry_over()

    def _describe(self, size: tuple[int, int]) -> None:
        context, opened = self._stream.codec_context, self._reading
        context.width, context.height = size
        context.time_base = self._time_base
        given = opened.container.streams.video[0].codec_context if opened.container is not None else None
        subsampled = given is None or given.format is None or given.format.components[-1].width < given.width
        even = size[0] % 2 == 0 and size[1] % 2 == 0
        context.pix_fmt = "bgr0" if self._lossless else "yuv420p" if subsampled and even else "yuv444p"
        if given is not None:
            context.color_primaries, context.color_trc = given.color_primaries, given.color_trc
            if given.sample_aspect_ratio:
                context.sample_aspect_ratio = given.sample_aspect_ratio
        if not self._lossless:
            context.colorspace = opened.colours.matrix
            context.color_range = FULL_RANGE if opened.colours.full_range else LIMITED_RANGE

    def _carry_over(self) -> None:
        """Add an output stream for each input stream that the output format can hold."""
        if self._input is None:
            return
        self._container.metadata.update(self._input.metadata)
        for stream in self._input.streams:
            if stream.type not in _SOUND_AND_TEXT:
                continue
            name = stream.codec_context.name if stream.codec_context is not None else "unknown"
            try:
                copied = self._container.add_stream_from_template(stream)
            except (av.error.FFmpegError, ValueError):
                copied = None
            if copied is None and stream.type == "audio":
                self.close()
                raise messages.SOUND_NOT_HELD(suffix=self._path.suffix, codec=name)
            if copied is None:
                self._reading.notes.append(f"subtitles dropped: {self._path.suffix} cannot hold {name}")
                continue
            copied.metadata.update(stream.metadata)
            self._copied[stream.index] = copied
        if self._copied:
            self._pending = self._input.demux([self._input.streams[index] for index in self._copied])
            self._advance()

    def write(self, frame: Frame) -> None:
        """Encode the next frame, (H, W, 3) uint8, at its time stamp. Raises Refused if the format cannot hold it."""
        if self._written == 0 and self._reading.rotation:
            self._stream.set_display_rotation(self._reading.rotation)
        stamp, duration = self._reading.stamps.pop(0) if self._reading.stamps else (self._written, 0)
        picture = from_rgb(frame, self._reading.colours, self._stream.codec_context.pix_fmt)
        picture.pts, picture.time_base = stamp, self._time_base
        if duration:
            picture.duration = duration
        try:
            self._container.mux(self._stream.encode(picture))
            self._copy_until(float(stamp * self._time_base))
        except (av.error.FFmpegError, ValueError) as error:
            reason = messages.VIDEO_WITH_SOUND_NOT_HELD if self._copied else messages.VIDEO_NOT_HELD
            raise reason(suffix=self._path.suffix, cause=error) from None
        self._written += 1

    def _copy_until(self, seconds: float) -> None:
        """Copy packets up to a time in seconds, so that sound and pictures are interleaved and neither is buffered."""
        while self._next is not None and float((self._next.dts or 0) * self._next.time_base) <= seconds:
            packet = self._next
            packet.stream = self._copied[packet.stream.index]
            self._container.mux(packet)
            self._advance()

    def _advance(self) -> None:
        self._next = next((packet for packet in self._pending if packet.dts is not None), None)

    def finish(self) -> None:
        """Flush the encoder, copy the remaining packets and write the file's index."""
        self._container.mux(self._stream.encode(None))
        self._copy_until(float("inf"))
        self.close()

    def close(self) -> None:
        self._container.close()
        if self._input is not None:
            self._input.close()
