"""Puts encoded pictures and the other streams of the input into one video file.

Time: the input's start becomes 0 in all streams alike, so a recording of a running clock does not begin with a long gap.
What a file says of its colours, pixel aspect and rotation is what the input says. If the input does not name its matrix, the
output names the one it was read with, because players would otherwise guess from the larger size.
"""

from __future__ import annotations

import errno
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from vsrpp.media import messages
from vsrpp.media.cause import cause_of
from vsrpp.media.encoder import CODECS, Encoding, FrameEncoder
from vsrpp.media.scheduling import scheduling_kept
from vsrpp.media.streams import CopiedStreams
from vsrpp.media.timing import origin

_BITEXACT = 0x400
"""FFmpeg's AVFMT_FLAG_BITEXACT: no random identifiers, no dates."""
FULL_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class VideoWriter:
    """Writes the packets of a `FrameEncoder` into a file and copies the other streams of `source`.

    Raises Refused if the container cannot hold them. `audio` False leaves out sound and subtitles, and nothing else.
    """

    def __init__(self, path: Path, source: Path | None, encoding: Encoding, *, audio: bool) -> None:
        self._encoding, self._path = encoding, path
        container = encoding.container
        self._container: Any = av.open(
            str(path), "w", format=container.muxer, container_options=dict(container.options)
        )
        self._container.flags |= _BITEXACT
        self._streams: CopiedStreams | None = None
        self._started = False
        self._written, self._zero, self._first = 0, Fraction(0), Fraction(0)
        try:
            self._stream = self._add_video()
            if source is not None:
                self._streams = CopiedStreams(
                    source, encoding.stream, self._container, container, encoding.out.suffix, audio=audio
                )
        except BaseException:
            self.close()
            raise

    @property
    def notes(self) -> list[str]:
        """What of the input's other streams is not in the output, one line each."""
        return self._streams.notes if self._streams else []

    def _add_video(self) -> Any:
        encoding = self._encoding
        options = dict(encoding.options)
        try:
            stream = self._container.add_stream(CODECS[encoding.codec].encoder, rate=encoding.rate, options=options)
        except (av.error.FFmpegError, ValueError) as error:
            raise self._refused(error) from None
        encoding.describe(stream.codec_context)
        stream.time_base = 1 / encoding.rate if encoding.container.even_rate else encoding.time_base
        if tag := encoding.container.tags.get(encoding.codec):
            stream.codec_context.codec_tag = tag
        if encoding.rotation:
            stream.set_display_rotation(encoding.rotation)
        return stream

    def _start(self, first: Fraction) -> None:
        """Write the header; `first` is the time of the first frame in the input, in seconds."""
        self._first = first
        start = self._streams.start() if self._streams else None
        self._zero = origin(first, first if start is None else min(first, start))
        if self._streams:
            self._streams.add_chapters(self._zero)
        with scheduling_kept():
            self._container.start_encoding()
        self._started = True
        if self._streams:
            self._streams.write_covers()

    def write(self, packet: av.Packet) -> None:
        """Write the next packet, whose times are in the encoding's time base; the first is that of the first frame.

        Its decoding time is from `decoding_stamps`: encoders give wrong ones for the first of a few frames.
        Raises Refused if the container cannot hold it, OSError if the disk is full.
        """
        unit = self._encoding.time_base
        presented, decoded = packet.pts, packet.dts
        assert presented is not None and decoded is not None
        try:
            if not self._started:
                self._start(presented * unit)
            if self._streams:
                self._streams.copy_until(decoded * unit, self._zero)
            packet.pts, packet.dts = self._times(presented, decoded)
            packet.stream, packet.time_base = self._stream, self._stream.time_base
            packet.duration = max(1, round(1 / (self._encoding.rate * self._stream.time_base)))
            self._container.mux(packet)
        except (av.error.FFmpegError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in FULL_DISK:
                raise
            raise self._refused(error) from None
        self._written += 1

    def _times(self, presented: int, decoded: int) -> tuple[int, int]:
        """Presentation and decoding time of a packet in the output's stream."""
        unit, base = self._encoding.time_base, self._stream.time_base
        if self._encoding.container.even_rate:
            number = round((self._first - self._zero) / base) + self._written
            return number, number
        times = [round((stamp * unit - self._zero) / base) for stamp in (presented, decoded)]
        return times[0], min(times)

    def finish(self, *, rest: bool = True) -> None:
        """Copy the other streams' remaining packets, only a second of them if not `rest`, and write the index.

        Raises as `write`.
        """
        try:
            if self._streams:
                self._streams.copy_until(None if rest else self._zero + 1, self._zero)
            self._container.close()
            if self._streams:
                self._streams.compare(self._path, self._encoding, whole=rest)
        except (av.error.FFmpegError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in FULL_DISK:
                raise
            raise self._refused(error) from None
        self.close()

    def close(self) -> None:
        """Release the files, also of an output that is not finished."""
        self._container.close()
        if self._streams is not None:
            self._streams.close()

    def _refused(self, error: Exception) -> Exception:
        with_others = self._streams is not None and self._streams.copies
        reason = messages.VIDEO_WITH_SOUND_NOT_HELD if with_others else messages.VIDEO_NOT_HELD
        return reason(suffix=self._encoding.out.suffix, cause=cause_of(error))


def trial(path: Path, source: Path | None, encoding: Encoding, *, audio: bool) -> list[str]:
    """Write one black frame as the whole output will be written, to find out what fails before the first frame is computed.

    The file at `path` is removed again. Returns the notes that the whole output will have. Raises Refused if the encoder or
    the container does not take it, OSError if the file cannot be written.
    """
    width, height = encoding.size if encoding.turn % 180 == 0 else encoding.size[::-1]
    frame = np.zeros((height, width, 3), np.uint8 if encoding.bits == 8 else np.uint16)
    try:
        writer = VideoWriter(path, source, encoding, audio=audio)
        try:
            encoder = FrameEncoder(encoding)
            for packet in [*encoder.encode(frame, (0, 0)), *encoder.flush()]:
                packet.dts = packet.pts
                writer.write(packet)
            writer.finish(rest=False)
        finally:
            writer.close()
        return list(writer.notes)
    finally:
        path.unlink(missing_ok=True)
