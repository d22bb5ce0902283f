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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrpp.data.sources import Source
from vsrpp.errors import Refused
from vsrpp.resize import resize_u8

try:
    import fcntl
except ImportError:  # Windows: two processes may both decode; the rename still keeps the result whole
    fcntl = None  # type: ignore[assignment]

FORMAT = 1
"""Raise it when the bytes of a cache folder change meaning: old folders are then never found again."""

Progress = Callable[[str, int, int], None]
"""Called while decoding: clip name, frames done, frames expected (an upper bound for a video)."""

_CHUNK_FRAMES = 8
_META = "meta.json"


@dataclass(frozen=True)
class StoredClip:
    """A decoded clip. Plain values: it travels to worker processes, which map the files themselves."""

    name: str
    path: Path
    folder: Path
    content_sha256: str
    frames: int
    width: int
    """Of gt: the source's, cut to a multiple of scale at the right and the bottom."""
    height: int
    source_width: int
    source_height: int
    scale: int

    def gt(self) -> NDArray[np.uint8]:
        """(T, height, width, 3) uint8, read-only, mapped."""
        return _mapped(self.folder / "gt.bin", (self.frames, self.height, self.width, 3))

    def lr(self) -> NDArray[np.uint8]:
        """(T, height / scale, width / scale, 3) uint8, read-only, mapped."""
        return _mapped(self.folder / "lr.bin", (self.frames, self.height // self.scale, self.width // self.scale, 3))


def decoded_bytes(frames: int, width: int, height: int, scale: int) -> int:
    """Bytes a clip takes in the cache."""
    width, height = width // scale, height // scale
    return frames * 3 * width * height * (scale * scale + 1)


def find_stored(source: Source, scale: int, cache_dir: Path) -> StoredClip | None:
    """The clip if it is decoded already and whole, else None."""
    folder = cache_dir / cache_name(source, scale)
    try:
        meta = json.loads((folder / _META).read_text())
        clip = StoredClip(name=source.name, path=source.path, folder=folder, **meta)
        whole = all(
            (folder / name).stat().st_size == int(np.prod(shape))
            for name, shape in (
                ("gt.bin", (clip.frames, clip.height, clip.width, 3)),
                ("lr.bin", (clip.frames, clip.height // scale, clip.width // scale, 3)),
            )
        )
    except (OSError, ValueError, TypeError):
        return None
    return clip if whole and clip.frames > 0 and clip.scale == scale else None


def store(source: Source, scale: int, cache_dir: Path, expected: int, limit: int, progress: Progress) -> StoredClip:
    """Decode a clip into the cache, or wait for the process that is doing so.

    expected: frames, for progress alone. limit: bytes it may take. Raises Refused when it would take more, when the
    disk is full, and when the source changes meanwhile.
    """
    name = cache_name(source, scale)
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        with _locked(cache_dir / f"{name}.lock"):
            if clip := find_stored(source, scale, cache_dir):
                return clip
            for left in cache_dir.glob(f"{name}.*.tmp*"):  # of a killed process: this one holds the lock
                shutil.rmtree(left, ignore_errors=True)
            building = cache_dir / f"{name}.{os.getpid()}.tmp"
            try:
                _build(source, scale, building, expected, limit, progress)
                if cache_name(source, scale) != name:
                    raise Refused(
                        f"{source.path} refused: it changed while it was read; start again when it is complete"
                    )
                _move_in(building, cache_dir / name)
            finally:
                shutil.rmtree(building, ignore_errors=True)
    except OSError as error:
        what = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
        raise Refused(f"decoding {source.path} into {cache_dir} failed: {what}") from None
    _mapped.cache_clear()
    clip = find_stored(source, scale, cache_dir)
    if clip is None:
        raise Refused(f"decoding {source.path} into {cache_dir} failed: the files written cannot be read back")
    return clip


def cache_name(source: Source, scale: int) -> str:
    """Folder name of a clip at a scale: a hash of where it is and what its files' size and mtime are."""
    try:
        stats = [(file.name, file.stat()) for file in source.files]
    except OSError as error:
        raise Refused(f"{source.path} refused: {error.strerror} ({error.filename})") from None
    files = [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]
    identity = json.dumps([FORMAT, str(source.path.resolve()), files, scale, "bicubic"])
    return hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _build(source: Source, scale: int, folder: Path, expected: int, limit: int, progress: Progress) -> None:
    folder.mkdir()
    frames = source.frames()
    done = written = 0
    shape: tuple[int, ...] = ()
    source_shape: tuple[int, ...] = ()
    progress(source.name, 0, expected)
    with (folder / "gt.bin").open("wb") as gt_file, (folder / "lr.bin").open("wb") as lr_file:
        while chunk := list(islice(frames, _CHUNK_FRAMES)):
            source_shape = chunk[0].shape
            shape = (source_shape[0] // scale * scale, source_shape[1] // scale * scale)
            gt = np.stack([frame[: shape[0], : shape[1]] for frame in chunk])
            lr = resize_u8(gt, 1 / scale)
            written += gt.nbytes + lr.nbytes
            if written > limit:
                raise Refused(
                    f"{source.path} refused: it decodes to more than the {gib(limit)} that decode_cache_gib leaves it; "
                    "raise decode_cache_gib or use a shorter clip"
                )
            gt_file.write(gt.data)
            lr_file.write(lr.data)
            done += len(chunk)
            progress(source.name, done, max(expected, done))
        for file in (gt_file, lr_file):
            file.flush()
            os.fsync(file.fileno())
    meta = {
        "content_sha256": _content_sha256(source),
        "frames": done,
        "width": shape[1],
        "height": shape[0],
        "source_width": source_shape[1],
        "source_height": source_shape[0],
        "scale": scale,
    }
    with (folder / _META).open("w") as meta_file:
        json.dump(meta, meta_file)
        meta_file.flush()
        os.fsync(meta_file.fileno())


def gib(size: int) -> str:
    """Bytes for people: 3.25 GiB; small sizes in MiB."""
    return f"{size / 2**30:.2f} GiB" if size >= 2**30 // 10 else f"{size / 2**20:.1f} MiB"


def _content_sha256(source: Source) -> str:
    """Of the file's bytes; for a folder of frames, of its files' hashes in order. Names and places do not count."""
    hashes = [_file_sha256(file) for file in source.files]
    return hashes[0] if source.kind == "video" else hashlib.sha256("".join(hashes).encode()).hexdigest()


def _file_sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _move_in(building: Path, folder: Path) -> None:
    """Rename into place. What is there already is torn: the lock was held while looking."""
    if folder.exists():
        aside = building.with_name(f"{building.name}.torn")
        folder.rename(aside)  # a process that maps the old files keeps them
        shutil.rmtree(aside, ignore_errors=True)
    building.rename(folder)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
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
