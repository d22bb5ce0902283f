"""What a video's header promises, without decoding it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import av

from vsrpp.media.video_reader import open_container

_HAS_DURATION = frozenset({"matroska", "webm", "flv", "asf"})
_LAST_S = 5.0
_EARLY_S = 0.5
"""A video that ends this much before its duration is cut off."""


def promised_frames(path: Path) -> int | None:
    """The number of frames that a video's header promises; None if it holds no count. Raises Refused."""
    with open_container(path) as container:
        stream = container.streams.video[0]
        counted, rate = stream.frames, stream.average_rate
        seconds = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
    shown = round(seconds * float(rate)) if rate else 0  # an edit list may show fewer frames than the file holds
    return min(counted, shown or counted) or None


def cut_off_at(path: Path) -> tuple[float, float] | None:
    """(seconds that the header promises, second at which the data ends) of a video that ends early; None if it does not.

    For containers whose header has a duration but no number of frames. Reads the last seconds of a file that is complete.
    """
    with open_container(path) as container:
        if not _HAS_DURATION & {*container.format.name.split(",")} or not container.duration:
            return None
        promised = container.duration / av.time_base
        start = (container.start_time or 0) / av.time_base
        with contextlib.suppress(av.error.FFmpegError):
            container.seek(int(max(0.0, start + promised - _LAST_S) * av.time_base))
        end = start
        with contextlib.suppress(av.error.FFmpegError):
            for packet in container.demux():
                if packet.pts is not None and packet.time_base:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
    ends = end - min(start, 0.0)
    return (promised, ends) if ends < promised - _EARLY_S else None
