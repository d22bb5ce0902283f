"""Reads videos with PyAV, frame by frame, in presentation order.

`open_video` serves upscaling; `iter_video`, `count_video` and `probe_video` serve training. All of them deliver the same
frames. A container's frame count and duration are often wrong, so training counts frames by decoding them.

A packet that cannot be decoded costs its frames, not the film: the frames around it keep their time stamps. What a file
promises is compared with what was decoded (`OpenClip.problems`).

`version` is the run config's `reader_version` (`vsrpp.media.READER_VERSION`).
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from vsrpp.media import READER_VERSION, messages
from vsrpp.media.cause import cause_of
from vsrpp.media.colours import HLG, PQ, Colours, Pixels, alpha_of, colours_of, depth_of, to_rgb
from vsrpp.media.siting import siting_of
from vsrpp.media.timing import filled_stamps

_INTERLACED = (2, 3, 4, 5)
"""FFmpeg's numbers of the field orders of interlaced video."""
_EVEN = 20
"""Neighbours per gap from which on a film's time stamps count as even."""
_SLACK_S = Fraction(1, 4)
"""A film that ends this much before its promised duration is not called incomplete."""


@dataclass(frozen=True, slots=True)
class MasteringDisplay:
    """The display an HDR film was graded on (SMPTE ST 2086): chromaticities (x, y) and luminances in cd/m²."""

    red: tuple[Fraction, Fraction]
    green: tuple[Fraction, Fraction]
    blue: tuple[Fraction, Fraction]
    white: tuple[Fraction, Fraction]
    darkest: Fraction
    brightest: Fraction


@dataclass(slots=True)
class OpenClip:
    """A clip being read. `stamps` holds the time stamps of frames that were read but not yet written."""

    width: int
    height: int
    frames: Iterator[Pixels]
    """(H, W, 3) RGB: uint8 if `bits` is 8, else uint16 at full scale, 0 … 65535."""
    expected: int | None
    """Number of frames according to the container; used only for progress."""
    rate: Fraction | None = None
    time_base: Fraction | None = None
    stamps: list[tuple[int, int]] = field(default_factory=list)
    """(pts, duration) in `time_base`."""
    container: Any = None
    notes: list[str] = field(default_factory=list)
    """What cannot be copied to the output, one line each."""
    bits: int = 8
    """Bits of a channel of the input, or 8 if its frames are read with 8."""
    colours: Colours = field(default_factory=Colours)
    rotation: int = 0
    """Degrees by which players turn the frames, counterclockwise; the frames are as coded."""
    sample_aspect: Fraction | None = None
    """Width of a pixel divided by its height, if it is not square."""
    mastering: MasteringDisplay | None = None
    content_light: tuple[int, int] | None = None
    """Largest luminance of a pixel and of a frame's average, in cd/m² (MaxCLL, MaxFALL)."""
    alpha: bool = False
    """Whether the input has alpha, which is not read."""
    interlaced: bool = False
    """Whether the frames hold two fields."""
    promised: int | None = None
    """Frames according to the container; None if it does not say. Unlike `expected`, not a guess."""
    delivered: int = 0
    """Frames read so far. It and the counts below are complete once `frames` has ended."""
    skipped: int = 0
    """Packets that could not be decoded."""
    damaged: int = 0
    """Frames that the decoder marked as damaged."""
    missing: int = 0
    """Frames that the container promises after the last one that was read."""

    stream: Any = None
    """The video stream of `container` that is read."""

    matrix = property(lambda self: self.colours.matrix)
    full_range = property(lambda self: self.colours.full_range)

    def close(self) -> None:
        """Close the file."""
        if self.container is not None:
            self.container.close()

    @property
    def problems(self) -> list[str]:
        """What the file promised but did not give, one line each; empty for a file that is complete."""
        found = []
        if self.missing:
            said = self.promised or self.delivered + self.missing
            found.append(f"the input is incomplete: it says {said} frames, {self.delivered} could be read")
        if self.skipped:
            packets = f"{self.skipped} packet{'s' * (self.skipped != 1)}"
            found.append(
                f"{packets} of the input could not be decoded; the frames are missing, the others keep their time"
            )
        if self.damaged:
            found.append(f"{frames_of(self.damaged)} of the input {'is' if self.damaged == 1 else 'are'} damaged")
        return found


def frames_of(count: int) -> str:
    """`1 frame`, `2 frames`."""
    return f"{count} frame{'s' * (count != 1)}"


def iter_video(
    path: Path, version: int = READER_VERSION, notes: list[str] | None = None
) -> Iterator[NDArray[np.uint8]]:
    """Every frame of a video as (H, W, 3) uint8, upright, in presentation order.

    Appends to `notes` what a person should know about them; what is missing, once all were read. Raises Refused, naming file and
    frame, if the video has no decodable frame or changes its size.
    """
    if version == 1:
        yield from _iter_version_1(path)
        return
    with closing(open_video(path, deep=False)) as opened:
        turn = opened.rotation // 90
        told = [] if notes is None else notes
        if opened.sample_aspect:
            shape = f"{opened.sample_aspect.numerator}:{opened.sample_aspect.denominator}"
            opened.notes.append(
                f"the pixels of the input are not square ({shape}): its frames are read as they are stored"
            )
        told += opened.notes
        known = len(opened.notes)
        for frame in opened.frames:
            opened.stamps.clear()
            yield np.ascontiguousarray(np.rot90(frame, turn)) if turn else frame
        told += [*opened.notes[known:], *opened.problems]


def count_video(path: Path, version: int = READER_VERSION) -> tuple[int, int, int]:
    """(frames, width, height) of a video, by decoding all of it without converting colours. Raises Refused."""
    width, height = probe_video(path, version)
    if version == 1:
        return _count_version_1(path), width, height
    opened, pictures = _opened(path)
    with closing(opened):
        return sum(1 for _ in pictures), width, height


def probe_video(path: Path, version: int = READER_VERSION) -> tuple[int, int]:
    """(width, height) of a video's frames, upright. Raises Refused if the video is not readable."""
    with open_container(path) as container:
        context = container.streams.video[0].codec_context
        if not context.width or not context.height:
            raise messages.NO_FRAME_SIZE(path=path)
        if version == 1:
            return context.width, context.height
    with closing(_opened(path)[0]) as opened:
        turned = opened.rotation % 180 == 90
        return (opened.height, opened.width) if turned else (opened.width, opened.height)


def packet_count(path: Path) -> int:
    """The number of packets of a video: an upper bound on its frames that needs no decoding. Raises Refused."""
    with open_container(path) as container:
        try:
            return sum(1 for packet in container.demux(video=0) if packet.size)
        except av.error.FFmpegError as error:
            raise messages.UNREADABLE_VIDEO(path=path, cause=cause_of(error)) from None


def open_video(path: Path, *, deep: bool = True, deinterlace: bool = False, strict: bool = False) -> OpenClip:
    """Open a video. Raises Refused if it cannot be read.

    deep: read more than 8 bits a channel as uint16; if not, they are rounded to 8. deinterlace: make whole frames of the
    fields of interlaced video, one of each two. strict: raise Refused at the first packet that cannot be decoded, and at
    the end of a film that is shorter than it promises.
    """
    opened, pictures = _opened(path, deinterlace=deinterlace, strict=strict)
    if not deep and opened.bits > 8:
        opened.notes.append(f"the {opened.bits} bits a channel of the input are rounded to 8")
        opened.bits = 8
    bits, colours = opened.bits, opened.colours
    opened.frames = (to_rgb(picture, colours, bits) for picture in pictures)
    return opened


def _opened(path: Path, *, deinterlace: bool = False, strict: bool = False) -> tuple[OpenClip, Iterator[av.VideoFrame]]:
    """A clip without `frames`, and its decoded pictures. The first one is decoded, because it tells what follows."""
    container = open_container(path)
    stream = _film(container)
    context = stream.codec_context
    rate = stream.average_rate or stream.guessed_rate or Fraction(25)
    expected = stream.frames or (int(container.duration / av.time_base * rate) if container.duration else None)
    opened = OpenClip(
        context.width, context.height, iter(()), expected, rate, stream.time_base, container=container, stream=stream
    )
    pictures = _Film(path, opened, strict).frames()
    try:
        first = next(pictures)
        opened.width, opened.height = first.width, first.height
        opened.colours = colours_of(path, first, siting_of(first))
        _describe(opened, first)
        pictures = _chained(first, pictures)
        if deinterlace:
            pictures = _deinterlaced(opened, pictures, marked=bool(first.interlaced_frame))
        elif opened.interlaced:
            opened.notes.append("the input is interlaced: its two fields are read as one frame")
        else:
            pictures = _noted_fields(opened, pictures)
        return opened, _stamped(opened, pictures)
    except BaseException:
        container.close()
        raise


def _chained(first: av.VideoFrame, others: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    yield first
    del first  # so that its memory is freed while the others are read
    yield from others


def _film(container: InputContainer) -> Any:
    """The first video stream that is not a cover picture."""
    streams = container.streams.video
    cover = av.stream.Disposition.attached_pic
    return next((stream for stream in streams if not stream.disposition & cover), streams[0])


def _describe(opened: OpenClip, first: av.VideoFrame) -> None:
    """Fill in what the first frame tells, and note what is not read."""
    stream, notes = opened.stream, opened.notes
    opened.bits = depth_of(first.format.name)
    opened.rotation = first.rotation % 360
    aspect = stream.sample_aspect_ratio
    opened.sample_aspect = aspect if aspect and aspect != 1 else None
    opened.interlaced = bool(first.interlaced_frame) or stream.codec_context.field_order in _INTERLACED
    alpha = alpha_of(first)
    opened.alpha = (alpha is not None and alpha.min() < 255) or stream.metadata.get("alpha_mode") == "1"
    if opened.alpha:
        notes.append("the input has alpha, which is dropped: transparent parts show the colours stored beneath")
    found: Any = first.side_data
    sides = {side.type.name: bytes(side) for side in found}
    if "MASTERING_DISPLAY_METADATA" in sides:
        opened.mastering = _mastering(sides["MASTERING_DISPLAY_METADATA"])
    if "CONTENT_LIGHT_LEVEL" in sides:
        opened.content_light = struct.unpack_from("=II", sides["CONTENT_LIGHT_LEVEL"])
    for kind, name in (
        ("DYNAMIC_HDR_PLUS", "HDR10+"),
        ("DOVI_METADATA", "Dolby Vision"),
        ("DOVI_RPU_BUFFER", "Dolby Vision"),
    ):
        if kind in sides and (line := f"the {name} metadata of each frame is dropped") not in notes:
            notes.append(line)
    if "DISPLAYMATRIX" in sides and _mirrors(sides["DISPLAYMATRIX"]):
        notes.append("the input says that players mirror it, which is not done")
    if opened.colours.hdr:
        curve = {PQ: "PQ", HLG: "HLG"}[opened.colours.transfer]
        notes.append(
            f"the input is HDR ({curve}): the network gets its coded values as they are, and the output keeps {curve}"
        )


def _mastering(data: bytes) -> MasteringDisplay | None:
    """FFmpeg's AVMasteringDisplayMetadata: ten fractions, and whether the first eight and the last two are set."""
    *numbers, primaries, luminance = struct.unpack_from("=22i", data)
    if not primaries or not luminance or 0 in numbers[1::2]:
        return None
    values = [Fraction(top, bottom) for top, bottom in zip(numbers[::2], numbers[1::2], strict=True)]
    red, green, blue, white = ((values[place], values[place + 1]) for place in range(0, 8, 2))
    return MasteringDisplay(red, green, blue, white, darkest=values[8], brightest=values[9])


def _mirrors(matrix: bytes) -> bool:
    """Whether a display matrix, nine numbers of 32 bits by rows, turns left into right."""
    a, b, _, c, d, *_ = struct.unpack_from("=9i", matrix)
    return bool(a * d < b * c)


class _Film:
    """Decodes a film past what cannot be decoded, and counts what is missing."""

    def __init__(self, path: Path, opened: OpenClip, strict: bool) -> None:
        self._path, self._opened, self._strict = path, opened, strict
        self._first: int | None = None
        self._last: int | None = None
        self._last_duration = 0
        self._newest_packet: int | None = None
        self._steps: Counter[int] = Counter()
        """How often each difference between the time stamps of neighbours occurs."""
        self._discarded = 0
        self._cause = ""

    def frames(self) -> Iterator[av.VideoFrame]:
        """Every picture that can be decoded. Raises Refused if there is none, or if one has another size."""
        opened = self._opened
        for frame in self._decoded():
            if opened.delivered and (frame.width, frame.height) != (opened.width, opened.height):
                raise messages.VIDEO_CHANGES_SIZE(
                    path=self._path, frame=opened.delivered, width=frame.width, height=frame.height,
                    first_width=opened.width, first_height=opened.height,
                )  # fmt: skip
            opened.delivered += 1
            opened.damaged += bool(frame.is_corrupt)
            opened.interlaced |= bool(frame.interlaced_frame)
            if frame.pts is not None:
                self._first = frame.pts if self._first is None else self._first
                self._steps[frame.pts - (self._last or 0)] += self._last is not None
                self._last, self._last_duration = frame.pts, frame.duration or 0
            yield frame
        if not opened.delivered:
            if self._cause:
                raise messages.NOT_DECODABLE(path=self._path, frame=0, cause=self._cause)
            raise messages.NO_DECODABLE_FRAME(path=self._path)
        self._compare()
        if not opened.missing and (lost := self._lost_between()):
            opened.notes.append(f"the time stamps leave gaps in which {frames_of(lost)} may be missing")
        if self._strict and opened.problems:
            raise messages.INCOMPLETE(path=self._path, problems="; ".join(opened.problems))

    def _decoded(self) -> Iterator[av.VideoFrame]:
        for packet in self._packets():
            try:
                found = packet.decode()
            except av.error.FFmpegError as error:
                self._skip(error)
                continue
            yield from found
        if None not in (self._last, self._newest_packet) and self._newest_packet > self._last:  # type: ignore[operator]
            yield from self._tail()

    def _packets(self) -> Iterator[av.Packet]:
        packets = self._opened.container.demux(self._opened.stream)
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError as error:  # the container ends here; what it gave is still in the decoder
                self._skip(error)
                yield av.Packet()
                return
            if packet is None:
                return
            if packet.size and packet.is_discard:
                self._discarded += 1
            elif packet.size and packet.pts is not None:
                self._newest_packet = max(packet.pts, self._newest_packet or packet.pts)
            yield packet

    def _skip(self, error: av.error.FFmpegError) -> None:
        if isinstance(error, MemoryError):
            raise error
        self._cause = cause_of(error)
        if self._strict:
            raise messages.NOT_DECODABLE(path=self._path, frame=self._opened.delivered, cause=self._cause) from None
        self._opened.skipped += 1

    def _tail(self) -> Iterator[av.VideoFrame]:
        """The last frames, which a decoder with threads drops if a packet among the last cannot be decoded."""
        after = self._last
        assert after is not None
        with open_container(self._path) as container:
            stream = container.streams[self._opened.stream.index]
            stream.thread_type = "SLICE"
            failed = 0
            try:
                container.seek(after, stream=stream)
                for packet in container.demux(stream):
                    try:
                        found = packet.decode()
                    except av.error.FFmpegError:
                        failed += 1
                        continue
                    yield from (frame for frame in found if frame.pts is not None and frame.pts > after)
            except av.error.FFmpegError:
                failed += 1
            self._opened.skipped = max(self._opened.skipped, failed)

    def _usual_step(self) -> int:
        """The most frequent difference between neighbours' time stamps: what containers call the rate is often wrong."""
        opened = self._opened
        assert opened.rate is not None and opened.time_base is not None
        stated = round(1 / (opened.rate * opened.time_base))
        return max(1, self._steps.most_common(1)[0][0] if self._steps else stated)

    def _lost_between(self) -> int:
        """Frames that would fill the gaps of a film that is otherwise even; 0 for an uneven one."""
        if not self._steps:
            return 0
        usual = self._usual_step()
        gaps = {step: times for step, times in self._steps.items() if 2 * step > 3 * usual}
        if sum(gaps.values()) * _EVEN > sum(self._steps.values()):
            return 0
        return sum((round(step / usual) - 1) * times for step, times in gaps.items())

    def _compare(self) -> None:
        """Fill in `promised` and `missing`."""
        opened, frames = self._opened, self._opened.stream.frames
        base = opened.time_base
        if base is None:
            return
        step = self._usual_step() * base
        length, begins, slack = self._stated(step)
        said = frames - self._discarded if frames else None if length is None else round(length / step)
        short = max(0, said - opened.delivered) if said is not None else 0
        if self._last is None or length is None:
            opened.missing = short if frames else 0
        elif opened.skipped or opened.damaged:
            opened.missing = short
        else:
            gap = begins + length - (self._last * base + max(self._last_duration * base, step))
            if gap > slack:
                opened.missing = short if frames else round(gap / step) + self._lost_between()
        opened.promised = None if said is None else opened.delivered + opened.missing

    def _stated(self, step: Fraction) -> tuple[Fraction | None, Fraction, Fraction]:
        """What the container states: the film's duration and its beginning; and how much may lack unnoticed. In seconds."""
        opened, container = self._opened, self._opened.container
        base = opened.time_base or Fraction(0)
        if opened.stream.duration:
            begins = opened.stream.start_time if opened.stream.start_time is not None else self._first or 0
            return opened.stream.duration * base, begins * base, Fraction(3, 2) * step
        begins_s = Fraction(container.start_time or 0, av.time_base)
        slack = max(_SLACK_S, 3 * step)
        if tag := re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", opened.stream.metadata.get("DURATION", "")):
            return int(tag[1]) * 3600 + int(tag[2]) * 60 + Fraction(tag[3]), begins_s, slack
        if not container.duration:
            return None, begins_s, slack
        length = Fraction(container.duration, av.time_base)
        if len(container.streams) > 1:  # the longest stream's
            slack = max(Fraction(2), length / 10)
        return length, begins_s, slack


def _noted_fields(opened: OpenClip, pictures: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """The pictures as they are, with a note if there were interlaced ones after the first."""
    yield from pictures
    if opened.interlaced:
        opened.notes.append("parts of the input are interlaced: their two fields are read as one frame")


def _deinterlaced(opened: OpenClip, pictures: Iterator[av.VideoFrame], *, marked: bool) -> Iterator[av.VideoFrame]:
    """Each picture made whole by FFmpeg's bwdif from its fields and its neighbours'; as many as before.

    marked: whether interlaced pictures are marked as such, so that others, as in telecined films, are left as they are.
    """
    graph = av.filter.Graph()
    which = "interlaced" if marked or not opened.interlaced else "all"
    first = next(pictures)
    source = graph.add_buffer(width=first.width, height=first.height, format=first.format, time_base=opened.time_base)
    graph.link_nodes(source, graph.add("bwdif", f"mode=send_frame:deint={which}"), graph.add("buffersink")).configure()
    for picture in _chained(first, pictures):
        graph.vpush(picture)
        yield from _pulled(graph)
    graph.vpush(None)
    yield from _pulled(graph)
    if not opened.interlaced:
        opened.notes.append("no frame of the input is interlaced: --deinterlace changed nothing")


def _pulled(graph: av.filter.Graph) -> Iterator[av.VideoFrame]:
    while True:
        try:
            yield graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return


def _stamped(opened: OpenClip, pictures: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """The pictures, their time stamps appended to `opened.stamps`."""
    base = opened.time_base
    step = max(1, round(1 / (opened.rate * base))) if opened.rate and base else 1

    def own_stamp(picture: av.VideoFrame) -> int | None:
        if picture.pts is None or base is None or picture.time_base in (None, base):
            return picture.pts
        return round(picture.pts * picture.time_base / base)  # a filter's own time base

    for picture, stamp in filled_stamps(((picture, own_stamp(picture)) for picture in pictures), step):
        opened.stamps.append((stamp, picture.duration if picture.time_base in (None, base) and picture.duration else 0))
        yield picture


def open_container(path: Path) -> InputContainer:
    """A file with a video stream, for decoding in threads. Raises Refused."""
    try:
        container = av.open(str(path))
    except (av.error.FFmpegError, OSError) as error:
        raise messages.NOT_OPENED_AS_VIDEO(path=path, cause=cause_of(error)) from None
    if not container.streams.video:
        container.close()
        raise messages.NO_VIDEO_STREAM(path=path)
    for stream in container.streams.video:
        stream.thread_type = "AUTO"
    return container


def _iter_version_1(path: Path) -> Iterator[NDArray[np.uint8]]:
    frames_done = 0
    size = None
    with open_container(path) as container:
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


def _count_version_1(path: Path) -> int:
    frames = 0
    with open_container(path) as container:
        try:
            for _ in container.decode(video=0):
                frames += 1
        except av.error.FFmpegError as error:
            raise messages.NOT_DECODABLE(path=path, frame=frames, cause=cause_of(error)) from None
    if not frames:
        raise messages.NO_DECODABLE_FRAME(path=path)
    return frames
