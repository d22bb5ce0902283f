"""Reads folders of frames without the decode cache: no disk space, but every sample decodes its frames again.

Results are bit-identical to the cache's. Of a frame, only the upper left part up to the crop is decoded where the format
allows that, and small frames are computed only for the part that a crop needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrpp.data.build import clip_identity, content_sha256
from vsrpp.data.cache import cache_name
from vsrpp.data.degradation_table import BLOCK_FRAMES, GIVEN, TABLE, Draw
from vsrpp.data.readers import Source
from vsrpp.media import messages as media_messages
from vsrpp.media.images import read_corner

Frame = NDArray[np.uint8]
ReadPart = Callable[[int, slice, slice], Frame]
"""Frame number, rows, columns -> (rows, columns, 3) uint8."""

_DECODED_FRAMES = 32
"""Frames cached per process: a sample's ground truth and small frames are computed from the same ones. Another sample hardly
ever needs them."""
_THREADS = 4
"""Threads that read the frames of a sample: inflating and decoding run in parallel."""


@dataclass(frozen=True)
class Frames:
    """Frames that are read when indexed: frames[numbers], or frames[numbers, rows, columns]."""

    shape: tuple[int, int, int, int]
    read: ReadPart
    at_once: int = _THREADS
    """Threads that call `read`."""

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[np.uint8]:
        numbers, rows, columns = key if isinstance(key, tuple) else (key, slice(None), slice(None))
        indices: Sequence[int] = range(*numbers.indices(len(self))) if isinstance(numbers, slice) else numbers
        rows, columns = (
            slice(*part.indices(side)) for part, side in zip((rows, columns), self.shape[1:3], strict=True)
        )
        if not len(indices):
            return np.empty((0, rows.stop - rows.start, columns.stop - columns.start, 3), np.uint8)
        with ThreadPoolExecutor(self.at_once) as pool:
            return np.stack(list(pool.map(lambda number: self.read(number, rows, columns), indices)))


@dataclass(frozen=True)
class OriginalClip:
    """A folder of frames with the interface of `StoredClip`. Plain values, so that it can be pickled to workers."""

    source: Source
    content_sha256: str
    lq_sha256: str
    frames: int
    source_width: int
    source_height: int
    scale: int
    notes: tuple[str, ...] = ()
    """As for `StoredClip`."""

    name = property(lambda self: self.source.name)
    path = property(lambda self: self.source.path)
    split = property(lambda self: self.source.split)
    scored = property(lambda self: self.source.scored)
    mirrors = property(lambda self: self.source.mirrors)
    reader_version = property(lambda self: self.source.reader_version)
    degradation = property(lambda self: self.source.degradation)
    width = property(lambda self: self.source_width // self.scale * self.scale)
    height = property(lambda self: self.source_height // self.scale * self.scale)

    @property
    def identity(self) -> str:
        """As for `StoredClip`."""
        return clip_identity(self.content_sha256, self.source.degradation, self.lq_sha256, self.reader_version)

    def files_of(self, number: int) -> tuple[Path, ...]:
        """The files that a frame is read from."""
        return tuple(source.files[number] for source in (self.source, self.source.lq) if source is not None)

    def gt(self, *, keep: bool = True) -> Frames:
        """(T, height, width, 3) uint8, read when indexed. `keep` has no effect: nothing is mapped."""
        return Frames((self.frames, self.height, self.width, 3), self._gt)

    def lr(self, *, keep: bool = True) -> Frames:
        """(T, height / scale, width / scale, 3) uint8, read or computed when indexed. `keep` has no effect."""
        make = self._given if self.degradation == GIVEN else self._made
        by_blocks = self.degradation in TABLE and TABLE[self.degradation].by_blocks  # then a plug-in's, in one thread
        shape = (self.frames, self.height // self.scale, self.width // self.scale, 3)
        return Frames(shape, make, at_once=1 if by_blocks else _THREADS)

    def _corner(self, number: int, rows: int, columns: int, reach: int | None) -> Frame:
        """At least the first rows and columns of the ground truth, and `reach` more of both; None for all."""
        beyond = max(self.height, self.width) if reach is None else reach
        height, width = min(rows + beyond, self.height), min(columns + beyond, self.width)
        return _decoded(
            self.source.files[number], self.reader_version, height, width, (self.source_width, self.source_height)
        )

    def _gt(self, number: int, rows: slice, columns: slice) -> Frame:
        """With what the small frame of the same part depends on, so that the file is decoded once for both."""
        method = TABLE.get(self.degradation)
        reach = 0 if method is None or method.per_sample else method.reach(self.scale)
        return self._corner(number, rows.stop, columns.stop, reach)[rows, columns]

    def _given(self, number: int, rows: slice, columns: slice) -> Frame:
        assert self.source.lq is not None
        return _decoded(self.source.lq.files[number], self.reader_version, rows.stop, columns.stop)[rows, columns]

    def _made(self, number: int, rows: slice, columns: slice) -> Frame:
        """Computed from the ground truth. Of a degradation per sample, for validation only: training degrades its crops."""
        method = TABLE[self.degradation]
        if method.by_blocks:
            return _block(self, number // BLOCK_FRAMES)[number % BLOCK_FRAMES, rows, columns]
        draw = Draw.of_clip(self.content_sha256)
        size, reach = (self.height, self.width), method.reach(self.scale)
        corner = self._corner(number, rows.stop * self.scale, columns.stop * self.scale, reach)
        part = corner[: self.height, : self.width]
        return method.part(part, draw, size=size, scale=self.scale, number=number, rows=rows, columns=columns)


@lru_cache(maxsize=2)
def _block(clip: OriginalClip, block: int) -> NDArray[np.uint8]:
    """The small frames of a block of a validation clip."""
    first = block * BLOCK_FRAMES
    draw = Draw.of_clip(clip.content_sha256)
    truth = clip.gt()[first : first + BLOCK_FRAMES]
    return TABLE[clip.degradation].degrade(truth, draw, scale=clip.scale, first_frame=first)


def look_at(source: Source, scale: int, width: int, height: int, notes: Sequence[str] = ()) -> OriginalClip:
    """The clip for display, with its path in place of its content hash, so that no file has to be read."""
    return OriginalClip(source, str(source.path.resolve()), "", len(source.files), width, height, scale, tuple(notes))


def open_originals(
    source: Source, scale: int, width: int, height: int, cache_dir: Path, notes: Sequence[str] = ()
) -> OriginalClip:
    """The clip with its content hashes. They are computed once and kept in the cache folder, keyed by size and mtime."""
    kept = cache_dir / f"{cache_name(source, scale)}.sha256"
    try:
        content, lq = kept.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError):
        content, lq = content_sha256(source), content_sha256(source.lq) if source.lq else ""
        cache_dir.mkdir(parents=True, exist_ok=True)
        kept.write_text(f"{content}\n{lq}", encoding="utf-8")
    return OriginalClip(source, content, lq, len(source.files), width, height, scale, tuple(notes))


@lru_cache(maxsize=_DECODED_FRAMES)
def _decoded(file: Path, version: int, rows: int, columns: int, size: tuple[int, int] | None = None) -> Frame:
    """At least the first rows and columns. size: (width, height) that the whole frame must have."""
    corner = read_corner(file, version, rows, columns)
    if size is not None and (corner.width, corner.height) != size:
        raise media_messages.FRAMES_DIFFER_IN_SIZE(
            path=file, width=corner.width, height=corner.height, first_width=size[0], first_height=size[1]
        )
    return corner.pixels
