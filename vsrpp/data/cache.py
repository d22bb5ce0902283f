"""The decode cache: each clip is decoded once into gt.bin and lr.bin, raw uint8 files that training memory-maps.

A cache folder's name is a hash of path, size, mtime, scale, degradation and format. The folder is built under a temporary
name while a lock is held, fsynced and renamed, so it is either complete or absent. A truncated one is rebuilt.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrpp.data import messages
from vsrpp.data.build import META, ProgressCallback, build, check_hashes, clip_identity
from vsrpp.data.degradation_table import DEFAULT, identity_of
from vsrpp.data.readers import Source
from vsrpp.private_files import open_lock

try:
    import fcntl
except ImportError:  # Windows: two processes may decode the same clip; the rename still keeps the result complete
    fcntl = None  # type: ignore[assignment]

FORMAT = 1
"""Increase it when the meaning of a cache folder's bytes changes, so that old folders are ignored."""


@dataclass(frozen=True)
class StoredClip:
    """A decoded clip. Plain values, so that it can be pickled to worker processes, which map the files themselves."""

    name: str
    path: Path
    folder: Path
    content_sha256: str
    """Hash of the ground truth's files; clips with equal hashes are the same clip."""
    frames: int
    width: int
    """Width of gt: the source's, cropped on the right to a multiple of scale. Height likewise, at the bottom."""
    height: int
    source_width: int
    source_height: int
    scale: int
    degradation: str = DEFAULT
    """How lr was made; `given` for a pair."""
    lq_sha256: str = ""
    """Content hash of a pair's small frames."""
    uncut: bool = False
    """Whether gt.bin has the source's size, as in a packed copy."""
    split: str = ""
    scored: tuple[int, ...] = ()
    """Frames that validation scores; empty for all."""
    mirrors: bool = False
    reader_version: int = 1
    """How its files were read."""
    notes: tuple[str, ...] = ()
    """What of the files is not in the frames."""

    @property
    def identity(self) -> str:
        """Hash of everything training on it depends on; independent of path and name."""
        return clip_identity(self.content_sha256, self.degradation, self.lq_sha256, self.reader_version)

    def files_of(self, number: int) -> tuple[Path, ...]:
        """None: no frame has files of its own."""
        return ()

    def gt(self, *, keep: bool = True) -> NDArray[np.uint8]:
        """(T, height, width, 3) uint8, read-only, mapped. Raises VsrppError if the file is gone or torn.

        keep: leave it mapped for the next call. What is read of it then counts as memory of this process.
        """
        size = (self.source_height, self.source_width) if self.uncut else (self.height, self.width)
        mapped = (_mapped if keep else _map)(self.folder / "gt.bin", (self.frames, *size, 3))
        return mapped[:, : self.height, : self.width]

    def lr(self, *, keep: bool = True) -> NDArray[np.uint8]:
        """(T, height / scale, width / scale, 3) uint8, read-only, mapped. keep: see `gt`."""
        shape = (self.frames, self.height // self.scale, self.width // self.scale, 3)
        return (_mapped if keep else _map)(self.folder / "lr.bin", shape)


def decoded_bytes(frames: int, width: int, height: int, scale: int) -> int:
    """Size of a clip in the cache, in bytes."""
    width, height = width // scale, height // scale
    return frames * 3 * width * height * (scale * scale + 1)


def find_stored(source: Source, scale: int, cache_dir: Path) -> StoredClip | None:
    """The clip if it is already decoded and complete, else None. A packed clip counts once its hashes were verified."""
    if source.kind == "packed":
        return _stored_at(source, scale, source.path) if _stamp(source, cache_dir).exists() else None
    return _stored_at(source, scale, cache_dir / cache_name(source, scale))


def _stored_at(source: Source, scale: int, folder: Path) -> StoredClip | None:
    try:
        meta = json.loads((folder / META).read_text())
        meta.pop("sha256", None)
        meta["notes"] = tuple(meta.get("notes", ()))
        clip = StoredClip(
            name=source.name, path=source.path, folder=folder, split=source.split, scored=source.scored,
            mirrors=source.mirrors, **meta,
        )  # fmt: skip
        large = (clip.source_height, clip.source_width) if clip.uncut else (clip.height, clip.width)
        complete = all(
            (folder / name).stat().st_size == int(np.prod(shape))
            for name, shape in (
                ("gt.bin", (clip.frames, *large, 3)),
                ("lr.bin", (clip.frames, clip.height // scale, clip.width // scale, 3)),
            )
        )
    except (OSError, ValueError, TypeError):
        return None
    return clip if complete and clip.frames > 0 and clip.scale == scale else None


def store(
    source: Source, scale: int, cache_dir: Path, expected: int, limit: int, progress: ProgressCallback
) -> StoredClip:
    """Decode a clip into the cache, or wait for another process that is decoding it.

    expected: number of frames, only for progress. limit: maximum size in bytes. Raises Refused if the clip needs more,
    if the disk is full, or if the source changes while it is read.
    """
    if source.kind == "packed":
        return _store_packed(source, scale, cache_dir)
    name = cache_name(source, scale)
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        with locked(cache_dir / f"{name}.lock"):
            if clip := find_stored(source, scale, cache_dir):
                return clip
            for leftover in cache_dir.glob(f"{name}.*.tmp*"):  # from a killed process, since this one holds the lock
                shutil.rmtree(leftover, ignore_errors=True)
            building = cache_dir / f"{name}.{os.getpid()}.tmp"
            try:
                build(source, scale, building, expected, limit, progress)
                if cache_name(source, scale) != name:
                    raise messages.CHANGED_WHILE_READ(path=source.path)
                _move_in(building, cache_dir / name)
            finally:
                shutil.rmtree(building, ignore_errors=True)
    except OSError as error:
        cause = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
        raise messages.DECODING_FAILED(path=source.path, folder=cache_dir, cause=cause) from None
    _mapped.cache_clear()
    clip = find_stored(source, scale, cache_dir)
    if clip is None:
        raise messages.DECODING_FAILED(
            path=source.path, folder=cache_dir, cause="the written files cannot be read back"
        )
    return clip


def _store_packed(source: Source, scale: int, cache_dir: Path) -> StoredClip:
    """Verify the hashes of a packed clip once; an empty file in the cache folder records that they matched."""
    check_hashes(source.path)
    clip = _stored_at(source, scale, source.path)
    if clip is None:
        raise messages.PACK_INCOMPLETE(path=source.path)
    cache_dir.mkdir(parents=True, exist_ok=True)
    _stamp(source, cache_dir).touch()
    return clip


def _stamp(source: Source, cache_dir: Path) -> Path:
    return cache_dir / f"{cache_name(source, 0)}.checked"


def cache_name(source: Source, scale: int) -> str:
    """Cache folder name of a clip: a hash of its path, its files' sizes and mtimes, the scale, and how gt and lr are made."""
    parts: list[Any] = [*_identity(source), scale, DEFAULT]
    if source.lq is not None:
        parts[-1:] = [source.degradation, *_identity(source.lq)]
    elif source.degradation != DEFAULT:
        parts[-1] = identity_of(source.degradation)
    if source.reader_version > 1:
        parts.append(f"reader {source.reader_version}")
    return hashlib.sha256(json.dumps([FORMAT, *parts]).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _identity(source: Source) -> list[Any]:
    try:
        stats = [(file.name, file.stat()) for file in source.files]
    except OSError as error:
        raise messages.UNREADABLE_SOURCE(path=source.path, cause=error.strerror, file=error.filename) from None
    place = str(source.path.resolve())
    return [place, [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats], *source.identity]


def _move_in(building: Path, folder: Path) -> None:
    """Rename into place. An existing folder is incomplete: it was checked while the lock was held."""
    if folder.exists():
        aside = building.with_name(f"{building.name}.torn")
        folder.rename(aside)  # processes that map the old files can continue to read them
        shutil.rmtree(aside, ignore_errors=True)
    building.rename(folder)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive file lock. The operating system releases it if the process dies."""
    with open_lock(path) as file:
        if fcntl is not None:
            with contextlib.suppress(OSError):  # the file system has no locks
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _map(path: Path, shape: tuple[int, ...]) -> NDArray[Any]:
    """A memory-mapped file, unmapped with the last array on it."""
    try:
        return np.memmap(path, np.uint8, "r", shape=shape).view(np.ndarray)
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or "it is shorter than its frames"
        raise messages.DECODED_FILE_LOST(file=path, cause=cause) from error


@lru_cache(maxsize=256)
def _mapped(path: Path, shape: tuple[int, ...]) -> NDArray[Any]:
    """The file, left mapped. Each mapping holds a file descriptor, so a large dataset cannot keep all clips mapped."""
    return _map(path, shape)
