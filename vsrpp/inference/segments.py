"""Writes the frames of an upscaling in segments that are finished one by one, so that an interrupted one can go on.

A video's segments are encoded separately, also if nothing interrupts, and joined without encoding them again. So the output
after a resume is that of an undisturbed run by construction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np
from numpy.typing import NDArray

from vsrpp.inference import messages
from vsrpp.inference.part import Part, sync
from vsrpp.media.encoder import Encoding, FrameEncoder
from vsrpp.media.folder_writer import FolderWriter
from vsrpp.media.timing import decoding_stamps
from vsrpp.media.video_writer import VideoWriter, trial

Frame = NDArray[np.uint8] | NDArray[np.uint16]
Stamp = tuple[int, int]
"""(pts, duration) in the video's time base."""
SEGMENT_FRAMES = 48
"""The fewest frames in a segment: two seconds of film, a usual interval between keyframes."""


def segment_frames(chunk_frames: int) -> int:
    """Frames of a segment: the first multiple of `chunk_frames` from SEGMENT_FRAMES on."""
    return -(-SEGMENT_FRAMES // chunk_frames) * chunk_frames


class Segments(Protocol):
    """Where upscaled frames go."""

    frames: int
    """Frames in finished segments when it was made; writing goes on with the next one."""

    @property
    def notes(self) -> Sequence[str]:
        """What of the input will not be in the output, one line each."""

    def write(self, frame: Frame, stamp: Stamp) -> None:
        """Write the next frame, (H, W, 3). Raises OSError, or Refused if it cannot be encoded."""

    def join(self) -> Path:
        """Finish the last segment, and return the path, inside the part, of the whole output."""


class VideoSegments:
    """Segments of packets: `NNNNNNNN.packets` has their bytes one after another, the segment's document the rest."""

    def __init__(self, part: Part, length: int, source: Path | None, encoding: Encoding, *, audio: bool) -> None:
        """`source` is the video whose other streams are copied. Raises Refused if they cannot be written."""
        self._part, self._length, self._source, self._encoding, self._audio = part, length, source, encoding, audio
        self._finished = part.segments()
        self.frames = part.frames()
        self._encoder: FrameEncoder | None = None
        self._start, self._count = self.frames, 0
        self._file: Any = None
        self._rows: list[list[int]] = []
        self.notes: Sequence[str] = trial(self._joined, source, encoding, audio=audio)

    @property
    def _joined(self) -> Path:
        return self._part.folder / f"joined{self._encoding.out.suffix}"

    def write(self, frame: Frame, stamp: Stamp) -> None:
        if self._encoder is None:
            self._encoder = FrameEncoder(self._encoding)
            self._file = self._data(self._start).open("wb")
        self._keep(self._encoder.encode(frame, stamp))
        self._count += 1
        if self._count == self._length:
            self._finish_segment()

    def _data(self, start: int) -> Path:
        return self._part.folder / f"{start:08d}.packets"

    def _keep(self, packets: list[av.Packet]) -> None:
        for packet in packets:
            self._file.write(bytes(packet))
            assert packet.pts is not None
            self._rows.append([packet.pts, packet.duration or 0, int(packet.is_keyframe), packet.size])

    def _finish_segment(self) -> None:
        assert self._encoder is not None
        self._keep(self._encoder.flush())
        self._file.close()
        sync(self._data(self._start))
        segment = {
            "start": self._start, "frames": self._count, "header": self._encoder.header.hex(), "packets": self._rows
        }  # fmt: skip
        self._part.add(segment)
        self._finished.append(segment)
        self._start, self._count, self._encoder, self._rows = self._start + self._count, 0, None, []

    def join(self) -> Path:
        if self._count:
            self._finish_segment()
        writer = VideoWriter(self._joined, self._source, self._encoding, audio=self._audio)
        try:
            for packet in self._packets():
                writer.write(packet)
            writer.finish()
            self.notes = writer.notes
        finally:
            writer.close()
        sync(self._joined)
        return self._joined

    def _packets(self) -> Iterator[av.Packet]:
        """All packets in decoding order, with decoding times that rise across the joints."""
        pts = [row[0] for segment in self._finished for row in segment["packets"]]
        times = decoding_stamps(pts, reordering(pts), self._encoding.step)
        for segment in self._finished:
            if segment["header"] != self._finished[0]["header"]:  # by another version of the encoder
                raise messages.SEGMENT_DAMAGED(path=self._data(segment["start"]))
            with self._data(segment["start"]).open("rb") as file:
                for pts, duration, keyframe, size in segment["packets"]:
                    data = file.read(size)
                    if len(data) != size:
                        raise messages.SEGMENT_DAMAGED(path=file.name)
                    packet = av.Packet(data)
                    packet.pts, packet.dts, packet.duration = pts, next(times), duration
                    packet.is_keyframe = bool(keyframe)
                    yield packet


def reordering(pts: Sequence[int]) -> int:
    """By how many packets decoding must be ahead of presentation, from the presentation times in decoding order."""
    place = {stamp: number for number, stamp in enumerate(sorted(pts))}
    return max((number - place[stamp] for number, stamp in enumerate(pts)), default=0)


class FolderSegments:
    """Segments of PNG files."""

    notes: Sequence[str] = ()

    def __init__(self, part: Part, length: int, names: tuple[str, ...], *, turn: int) -> None:
        """`names` are those of the input's frames, if they have any; each is turned by `turn` degrees."""
        self._part, self._length = part, length
        self.frames = part.frames()
        self._folder = part.folder / "frames"
        if self.frames and not self._folder.is_dir():
            raise messages.SEGMENT_DAMAGED(path=self._folder)
        self._writer = FolderWriter(self._folder, names, self.frames, turn=turn)
        self._start, self._files = self.frames, list[Path]()

    def write(self, frame: Frame, stamp: Stamp) -> None:
        self._files.append(self._writer.write(frame))
        if len(self._files) == self._length:
            self._finish_segment()

    def _finish_segment(self) -> None:
        for file in (*self._files, self._folder):
            sync(file)
        self._part.add({"start": self._start, "frames": len(self._files)})
        self._start += len(self._files)
        self._files.clear()

    def join(self) -> Path:
        if self._files:
            self._finish_segment()
        return self._folder
