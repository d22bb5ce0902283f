"""Each clip is decoded once, into two files of raw uint8 that training maps into memory: gt.bin and lr.bin.

A cache folder is named by what it was made from (path, size, mtime, scale, degradation, format), built beside its name
under a lock, fsynced and renamed: it is whole or it is not there. One that is not whole after all is made again.
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

from vsrpp.data.build import META, ProgressCallback, build, check_hashes, clip_identity
from vsrpp.data.sources import Source
from vsrpp.errors import Refused

try:
    import fcntl
except ImportError:  # Windows: two processes may both decode; the rename still keeps the result whole
    fcntl = None  # type: ignore[assignment]

FORMAT = 1
"""Raise it when the bytes of a cache folder change meaning: old folders are then never found again."""


@dataclass(frozen=True)
class StoredClip:
    """A decoded clip. Plain values: it travels to worker processes, which map the files themselves."""

    name: str
    path: Path
    folder: Path
    content_sha256: str
    """Of the ground truth's files: two clips with the same one are the same clip."""
    frames: int
    width: int
    """Of gt: the source's, cut to a multiple of scale at the right and the bottom."""
    height: int
    source_width: int
    source_height: int
    scale: int
    degradation: str = "bicubic"
    """How lr was made; `given` for a pair."""
    lq_sha256: str = ""
    """Of a pair's small frames."""
    uncut: bool = False
    """Whether the file of gt holds the source's size, as in a packed copy."""
    split: str = ""
    scored: tuple[int, ...] = ()
    """Frames that validation counts; empty for all."""
    mirrors: bool = False

    @property
    def identity(self) -> str:
        """Hash of what training on it depends on, whatever the place and the name."""
        return clip_identity(self.content_sha256, self.degradation, self.lq_sha256)

    def gt(self) -> NDArray[np.uint8]:
        """(T, height, width, 3) uint8, read-only, mapped."""
        size = (self.source_height, self.source_width) if self.uncut else (self.height, self.width)
        return _mapped(self.folder / "gt.bin", (self.frames, *size, 3))[:, : self.height, : self.width]

    def lr(self) -> NDArray[np.uint8]:
        """(T, height / scale, width / scale, 3) uint8, read-only, mapped."""
        return _mapped(self.folder / "lr.bin", (self.frames, self.height // self.scale, self.width // self.scale, 3))


def decoded_bytes(frames: int, width: int, height: int, scale: int) -> int:
    """Bytes a clip takes in the cache."""
    width, height = width // scale, height // scale
    return frames * 3 * width * height * (scale * scale + 1)


def find_stored(source: Source, scale: int, cache_dir: Path) -> StoredClip | None:
    """The clip if it is decoded already and whole, else None. One of a packed copy is, once its hashes were checked."""
    if source.kind == "packed":
        return _stored_at(source, scale, source.path) if _stamp(source, cache_dir).exists() else None
    return _stored_at(source, scale, cache_dir / cache_name(source, scale))


def _stored_at(source: Source, scale: int, folder: Path) -> StoredClip | None:
    try:
        meta = json.loads((folder / META).read_text())
        meta.pop("sha256", None)
        clip = StoredClip(
            name=source.name, path=source.path, folder=folder, split=source.split, scored=source.scored,
            mirrors=source.mirrors, **meta,
        )  # fmt: skip
        large = (clip.source_height, clip.source_width) if clip.uncut else (clip.height, clip.width)
        whole = all(
            (folder / name).stat().st_size == int(np.prod(shape))
            for name, shape in (
                ("gt.bin", (clip.frames, *large, 3)),
                ("lr.bin", (clip.frames, clip.height // scale, clip.width // scale, 3)),
            )
        )
    except (OSError, ValueError, TypeError):
        return None
    return clip if whole and clip.frames > 0 and clip.scale == scale else None


def store(
    source: Source, scale: int, cache_dir: Path, expected: int, limit: int, progress: ProgressCallback
) -> StoredClip:
    """Decode a clip into the cache, or wait for the process that is doing so.

    expected: frames, for progress alone. limit: bytes it may take. Raises Refused when it would take more, when the
    disk is full, and when the source changes meanwhile.
    """
    if source.kind == "packed":
        return _store_packed(source, scale, cache_dir)
    name = cache_name(source, scale)
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        with locked(cache_dir / f"{name}.lock"):
            if clip := find_stored(source, scale, cache_dir):
                return clip
            for left in cache_dir.glob(f"{name}.*.tmp*"):  # of a killed process: this one holds the lock
                shutil.rmtree(left, ignore_errors=True)
            building = cache_dir / f"{name}.{os.getpid()}.tmp"
            try:
                build(source, scale, building, expected, limit, progress)
                if cache_name(source, scale) != name:
                    raise Refused(
                        f"{source.path} refused: it changed while it was read; start again when it is complete"
                    )
                _move_in(building, cache_dir / name)
            finally:
                shutil.rmtree(building, ignore_errors=True)
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
        raise Refused(f"decoding {source.path} into {cache_dir} failed: {reason}") from None
    _mapped.cache_clear()
    clip = find_stored(source, scale, cache_dir)
    if clip is None:
        raise Refused(f"decoding {source.path} into {cache_dir} failed: the files written cannot be read back")
    return clip


def _store_packed(source: Source, scale: int, cache_dir: Path) -> StoredClip:
    """Check the hashes of a packed clip, once: a stamp in the cache folder says that they held."""
    check_hashes(source.path)
    clip = _stored_at(source, scale, source.path)
    if clip is None:
        raise Refused(f"{source.path} refused: this clip of a packed copy is not whole; pack again")
    cache_dir.mkdir(parents=True, exist_ok=True)
    _stamp(source, cache_dir).touch()
    return clip


def _stamp(source: Source, cache_dir: Path) -> Path:
    return cache_dir / f"{cache_name(source, 0)}.checked"


def cache_name(source: Source, scale: int) -> str:
    """Folder name of a clip at a scale: a hash of where it is, its files' size and mtime, and how lr is made."""
    parts: list[Any] = [*_identity(source), scale, "bicubic"]
    if source.lq is not None:
        parts[-1:] = [source.degradation, *_identity(source.lq)]
    elif source.degradation != "bicubic":
        parts[-1] = source.degradation
    return hashlib.sha256(json.dumps([FORMAT, *parts]).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _identity(source: Source) -> list[Any]:
    try:
        stats = [(file.name, file.stat()) for file in source.files]
    except OSError as error:
        raise Refused(f"{source.path} refused: {error.strerror} ({error.filename})") from None
    return [str(source.path.resolve()), [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]]


def _move_in(building: Path, folder: Path) -> None:
    """Rename into place. What is there already is torn: the lock was held while looking."""
    if folder.exists():
        aside = building.with_name(f"{building.name}.torn")
        folder.rename(aside)  # a process that maps the old files keeps them
        shutil.rmtree(aside, ignore_errors=True)
    building.rename(folder)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock; the system lets go of it when the process ends, however it ends."""
    with path.open("w") as file:
        if fcntl is not None:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


@lru_cache(maxsize=256)
def _mapped(path: Path, shape: tuple[int, ...]) -> NDArray[Any]:
    """A mapped file; each holds a file descriptor, hence not one per clip of a large data set."""
    return np.memmap(path, np.uint8, "r", shape=shape).view(np.ndarray)
