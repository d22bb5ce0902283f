"""Several clips in, a folder out: which clip becomes which output. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vsrpp.data.readers import Source
from vsrpp.data.sources import find_plain
from vsrpp.inference import messages
from vsrpp.media.containers import CONTAINERS, is_video_target

_OTHERWISE = ".mkv"
"""The suffix of a video whose own kind is read only: Matroska holds nearly every sound and subtitle."""


SINGLE = ("video", "frames")
"""Kinds of inputs that are one clip."""


@dataclass(frozen=True, slots=True)
class Task:
    """One clip of a batch."""

    source: str
    target: str


def tasks_of(inputs: Sequence[str], output: str, *, as_videos: bool) -> list[Task] | None:
    """One task for each clip of the inputs; None if they are a single clip, for which `output` itself is the target.

    An input is a video, a folder of frames, or a folder of these. A video keeps its name and, if such files are written,
    its suffix; a folder of frames becomes a folder of its name, or with `as_videos` a video. Raises NotFound; Refused if
    `output` is not a folder's name or two clips have one target.
    """
    found = [(path, *find_plain(path)) for path in inputs]
    if len(found) == 1 and found[0][1] in SINGLE:
        return None
    clips = [
        (path if kind in SINGLE else str(clip.path), clip) for path, kind, sources in found for clip in sources
    ]  # fmt: skip
    if is_video_target(output) or Path(output).is_file():
        raise messages.BATCH_NEEDS_FOLDER(path=output, clips=len(clips))
    tasks: dict[str, Task] = {}
    for source, clip in clips:
        target = str(Path(output) / _name(clip, as_videos))
        if target in tasks:
            raise messages.SAME_TARGET(one=tasks[target].source, other=source, target=target)
        tasks[target] = Task(source, target)
    return list(tasks.values())


def _name(clip: Source, as_videos: bool) -> str:
    if clip.kind == "video":
        suffix = clip.path.suffix
        return clip.path.name if suffix.lower() in CONTAINERS else f"{clip.path.name}{_OTHERWISE}"
    return f"{clip.path.name}{_OTHERWISE}" if as_videos else clip.path.name
