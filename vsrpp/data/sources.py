"""Finds the clips at a path, with their names, in natural order. Nothing is decoded except to count frames."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vsrpp.data import messages, sequence
from vsrpp.data.readers import Source
from vsrpp.data.sample import sample_clip
from vsrpp.data.survey import Survey, some
from vsrpp.media.inputs import is_video
from vsrpp.media.suffixes import FIRST_VIDEO_SUFFIXES, IMAGE_SUFFIXES, UNREAD_SUFFIXES, VIDEO_SUFFIXES

_SYSTEM = frozenset(
    {
        "@eadir", "@tmp", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "lost+found", "$recycle.bin",
        "system volume information", "found.000",
    }
)  # fmt: skip
"""Folders that operating systems and file servers put anywhere, in lower case. They are ignored like hidden ones."""
_THUMBNAILS = frozenset({"thumbs", "thumbnails"})


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


def find_plain(path: str | Path, survey: Survey | None = None) -> tuple[str, list[Source]]:
    """(kind, clips) of a path without a dataset layout; kind is `video`, `videos`, `clips` or `frames`.

    Clips come in natural order: im2 before im10. For dataset layouts and pairs see `vsrpp.data.layouts`. Without a survey,
    nothing is noted or left out, and frames in a folder hide the folders beside them. Raises NotFound if there is nothing at
    the path, Refused if it contains nothing usable.
    """
    root = sample_clip() if str(path) == "sample" else Path(path).expanduser().absolute()
    if root.is_file():
        if not _is(root, VIDEO_SUFFIXES):
            if _is(root, IMAGE_SUFFIXES):
                raise messages.SINGLE_IMAGE(path=root)
            if not is_video(root):
                raise messages.NOT_A_VIDEO(path=root)
        return "video", [Source(root.stem, "video", root, (root,))]
    if not root.is_dir():
        raise messages.NO_DATA(path=root)
    found = _Listing.of(root, survey)
    if survey is None or survey.first_rules:
        if found.images and found.videos:
            raise messages.FRAMES_AND_VIDEOS(path=root, frame=found.images[0].name, video=found.videos[0].name)
        beside = False
    else:
        beside = _pictures_beside_clips(root, found)
    if found.images and not beside:
        return "frames", [clip_at(root, root.name, survey)]
    lmdb = found.lmdb or [root for file in found.unread if file.name == _LMDB_FILE]
    if lmdb and not found.videos and not found.folders:
        raise messages.LMDB(path=lmdb[0])
    _check_depth(root, found)
    return _several(root, found, survey)


def _several(root: Path, found: _Listing, survey: Survey | None) -> tuple[str, list[Source]]:
    """A clip for each video and each folder of frames."""
    survey = survey or Survey()
    left = [] if survey.first_rules else [link for link in found.broken if not _is(link, IMAGE_SUFFIXES)]
    thumbnails = [] if survey.first_rules else [each for each in found.folders if each.name.lower() in _THUMBNAILS]
    folders = [each for each in found.folders if each not in thumbnails]
    entries = sorted([*found.videos, *folders, *left], key=natural)
    if not entries:
        raise messages.NOTHING_USABLE(path=root, entries=len(entries_of(root)))
    if unused := [*found.images, *thumbnails, *found.unread, *found.lmdb]:
        survey.remark(messages.NOT_USED, path=root, names=some([each.name for each in unused]))
    stems = [video.stem for video in found.videos] + [folder.name for folder in folders]
    names = {entry: entry.stem if stems.count(entry.stem) == 1 else entry.name for entry in found.videos}
    clips = [
        clip
        for entry in entries
        for name in [names.get(entry, entry.name)]
        if (clip := survey.usable(name, entry, lambda entry=entry, name=name: clip_at(entry, name, survey))) is not None  # type: ignore[misc]
    ]
    if not clips:
        survey.check_any_left(survey.entry)
    return "clips" if folders else "videos", clips


def _pictures_beside_clips(root: Path, found: _Listing) -> bool:
    """Whether pictures lie beside clips, and are no clip themselves. Raises Refused if they are frames, by their names."""
    holding = [folder for folder in found.folders if _holds_clips(folder)] if found.images else []
    if not found.images or not (found.videos or holding):
        return False
    clips = {*(video.stem for video in found.videos), *(folder.name for folder in holding)}
    if {image.stem for image in found.images} <= clips or sequence.numbering(found.images) is None:
        return True
    if found.videos:
        raise messages.FRAMES_AND_VIDEOS(path=root, frame=found.images[0].name, video=found.videos[0].name)
    raise messages.FRAMES_AND_CLIPS(path=root, frame=found.images[0].name, folder=holding[0].name)


def _holds_clips(folder: Path) -> bool:
    return any(_is(entry, (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES)) for entry in entries_of(folder))


def _check_depth(root: Path, found: _Listing) -> None:
    """Raises Refused if every one of several folders has its frames deeper inside."""
    if found.videos or len(found.folders) < 2 or any(map(_holds_clips, found.folders)):
        return
    if all(any(inner.is_dir() for inner in entries_of(folder)) for folder in found.folders):
        raise messages.FOLDERS_OF_FOLDERS(path=root, folders=some([folder.name for folder in found.folders]))


def clip_at(path: Path, name: str, survey: Survey | None = None) -> Source:
    """The clip at the path of a video file or a folder of frames.

    Raises Refused if a folder contains no frames and, with a survey, if it has a broken link or two files of one frame.
    """
    if path.is_file():
        return Source(name, "video", path, (path,))
    if survey is not None and not path.exists():
        raise messages.BROKEN_LINK(path=path, target=_target(path))
    found = _Listing.of(path, survey)
    if survey is not None and not survey.first_rules:
        _check_files(path, found)
    if not found.images:
        if any(file.name == _LMDB_FILE for file in found.unread):
            raise messages.LMDB(path=path)
        if found.folders:
            raise messages.CLIP_HOLDS_FOLDERS(path=path, folder=found.folders[0].name)
        raise messages.CLIP_WITHOUT_FRAMES(path=path, suffixes=" ".join(IMAGE_SUFFIXES))
    if survey is not None and (unused := [*found.videos, *found.folders, *found.unread, *found.lmdb]):
        survey.remark(messages.NOT_USED, path=path, names=some([each.name for each in unused]))
    return Source(name, "frames", path, tuple(found.images))


def _check_files(path: Path, found: _Listing) -> None:
    if link := next((link for link in found.broken if _is(link, IMAGE_SUFFIXES)), None):
        raise messages.BROKEN_LINK(path=link, target=_target(link))
    if same := next(sequence.twice(found.images), None):
        files = " and ".join(file.name for file in same[1])
        raise messages.SAME_FRAME_TWICE(path=path, stem=same[0], files=files)


def _target(link: Path) -> str:
    return str(link.readlink()) if link.is_symlink() else "nothing"


@dataclass(frozen=True)
class _Listing:
    """The entries of a folder by what they are, in natural order."""

    images: list[Path]
    videos: list[Path]
    folders: list[Path]
    lmdb: list[Path]
    broken: list[Path]
    """Links to nothing."""
    unread: list[Path]
    """Files that look like data, but are not read."""

    @classmethod
    def of(cls, folder: Path, survey: Survey | None) -> _Listing:
        listing = cls([], [], [], [], [], [])
        videos = FIRST_VIDEO_SUFFIXES if survey is not None and survey.first_rules else VIDEO_SUFFIXES
        for entry in _scanned(folder):
            if (kind := listing._kind(entry, videos)) is not None:
                kind.append(folder / entry.name)
        for kind in (listing.images, listing.videos, listing.folders, listing.lmdb, listing.broken, listing.unread):
            kind.sort(key=natural)
        return listing

    def _kind(self, entry: os.DirEntry[str], videos: tuple[str, ...]) -> list[Path] | None:
        dot = entry.name.rfind(".")
        suffix = entry.name[dot:].lower() if dot > 0 else ""
        try:
            is_file, is_folder = entry.is_file(), entry.is_dir()
        except OSError:  # a link to itself
            return self.broken
        if is_folder:
            return self.lmdb if suffix == ".lmdb" else self.folders
        if not is_file:
            return self.broken if entry.is_symlink() else None
        if suffix in IMAGE_SUFFIXES:
            return self.images
        if suffix in videos:
            return self.videos
        return self.unread if suffix in UNREAD_SUFFIXES or entry.name == _LMDB_FILE else None


_LMDB_FILE = "data.mdb"


def measure(source: Source) -> Clip:
    """A source with its number of frames and size. A video is decoded once to count its frames."""
    frames, width, height = (
        source.format.measured(source) if source.format.measured else source.format.header(source, [])
    )
    return Clip(source.name, source.kind, source.path, frames, width, height)


def entries_of(folder: Path) -> list[Path]:
    """A folder's entries in natural order, without hidden ones, leftovers of archivers (._x, __MACOSX) and system folders."""
    return sorted((folder / entry.name for entry in _scanned(folder)), key=natural)


def _scanned(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            kept = [entry for entry in entries if not entry.name.startswith((".", "__"))]
    except OSError as error:
        raise messages.UNREADABLE_FOLDER(path=folder, cause=error.strerror) from None
    return [entry for entry in kept if entry.name.lower() not in _SYSTEM]


def _is(path: Path, suffixes: tuple[str, ...]) -> bool:
    return path.suffix.lower() in suffixes


def natural(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key: digits compare as numbers and precede text; text ignores case; the name itself breaks ties (im1, im01)."""
    parts = re.findall(r"[0-9]+|[^0-9]+", path.name)
    return [(0, int(part), "") if part[0] in "0123456789" else (1, 0, part.casefold()) for part in parts], path.name
