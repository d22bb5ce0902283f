"""A clip in, a clip out, one frame at a time: a video through PyAV with its time stamps, colours and sound, or pictures.

Colours: an 8-bit RGB frame lies between decoder and encoder. Matrix and range of the input are used to make it and to
take it apart again, so they are the output's too; an input that does not name its matrix is taken as BT.601 below 720
lines and BT.709 from there, as players do, and the output names it, because its size would make players guess anew.
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

from vsrpp.data.sources import VIDEO_SUFFIXES, Source
from vsrpp.errors import Refused

Frame = NDArray[np.uint8]
UNSPECIFIED = 2
"""FFmpeg's number of an unnamed matrix, primaries or transfer."""
BT709, BT601 = 1, 6
HD_LINES = 720
FULL_RANGE = 2
CODECS = {
    "h264": ("libx264", {"crf": "16", "preset": "medium"}),
    "hevc": ("libx265", {"crf": "18", "preset": "medium", "x265-params": "log-level=error"}),
    "vp9": ("libvpx-vp9", {"crf": "20", "b:v": "0", "row-mt": "1"}),
    "ffv1": ("ffv1", {"level": "3"}),
}
"""Name on the command line -> (FFmpeg's encoder, its options): near to lossless, since the frames are the product."""
_BY_SUFFIX = {".webm": "vp9", ".avi": "ffv1"}
_SOUND_AND_TEXT = ("audio", "subtitle")


def codec_for(path: Path, asked: str | None) -> str:
    """The codec of an output file: the one asked for, else by its suffix. Raises Refused for a suffix that is no video's."""
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        raise Refused(f"{path} refused: its name ends in no video format ({' '.join(VIDEO_SUFFIXES)}).")
    return asked or _BY_SUFFIX.get(path.suffix.lower(), "h264")


@dataclass(slots=True)
class OpenClip:
    """A clip being read. `stamps` holds the time stamps of the frames handed out and not yet written."""

    width: int
    height: int
    frames: Iterator[Frame]
    expected: int | None
    """Frames by the container's word, for progress alone."""
    rate: Fraction | None = None
    time_base: Fraction | None = None
    stamps: list[tuple[int, int]] = field(default_factory=list)
    """(pts, duration) in `time_base`."""
    container: Any = None
    notes: list[str] = field(default_factory=list)
    """What cannot be carried over, one line each."""
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
            raise Refused(f"{source.path} refused: it has no video stream.")
    except (av.error.FFmpegError, OSError) as error:
        raise Refused(f"{source.path} refused: it cannot be opened as a video ({error}).") from None
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
                raise Refused(
                    f"{path} refused: frame {frames_done} is {frame.width}x{frame.height}, those before it"
                    f" {opened.width}x{opened.height}; a clip has one size."
                )
            opened.rotation = frame.rotation
            stamp = frame.pts if frame.pts is not None else (0 if last is None else last + step)
            last = stamp if last is None else max(stamp, last + 1)
            opened.stamps.append((last, frame.duration or 0))
            yield _rgb(frame, opened)
            frames_done += 1
    except av.error.FFmpegError as error:
        raise Refused(f"{path} refused: it cannot be decoded past frame {frames_done} ({error}).") from None


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
    """swscale's number of a matrix: the same as FFmpeg's for those it knows, its default (BT.601) for the rest."""
    return matrix if matrix in (1, 4, 5, 6, 7, 9) else 5


class VideoWriter:
    """Encodes frames into a file; sound and subtitles of the input are copied beside them, packet by packet."""

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
            raise Refused(f"codec {codec} refused: {path.suffix} files cannot hold it here ({error}).") from None
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
        """A stream of the output for each one of the input that its format can hold."""
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
                raise Refused(
                    f"{self._path.suffix} cannot hold the input's sound ({name}): use .mkv, or leave it out: --no-audio."
                )
            if copied is None:
                self._reading.notes.append(f"subtitles left out: {self._path.suffix} cannot hold {name}")
                continue
            copied.metadata.update(stream.metadata)
            self._copied[stream.index] = copied
        if self._copied:
            self._pending = self._input.demux([self._input.streams[index] for index in self._copied])
            self._advance()

    def write(self, frame: Frame) -> None:
        """Encode the next frame at its time stamp. Raises Refused if the format cannot hold what it is given."""
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
            sound = " With --no-audio, or as .mkv, it may." if self._copied else ""
            raise Refused(f"{self._path.suffix} cannot hold this video ({error}).{sound}") from None
        self._written += 1

    def _copy_until(self, seconds: float) -> None:
        """Copy packets up to a time, so that sound lies beside its pictures and neither is held."""
        while self._next is not None and float((self._next.dts or 0) * self._next.time_base) <= seconds:
            packet = self._next
            packet.stream = self._copied[packet.stream.index]
            self._container.mux(packet)
            self._advance()

    def _advance(self) -> None:
        self._next = next((packet for packet in self._pending if packet.dts is not None), None)

    def finish(self) -> None:
        """Write what encoder and input still hold, and the file's index."""
        self._container.mux(self._stream.encode(None))
        self._copy_until(float("inf"))
        self.close()

    def close(self) -> None:
        self._container.close()
        if self._input is not None:
            self._input.close()


class FolderWriter:
    """Saves frames as PNG files, by the names of the input's frames, or counted."""

    def __init__(self, folder: Path, names: tuple[str, ...] = ()) -> None:
        self._folder, self._names, self._written = folder, names, 0
        folder.mkdir(parents=True)

    def write(self, frame: Frame) -> None:
        name = self._names[self._written] if self._names else f"{self._written:08d}"
        Image.fromarray(frame).save(self._folder / f"{name}.png", compress_level=3)
        self._written += 1

    def finish(self) -> None:
        """Nothing is left to do."""

    def close(self) -> None:
        """Nothing is held open."""
