"""What an input video holds besides its pictures, copied into an output as far as its container can hold it.

Sound, subtitles, further videos, cover, fonts, chapters, titles, languages, defaults and tags are copied; text subtitles are
converted if need be. Every stream that is not copied is one line of the notes.
"""

from __future__ import annotations

import mimetypes
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av

from vsrpp.media import messages
from vsrpp.media.cause import cause_of
from vsrpp.media.containers import Container, holders_of_sound
from vsrpp.media.encoder import Encoding
from vsrpp.media.kept import in_words, is_cover, not_kept, tags_of
from vsrpp.media.subtitles import STYLED, TEXT_CODECS, converter
from vsrpp.media.timing import decoding_stamps

_PEEKED = 300
"""Packets that are read ahead to find out when the streams start."""


@dataclass(slots=True)
class _Track:
    """An input stream that is copied."""

    source: Any
    output: Any
    convert: Callable[[Any], Any] | None = None
    decoding: Any = None
    """For a video: gives its packets the decoding times that some containers do not store."""
    last: int | None = None


class CopiedStreams:
    """Copies the other streams of a video into an output container, packet by packet, in the order of time."""

    def __init__(
        self, source: Path, main: int, output: Any, container: Container, suffix: str, *, audio: bool
    ) -> None:  # fmt: skip
        """Add the streams of `source` to `output`, whose first stream is its stream `main`, upscaled.

        Raises Refused for sound that the output cannot hold.
        """
        self.notes: list[str] = []
        self._output, self._container, self._suffix = output, container, suffix
        self._path = source
        self._source: Any = av.open(str(source))
        self._tracks: dict[int, _Track] = {}
        self._covers: list[tuple[Any, bytes]] = []
        try:
            self._add_all(main, audio)
        except BaseException:
            self._source.close()
            raise
        self._pending = self._packets()
        self._held: deque[tuple[_Track, Any]] = deque()

    @property
    def copies(self) -> bool:
        """Whether there are streams whose packets are copied."""
        return bool(self._tracks)

    def start(self) -> Fraction | None:
        """The earliest time stamp of sound and further videos, in seconds; None without them, or if they begin late.

        It is from their packets: for streams that do not say when they start, FFmpeg tells the start of another one.
        """
        waiting = {index for index, track in self._tracks.items() if track.source.type != "subtitle"}
        starts = []
        while waiting and len(self._held) < _PEEKED and (found := next(self._pending, None)):
            self._held.append(found)
            track, packet = found
            if track.source.index in waiting:
                waiting.remove(track.source.index)
                starts.append(packet.pts * packet.time_base)
        return min(starts, default=None)

    def _add_all(self, main_index: int, audio: bool) -> None:
        main = self._source.streams[main_index]
        copy_tags(main, self._output.streams[0])
        self._kept = [main]
        self._output.metadata.update(tags_of(self._source.metadata))
        unheld = []
        for stream in self._source.streams:
            if stream.index == main.index:
                continue
            if stream.type == "audio":
                if audio and not self._copy(stream):
                    unheld.append(_codec(stream))
            elif stream.type == "subtitle":
                if audio:
                    self._subtitle(stream)
            elif is_cover(stream):
                self._cover(stream)
            elif stream.type == "video":
                self._further_video(stream)
            elif stream.type == "attachment":
                self._attachment(stream)
            elif not self._holds_chapters(stream):
                self.notes.append(f"dropped: a data stream ({getattr(stream, 'name', None) or 'unknown'})")
        if unheld:
            holders = holders_of_sound(unheld)
            or_use = f", or use {holders}" if holders else ""
            raise messages.SOUND_NOT_HELD(suffix=self._suffix, codec=", ".join(dict.fromkeys(unheld)), or_use=or_use)

    def _holds_chapters(self, stream: Any) -> bool:
        """Whether it is the track in which MP4 keeps the titles of chapters."""
        return "mp4" in self._source.format.name and stream.frames == len(self._source.chapters())

    def _copy(self, stream: Any, held: frozenset[str] | None = None) -> Any:
        """The stream added to the output; None if the container cannot hold it."""
        held = held if held is not None else self._container.sound if stream.type == "audio" else None
        if stream.codec_context is None or (held is not None and _codec(stream) not in held):
            return None
        try:
            made = self._output.add_stream_from_template(stream, opaque=True)
        except (av.error.FFmpegError, ValueError):
            return None
        self._track(_Track(stream, made))
        return made

    def _track(self, track: _Track) -> None:
        copy_tags(track.source, track.output)
        self._tracks[track.source.index] = track
        self._kept.append(track.source)

    def _subtitle(self, stream: Any) -> None:
        if self._copy(stream, self._container.subtitles):
            return
        codec, text = _codec(stream), self._container.text
        if codec not in TEXT_CODECS or not text:
            self.notes.append(f"dropped: {in_words(stream)}; {self._suffix} cannot hold {codec}")
            return
        made, convert = converter(self._output, stream, text)
        self._track(_Track(stream, made, convert.convert))
        lost = ", without their styles" if codec in STYLED else ""
        self.notes.append(f"converted: {in_words(stream)}, from {codec} to {text}{lost}")

    def _further_video(self, stream: Any) -> None:
        if self._copy(stream) is None:
            self.notes.append(f"dropped: {in_words(stream)}; {self._suffix} cannot hold {_codec(stream)}")
            return
        context = stream.codec_context
        step = max(1, round(1 / (stream.average_rate or 25) / stream.time_base))
        self._tracks[stream.index].decoding = _Decoding(context.reorder_depth if context.has_b_frames else 0, step)
        self.notes.append(f"copied, not upscaled: {in_words(stream)}")

    def _cover(self, stream: Any) -> None:
        codec, how = _codec(stream), self._container.cover
        data = _first_packet(self._path, stream.index)
        if data and how == "stream":
            with suppress(av.error.FFmpegError, ValueError):
                made = self._output.add_stream_from_template(stream, opaque=True)
                copy_tags(stream, made)
                self._covers.append((made, data))
                return
        elif data and how == "attachment":
            suffix = "jpg" if codec == "mjpeg" else codec
            name = stream.metadata.get("filename") or f"cover.{suffix}"
            kind = stream.metadata.get("mimetype") or mimetypes.guess_type(name)[0] or f"image/{suffix}"
            self._output.add_attachment(name, kind, data)
            return
        self.notes.append(f"dropped: the cover picture; {self._suffix} cannot hold it")

    def _attachment(self, stream: Any) -> None:
        name = stream.metadata.get("filename") or f"attachment{stream.index}"
        if not self._container.attachments:
            self.notes.append(f"dropped: the attachment {name}; {self._suffix} holds none")
            return
        kind = stream.metadata.get("mimetype") or mimetypes.guess_type(name)[0] or "application/octet-stream"
        self._output.add_attachment(name, kind, stream.data)

    def add_chapters(self, zero: Fraction) -> None:
        """Copy the chapters; `zero` is the time in the input that becomes 0."""
        chapters = self._source.chapters()
        if not chapters:
            return
        if not self._container.chapters:
            self.notes.append(f"dropped: {len(chapters)} chapters; {self._suffix} holds none")
            return
        for chapter in chapters:
            base = chapter["time_base"]
            shift = round(zero / base)
            chapter["start"], chapter["end"] = max(0, chapter["start"] - shift), max(0, chapter["end"] - shift)
        self._output.set_chapters(chapters)

    def write_covers(self) -> None:
        """Write the cover pictures; the output's header must be written."""
        for stream, data in self._covers:
            packet = av.Packet(data)
            packet.stream, packet.pts, packet.dts, packet.is_keyframe = stream, 0, 0, True
            packet.time_base = stream.time_base
            self._output.mux(packet)

    def copy_until(self, seconds: Fraction | None, zero: Fraction) -> None:
        """Copy the packets up to a time in the input; None: all. `zero` is the time that becomes 0 in the output.

        Raises FFmpegError if the output cannot be written.
        """
        while True:
            if not self._held:
                self._held.extend(islice(self._pending, 1))
            if not self._held:
                return
            track, packet = self._held[0]
            if seconds is not None and packet.dts * packet.time_base > seconds:
                return
            self._held.popleft()
            self._write(track, packet, zero)

    def _write(self, track: _Track, packet: Any, zero: Fraction) -> None:
        base, unit = track.output.time_base, packet.time_base
        times = [round((stamp * unit - zero) / base) for stamp in (packet.dts, packet.pts)]
        duration = round((packet.duration or 0) * unit / base)
        if track.source.type == "subtitle" and times[1] < 0:  # from before the film begins
            if times[1] + duration <= 0:
                return
            times, duration = [0, 0], times[1] + duration
        decoded = times[0] if track.last is None else max(times[0], track.last + 1)
        packet.stream, packet.time_base = track.output, base
        packet.dts, packet.pts, packet.duration = decoded, max(decoded, times[1]), duration
        track.last = decoded
        self._output.mux(packet)

    def _packets(self) -> Iterator[tuple[_Track, Any]]:
        """The packets to copy, each with a decoding and a presentation time. Ends where the input cannot be read."""
        if not self._tracks:
            return
        try:
            for packet in self._source.demux([track.source for track in self._tracks.values()]):
                track = self._tracks[packet.stream.index]
                made = track.convert(packet) if track.convert else packet
                if made is None or not made.size or (made.pts is None and made.dts is None):
                    continue
                made.pts = made.dts if made.pts is None else made.pts
                if track.decoding:
                    made.dts = track.decoding(made.pts)
                made.dts = made.pts if made.dts is None else made.dts
                yield track, made
        except av.error.FFmpegError as error:
            self.notes.append(f"sound and subtitles end where the input cannot be read ({cause_of(error)})")

    def compare(self, out: Path, encoding: Encoding, *, whole: bool) -> None:
        """Note what the finished file `out` does not say although the input does; if not `whole`, streams may lack."""
        self.notes += not_kept(self._kept, out, encoding, whole=whole)

    def close(self) -> None:
        self._source.close()


class _Decoding:
    """`decoding_stamps`, one at a time."""

    def __init__(self, delay: int, step: int) -> None:
        self._asked: list[int] = []
        self._stamps = decoding_stamps(self._presented(), delay, step)

    def _presented(self) -> Iterator[int]:
        while True:
            yield self._asked.pop()

    def __call__(self, presented: int) -> int:
        self._asked.append(presented)
        return next(self._stamps)


def copy_tags(source: Any, target: Any) -> None:
    """Copy a stream's title, language, other tags and disposition."""
    target.metadata.update(tags_of(source.metadata))
    target.disposition = int(source.disposition)


def _codec(stream: Any) -> str:
    return stream.codec_context.name if stream.codec_context is not None else "unknown"


def _first_packet(path: Path, index: int) -> bytes:
    with suppress(av.error.FFmpegError), av.open(str(path)) as container:
        return next((bytes(packet) for packet in container.demux(container.streams[index]) if packet.size), b"")
    return b""
