"""Finds the clips at a path, with their names, in natural order. Nothing is decoded except to count frames."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vsrpp.data import messages
from vsrpp.data.readers import Source
from vsrpp.data.sample import sample_clip
from vsrpp.media.suffixes import IMAGE_SUFFIXES, VIDEO_SUFFIXES


@dataclass(frozen=True)
class Clip:
    """A clip and its size. `frames` was counted by decoding, not taken from the container."""

    name: str
    kind: str
    """`video` or `frames`."""
    path: Path
    frames: int
    width: int
    height: int


def iter_frames(
    clip: Clip | Source, start: int = 0, count: int | None = None, notes: list[str] | None = None
) -> Iterator[NDArray[np.uint8]]:
    """Frames start … start+count-1, or all from start on if count is None, each (H, W, 3) uint8 RGB. notes: see `Source.frames`.

    A video is always decoded from its beginning, because seeking lands on keyframes and frames have no reliable numbers.
    """
    source = clip if isinstance(clip, Source) else clip_at(clip.path, clip.name)
    stop = None if count is None else start + count
    return source.frames(start, stop, notes)


def read_frames(clip: Clip | Source, start: int = 0, count: int | None = None) -> NDArray[np.uint8]:
    """The same frames as one array, (T, H, W, 3) uint8. Raises Refused if there are none."""
    frames = list(iter_frames(clip, start, count))
    if not frames:
        raise messages.NO_SUCH_FRAME(path=clip.path, frame=start)
    return np.stack(frames)


def find_plain(path: str | Path) -> tuple[str, list[Source]]:
    """(kind, clips) of a path without a dataset layout; kind is `video`, `videos`, `clips` or `frames`.

    Clips come in natural order: im2 before im10. For dataset layouts and pairs see `vsrpp.data.layouts`. Raises NotFound
    if there is nothing at the path, Refused if it contains nothing usable.
    """
    root = sample_clip() if str(path) == "sample" else Path(path).expanduser().absolute()
    if root.is_file():
        if not _is(root, VIDEO_SUFFIXES):
            if _is(root, IMAGE_SUFFIXES):
                raise messages.SINGLE_IMAGE(path=root)
            raise messages.NOT_A_VIDEO(path=root, suffixes=" ".join(VIDEO_SUFFIXES))
        return "video", [clip_at(root, root.stem)]
    if not root.is_dir():
        raise messages.NO_DATA(path=root)
    entries = entries_of(root)
    images = [entry for entry in entries if entry.is_file() and _is(entry, IMAGE_SUFFIXES)]
    videos = [entry for entry in entries if entry.is_file() and _is(entry, VIDEO_SUFFIXES)]
    folders = [entry for entry in entries if entry.is_dir()]
    if images and videos:
        raise messages.FRAMES_AND_VIDEOS(path=root, frame=images[0].name, video=videos[0].name)
    if images:
        return "frames", [Source(root.name, "frames", root, tuple(images))]
    if not videos and not folders:
        raise messages.NOTHING_USABLE(path=root, entries=len(entries))
    stems = [video.stem for video in videos] + [folder.name for folder in folders]
    names = {entry: entry.stem if stems.count(entry.stem) == 1 else entry.name for entry in videos}
    clips = [clip_at(entry, names.get(entry, entry.name)) for entry in sorted(videos + folders, key=natural)]
    return "clips" if folders else "videos", clips


def clip_at(path: Path, name: str) -> Source:
    """The clip at the path of a video file or a folder of frames. Raises Refused if a folder contains no frames."""
    if path.is_file():
        return Source(name, "video", path, (path,))
    entries = entries_of(path)
    images = tuple(entry for entry in entries if entry.is_file() and _is(entry, IMAGE_SUFFIXES))
    if not images:
        if subfolder := next((entry.name for entry in entries if entry.is_dir()), None):
            raise messages.CLIP_HOLDS_FOLDERS(path=path, folder=subfolder)
        raise messages.CLIP_WITHOUT_FRAMES(path=path, suffixes=" ".join(IMAGE_SUFFIXES))
    return Source(name, "frames", path, images)


def measure(source: Source) -> Clip:
    """A source with its number of frames and size. A video is decoded once to count its frames."""
    frames, width, height = (
        source.format.measured(source) if source.format.measured else source.format.header(source, [])
    )
    return Clip(source.name, source.kind, source.path, frames, width, height)


def entries_of(folder: Path) -> list[Path]:
    """A folder's entries in natural order, without hidden ones and leftovers of archivers (._x, __MACOSX)."""
    try:
        return sorted((entry for entry in folder.iterdir() if not entry.name.startswith((".", "__"))), key=natural)
    except OSError as error:
        raise messages.UNREADABLE_FOLDER(path=folder, cause=error.strerror) from None


def _is(path: Path, suffixes: tuple[str, ...]) -> bool:
    return path.suffix.lower() in suffixes


def natural(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key: digits compare as numbers and precede text; text ignores case; the name itself breaks ties (im1, im01)."""
    parts = re.findall(r"[0-9]+|[^0-9]+", path.name)
    return [(0, int(part), "") if part[0] in "0123456789" else (1, 0, part.casefold()) for part in parts], path.name
