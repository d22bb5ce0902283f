"""Reads every frame of a run's data once, to find files that training could not read. Decodes nothing into the cache."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import chain
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

from vsrpp.data.build import check_hashes
from vsrpp.data.dataset import LocatedData
from vsrpp.data.readers import Source
from vsrpp.errors import VsrppError
from vsrpp.media import messages as media_messages
from vsrpp.media.images import read_image

_AT_ONCE = 32
"""Frames that a thread reads before it reports."""


@dataclass(frozen=True, slots=True)
class UnreadableFile:
    """A file that cannot be read."""

    clip: str
    frame: int
    """Counted from 0; of a video or a clip of a plug-in's reader the first that cannot be read."""
    file: str
    error: str


@dataclass(slots=True)
class ReadAll:
    """What reading everything has found."""

    clips: int
    frames: int = 0
    """Readable frames, small frames of pairs included."""
    unreadable: list[UnreadableFile] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "unreadable": [asdict(problem) for problem in self.unreadable]}


def read_all(located: LocatedData, progress: Callable[[int, int], None]) -> ReadAll:
    """Read every frame of the training and validation clips, with several threads.

    Calls progress(parts read, parts in total). Raises VsrppError only for what is not about a file of the data.
    """
    sources = [*chain(*located.groups), *located.val]
    files = [*sources, *(source.lq for source in sources if source.lq is not None)]
    parts = [part for source in files for part in _parts(source)]
    found = ReadAll(len(sources))
    sizes: dict[Path, tuple[int, int]] = {}
    with ThreadPool(os.cpu_count()) as pool:
        for done, (source, rows) in enumerate(_in_order(pool, parts), start=1):
            for frame, file, read in rows:
                if isinstance(read, tuple) and read != (first := sizes.setdefault(source.path, read)):
                    read = media_messages.FRAMES_DIFFER_IN_SIZE(
                        path=file, width=read[0], height=read[1], first_width=first[0], first_height=first[1]
                    )
                if isinstance(read, VsrppError):
                    found.unreadable.append(UnreadableFile(source.name, frame, str(file), str(read)))
                else:
                    found.frames += 1
            progress(done, len(parts))
    return found


Part = tuple[Source, int]
"""A clip and the first of the frames to read; all of its frames if they have no files of their own."""
Row = tuple[int, Path, tuple[int, int] | VsrppError]
"""Frame, file, and its (width, height) or why it cannot be read."""


def _parts(source: Source) -> Iterator[Part]:
    step = _AT_ONCE if source.format.frame_files else max(len(source.files), 1)
    return ((source, first) for first in range(0, max(len(source.files), 1), step))


def _in_order(pool: ThreadPool, parts: list[Part]) -> Iterator[tuple[Source, list[Row]]]:
    """A plug-in's reader is called from one thread only."""
    foreign = [part for part in parts if part[0].record is not None]
    yield from pool.imap(_read, [part for part in parts if part[0].record is None])
    yield from map(_read, foreign)


def _read(part: Part) -> tuple[Source, list[Row]]:
    source, first = part
    return source, list(_singly(source, first) if source.format.frame_files else _through(source))


def _singly(source: Source, first: int) -> Iterator[Row]:
    for frame, file in enumerate(source.files[first : first + _AT_ONCE], start=first):
        try:
            height, width, _ = read_image(file, source.reader_version).shape
        except VsrppError as error:
            yield frame, file, error
        else:
            yield frame, file, (width, height)


def _through(source: Source) -> Iterator[Row]:
    frame = 0
    try:
        if source.format.stored:
            check_hashes(source.path)
        for pixels in source.frames():
            yield frame, source.path, (pixels.shape[1], pixels.shape[0])
            frame += 1
    except VsrppError as error:
        yield frame, source.path, error
