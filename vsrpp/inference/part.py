"""The unfinished output of an upscaling: a hidden folder beside the output, with finished segments and the job they belong to.

`.NAME.KEY.part/` holds `job.json`, a lock that its process holds, and the segments. KEY is a digest of the job, so a run of
the same job finds the folder again, and another one does not take it for its own. The kernel releases the lock when the
process ends, for whatever reason.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import psutil

from vsrpp.inference import messages
from vsrpp.private_files import open_lock
from vsrpp.smallfiles import read_small

Job = dict[str, Any]
"""What determines the output, as JSON: {"input": …, "weights": …, "codec": …}."""

_SEGMENT = re.compile(r"(\d{8})\.json")
_NAME_BYTES = 200
"""Of the output's name in the folder's name, which may have 255 bytes."""
_SAMPLES, _SAMPLE_BYTES = 32, 1 << 16


class Part:
    """The part of one output, locked by this process."""

    def __init__(self, folder: Path, lock: IO[str]) -> None:
        self.folder, self._lock = folder, lock

    def segments(self) -> list[dict[str, Any]]:
        """The documents of the finished segments that follow each other from frame 0, in order."""
        found: list[dict[str, Any]] = []
        frames = 0
        for file in sorted(self.folder.glob("*.json")):
            if not _SEGMENT.fullmatch(file.name):
                continue
            document = json.loads(read_small(file))
            if document["start"] != frames:
                break
            found.append(document)
            frames += document["frames"]
        return found

    def frames(self) -> int:
        """Number of frames in finished segments."""
        return sum(segment["frames"] for segment in self.segments())

    def add(self, document: dict[str, Any]) -> None:
        """Record a finished segment: {"start": first frame, "frames": number, …}. Its data must be on the disk."""
        _write_whole(self.folder / f"{document['start']:08d}.json", document)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def release(self) -> None:
        """Leave a part with finished segments where it is, for a resume; remove one without."""
        with contextlib.suppress(OSError, ValueError):
            if not self.frames():
                self.remove()
        self._lock.close()


@contextlib.contextmanager
def part_of(out: Path, job: Job, *, resume: bool, discard: bool) -> Iterator[Part]:
    """The part of `out` for this job, new unless `resume` finds one; on leaving, a part with finished segments stays.

    Without `resume`, a part with finished segments is refused unless `discard`. Parts without any, which no process is
    working on, are removed. Raises Refused if another process is at work on this output, or the part is of another job.
    """
    _remove_old_parts(out)
    key = hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()[:16]
    own = out.with_name(f"{_prefix(out)}{key}.part")
    with contextlib.ExitStack() as locks:
        for folder in _parts(out):
            part = _lock(folder, out)
            locks.callback(part.release)
            frames = part.frames()
            if not frames or (discard and not resume):
                part.remove()
            elif not resume:
                raise messages.UNFINISHED(path=out, frames=frames)
            elif folder != own:
                raise messages.ANOTHER_JOB(path=out, frames=frames, differs=_differences(folder, job))
            else:
                locks.pop_all()
                yield from _holding(part)
                return
        own.mkdir(parents=True)
        part = _lock(own, out)
        _write_whole(own / "job.json", job)
        yield from _holding(part)


def _holding(part: Part) -> Iterator[Part]:
    try:
        yield part
    finally:
        part.release()


def fingerprint(files: Sequence[Path]) -> str:
    """A digest of the names, the sizes and samples of the content of an input's files; not of their times."""
    digest = hashlib.sha256()
    samples = _SAMPLES if len(files) == 1 else 1
    for file in files:
        with file.open("rb") as content:
            size = os.fstat(content.fileno()).st_size
            digest.update(f"{file.name}\0{size}\0".encode(errors="surrogateescape"))
            for number in range(samples):
                content.seek(max(0, size - _SAMPLE_BYTES) * number // max(1, samples - 1))
                digest.update(content.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def sync(file: Path) -> None:
    """Have the kernel write a file, or the names in a folder, to the disk."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _prefix(out: Path) -> str:
    return f".{out.name.encode()[:_NAME_BYTES].decode(errors='ignore')}."


def _parts(out: Path) -> list[Path]:
    """The folders that may be parts of this output."""
    pattern = re.compile(re.escape(_prefix(out)) + r"[0-9a-f]{16}\.part")
    if not out.parent.is_dir():
        return []
    return sorted(entry for entry in out.parent.iterdir() if pattern.fullmatch(entry.name) and entry.is_dir())


def _remove_old_parts(out: Path) -> None:
    """Remove what earlier versions have left of this output, in files and folders named by a process that has ended."""
    pattern = re.compile(re.escape(f".{out.stem}.") + r"(\d+)\.part" + re.escape(out.suffix))
    for entry in list(out.parent.iterdir()) if out.parent.is_dir() else []:
        found = pattern.fullmatch(entry.name)
        if found and not psutil.pid_exists(int(found[1])):
            shutil.rmtree(entry, ignore_errors=True) if entry.is_dir() else entry.unlink(missing_ok=True)


def _lock(folder: Path, out: Path) -> Part:
    lock = open_lock(folder / "lock")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise messages.AT_WORK(path=out) from None
    return Part(folder, lock)


def _write_whole(file: Path, document: dict[str, Any]) -> None:
    """Put the whole document at its name, or leave it without; on the disk when this returns."""
    draft = file.with_suffix(".draft")
    with draft.open("w", encoding="utf-8") as out:
        json.dump(document, out)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)
    sync(file.parent)


def _differences(folder: Path, job: Job) -> str:
    """What differs between a part's job and this one, in words."""
    try:
        before = json.loads(read_small(folder / "job.json"))
    except (OSError, ValueError):
        return "its record is unreadable"
    names = [name for name in {**before, **job} if before.get(name) != job.get(name)]
    return ", ".join(_difference(name, before.get(name), job.get(name)) for name in names)


def _difference(name: str, before: Any, now: Any) -> str:
    long = any(isinstance(value, str) and len(value) > 32 for value in (before, now))
    return f"another {name}" if long else f"{name} was {_shown(before)}, not {_shown(now)}"


def _shown(value: Any) -> str:
    return "not given" if value is None else str(value)
