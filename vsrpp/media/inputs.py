"""Whether a file is a video, by its content."""

from __future__ import annotations

from pathlib import Path

import av

_NO_VIDEOS = ("_pipe", "image2", "tty", "bin", "xbin", "adf", "idf", "lavfi", "ffmetadata", "ico")
"""Ends of the names of FFmpeg's demuxers that take single images and text for films."""


def is_video(path: Path) -> bool:
    """Whether FFmpeg opens the file, whatever its name is, and finds pictures that move: no image, text or sound alone."""
    try:
        with av.open(str(path)) as container:
            name = container.format.name
            return bool(container.streams.video) and not any(part.endswith(_NO_VIDEOS) for part in name.split(","))
    except (av.error.FFmpegError, OSError, ValueError):
        return False
