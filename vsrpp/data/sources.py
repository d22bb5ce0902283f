"""What a path holds: which clips, named, in natural order. Looking, not decoding, except where frames are counted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vsrpp.data.frames import count_video, images_size, iter_images, iter_raw, iter_video, raw_shape
from vsrpp.data.sample import sample_clip
from vsrpp.errors import NotFound, Refused

VIDEO_SUFFIXES = (".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".m2ts", ".wmv", ".flv", ".y4m")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
RAW_KINDS = ("packed", "raw")
_WANTED = (
    "a video file, a folder of video files, a folder of clips (folders of frames), one folder of frames, REDS "
    "(train_sharp), Vimeo-90K (sequences and sep_trainlist.txt), GT beside BIx4, BDx4 or LQ, or a packed copy "
    f"(videos: {' '.join(VIDEO_SUFFIXES)}; frames: {' '.join(IMAGE_SUFFIXES)})"
)


@dataclass(frozen=True)
class Source:
    """A clip that was found but not read yet."""

    name: str
    kind: str
    """`video`, `frames`, or of a packed copy: `packed`, `raw`."""
    path: Path
    files: tuple[Path, ...]
    """The video file, or the frames in natural order."""
    split: str = ""
    """`train` or `val` where the layout says it, else empty."""
    lq: Source | None = None
    """The small frames of a pair, or None: they are made from these."""
    degradation: str = "bicubic"
    """How small frames are made where there are none."""
    scored: tuple[int, ...] = ()
    """Frames that validation counts, from 0; empty for all of them."""
    mirrors: bool = False
    """Whether a sample longer than the clip runs to its end and back (Vimeo-90K's 7 frames as 14)."""

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """Every frame as (H, W, 3) uint8 RGB, in order; raises Refused where a file cannot be read."""
        if self.kind in RAW_KINDS:
            return iter_raw(self.path)
        return iter_video(self.path) if self.kind == "video" else iter_images(self.files)


@dataclass(frozen=True)
class Clip:
    """A clip and its size; `frames` was counted by decoding, never taken from the container."""

    name: str
    kind: str
    """`video` or `frames`."""
    path: Path
    frames: int
    width: int
    height: int


def iter_frames(clip: Clip | Source, start: int = 0, count: int | None = None) -> Iterator[NDArray[np.uint8]]:
    """Frames start … start+count-1 (all that follow without a count), each (H, W, 3) uint8 RGB.

    A video is decoded from its beginning: seeking lands on keyframes, and frames are numbered as they are decoded.
    """
    source = clip if isinstance(clip, Source) else clip_at(clip.path, clip.name)
    stop = None if count is None else start + count
    if source.kind == "frames":
        return iter_images(source.files[start:stop])
    return islice(source.frames(), start, stop)


def read_frames(clip: Clip | Source, start: int = 0, count: int | None = None) -> NDArray[np.uint8]:
    """The same frames together, (T, H, W, 3) uint8; raises Refused if there are none."""
    frames = list(iter_frames(clip, start, count))
    if not frames:
        raise Refused(f"{clip.path} has no frame {start} (frames are counted from 0)")
    return np.stack(frames)


def find_plain(path: str | Path) -> tuple[str, list[Source]]:
    """(kind, clips) of a path that follows no layout; kind is `video`, `videos`, `clips` or `frames`.

    Natural order: im2 before im10. The dataset layouts and pairs are `vsrpp.data.layouts`.
    """
    root = sample_clip() if str(path) == "sample" else Path(path).expanduser().absolute()
    if root.is_file():
        if not _is(root, VIDEO_SUFFIXES):
            hint = "one image: give its folder; " if _is(root, IMAGE_SUFFIXES) else "no video by its name; "
            raise Refused(f"{root} refused: {hint}looked for {_WANTED}")
        return "video", [clip_at(root, root.stem)]
    if not root.is_dir():
        raise NotFound(f"no data at {root}: there is no such file or folder; looked for {_WANTED}")
    entries = entries_of(root)
    images = [entry for entry in entries if entry.is_file() and _is(entry, IMAGE_SUFFIXES)]
    videos = [entry for entry in entries if entry.is_file() and _is(entry, VIDEO_SUFFIXES)]
    folders = [entry for entry in entries if entry.is_dir()]
    if images and videos:
        both = f"frames ({images[0].name}) and videos ({videos[0].name})"
        raise Refused(f"{root} refused: it holds both {both}; keep one kind")
    if images:
        return "frames", [Source(root.name, "frames", root, tuple(images))]
    if not videos and not folders:
        raise Refused(f"{root} refused: nothing usable in it ({len(entries)} entries); looked for {_WANTED}")
    taken = [video.stem for video in videos] + [folder.name for folder in folders]
    names = {entry: entry.stem if taken.count(entry.stem) == 1 else entry.name for entry in videos}
    clips = [clip_at(entry, names.get(entry, entry.name)) for entry in sorted(videos + folders, key=natural)]
    return "clips" if folders else "videos", clips


def clip_at(path: Path, name: str) -> Source:
    """The clip that a video file or a folder of frames is; raises Refused where a folder has no frames."""
    if path.is_file():
        return Source(name, "video", path, (path,))
    entries = entries_of(path)
    images = tuple(entry for entry in entries if entry.is_file() and _is(entry, IMAGE_SUFFIXES))
    if not images:
        below = next((entry.name for entry in entries if entry.is_dir()), None)
        hint = f"; it holds folders ({below}): give {path} itself" if below else "; fill it or move it away"
        raise Refused(f"{path} refused: a clip's folder without frames (looked for {' '.join(IMAGE_SUFFIXES)}){hint}")
    return Source(name, "frames", path, images)


def measure(source: Source) -> Clip:
    """A source's frames and size; a video is decoded once to count its frames."""
    if source.kind == "video":
        frames, width, height = count_video(source.path)
    elif source.kind in RAW_KINDS:
        frames, height, width, _ = raw_shape(source.path)
    else:
        frames, (width, height) = len(source.files), images_size(source.files)
    return Clip(source.name, source.kind, source.path, frames, width, height)


def entries_of(folder: Path) -> list[Path]:
    """What a folder holds in natural order, without hidden entries and archivers' droppings (._x, __MACOSX)."""
    try:
        return sorted((entry for entry in folder.iterdir() if not entry.name.startswith((".", "__"))), key=natural)
    except OSError as error:
        raise Refused(f"{folder} refused: the folder cannot be read ({error.strerror})") from None


def _is(path: Path, suffixes: tuple[str, ...]) -> bool:
    return path.suffix.lower() in suffixes


def natural(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """Digits compare as numbers and come before text, text without case; the plain name settles equals (im1, im01)."""
    parts = re.findall(r"[0-9]+|[^0-9]+", path.name)
    return [(0, int(part), "") if part[0] in "0123456789" else (1, 0, part.casefold()) for part in parts], path.name
