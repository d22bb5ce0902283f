"""Reads and writes clips frame by frame: videos with PyAV, keeping time stamps, colours and sound, or folders of pictures.

Colours: frames are 8-bit RGB between decoder and encoder. Both conversions use the input's matrix and range, so the output
keeps them. If the input does not name its matrix, BT.601 is assumed below 720 lines and BT.709 from there on, as players
do; the output then names it, because players would otherwise guess from the larger size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vsrpp.data.readers import Source
from vsrpp.data.sources import FIRST_VIDEO_SUFFIXES as VIDEO_SUFFIXES
from vsrpp.inference import messages

Frame = NDArray[np.uint8]
UNSPECIFIED = 2
"""FFmpeg's number for an unspecified matrix, primaries or transfer function."""
BT709, BT601 = 1, 6
HD_LINES = 720
FULL_RANGE = 2
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
    matrix: int = BT709
    full_range: bool = False
    rotation: int = 0


def read(source: Source) -> OpenClip:
    """Open a clip. Raises Refused if it cannot be read."""
    if source.kind == "frames":
        from vsrpp.data.frames import images_size, iter_images

        width, height = images_size(source.files)
        return OpenClip(width, height, iter_images(source.files), len(source.files))
    try:
        container = av.open(str(source.path))
        if not container.streams.video:
            container.close()
            raise messages.NO_VIDEO_STREAM(path=source.path)
    except (av.error.FFmpegError, OSError) as error:
        raise messages.NOT_OPENED_AS_VIDEO(path=source.path, cause=error) from None
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    context = stream.codec_context
    rate = stream.average_rate or stream.guessed_rate or Fraction(25)
    expected = stream.frames or (int(container.duration / av.time_base * rate) if container.duration else None)
    opened = OpenClip(context.width, context.height, iter(()), expected, rate, stream.time_base, container=container)
    unnamed = context.colorspace in (UNSPECIFIED, 0)
    opened.matrix = (BT709 if context.height >= HD_LINES else BT601) if unnamed else int(context.colorspace)
    opened.full_range = context.color_range == FULL_RANGE or (context.pix_fmt or "").startswith("yuvj")
    if context.format is not None and any(component.bits > 8 for component in context.format.components):
        opened.notes.append(f"the input has more than 8 bits a channel ({context.pix_fmt}); the output has 8")
    opened.frames = _decoded(source.path, opened)
    return opened


def _decoded(path: Path, opened: OpenClip) -> Iterator[Frame]:
    frames_done, last = 0, None
    step = max(1, round(1 / (opened.rate * opened.time_base))) if opened.rate and opened.time_base else 1
    try:
        for frame in opened.container.decode(video=0):
            if (frame.width, frame.height) != (opened.width, opened.height):
                raise messages.VIDEO_CHANGES_SIZE(
                    path=path, frame=frames_done, width=frame.width, height=frame.height,
                    first_width=opened.width, first_height=opened.height,
                )  # fmt: skip
            opened.rotation = frame.rotation
            stamp = frame.pts if frame.pts is not None else (0 if last is None else last + step)
            last = stamp if last is None else max(stamp, last + 1)
            opened.stamps.append((last, frame.duration or 0))
            yield _rgb(frame, opened)
            frames_done += 1
    except av.error.FFmpegError as error:
        raise messages.NOT_DECODABLE(path=path, frame=frames_done, cause=error) from None


def _rgb(frame: av.VideoFrame, opened: OpenClip) -> Frame:
    if frame.format.is_rgb:
        return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    frame.colorspace = opened.matrix
    picture = frame.reformat(
        format="rgb24", src_colorspace=_sws(opened.matrix), src_color_range=2 if opened.full_range else 1,
        dst_color_range=2, interpolation="BICUBIC",
    )  # fmt: skip
    return np.asarray(picture.to_ndarray(), np.uint8)


def _sws(matrix: int) -> int:
    """swscale's number for a matrix: FFmpeg's own where swscale supports it, else swscale's default (BT.601)."""
    return matrix if matrix in (1, 4, 5, 6, 7, 9) else 5


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
            context.colorspace = opened.matrix
            context.color_range = FULL_RANGE if opened.full_range else 1

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
        picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
        if not self._lossless:
            picture = picture.reformat(
                format=self._stream.codec_context.pix_fmt, dst_colorspace=_sws(self._reading.matrix),
                src_color_range=2, dst_color_range=2 if self._reading.full_range else 1, interpolation="BICUBIC",
            )  # fmt: skip
            picture.colorspace = self._reading.matrix
            picture.color_range = FULL_RANGE if self._reading.full_range else 1
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


class FolderWriter:
    """Saves frames as PNG files, named like the input's frames or numbered."""

    def __init__(self, folder: Path, names: tuple[str, ...] = ()) -> None:
        self._folder, self._names, self._written = folder, names, 0
        folder.mkdir(parents=True)

    def write(self, frame: Frame) -> None:
        name = self._names[self._written] if self._names else f"{self._written:08d}"
        Image.fromarray(frame).save(self._folder / f"{name}.png", compress_level=3)
        self._written += 1

    def finish(self) -> None:
        """Nothing to do; every frame is already written."""

    def close(self) -> None:
        """Nothing to close."""
