"""Whether a file is a video, by its content."""

from __future__ import annotations

from pathlib import Path

import av

_NO_VIDEO = frozenset(
    {
        "tty", "bin", "xbin", "idf", "adf", "ico", "lavfi", "ffmetadata", "image2", "hls", "applehttp", "concat", "dash",
    }
)  # fmt: skip
"""FFmpeg's formats of text that it draws, and of lists of other files. Those of single pictures end in `_pipe`."""


def is_video(path: Path) -> bool:
    """Whether FFmpeg finds a video in a file, whatever its name. Single pictures, text and playlists are none."""
    try:
        with av.open(str(path), options={"protocol_whitelist": "file"}) as container:
            names = container.format.name.split(",")
            return bool(container.streams.video) and not any(
                name in _NO_VIDEO or name.endswith("_pipe") for name in names
            )
    except (av.error.FFmpegError, OSError, ValueError):
        return False
