"""A run ready to train, and what starting, resuming and replaying one have in common."""

from __future__ import annotations

import fcntl
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import torch

from vsrpp import formats
from vsrpp.checkpoints.files import versions
from vsrpp.checkpoints.snapshot import Snapshot
from vsrpp.control import ConfigHistory, Lineage
from vsrpp.data import Data
from vsrpp.data.unreadable import BadFrames
from vsrpp.digests import file_sha256
from vsrpp.distributed.process_group import ProcessGroup
from vsrpp.inference.memory import there_is
from vsrpp.paths import RunPaths
from vsrpp.private_files import open_lock
from vsrpp.store import RunWriter
from vsrpp.training import memory, messages
from vsrpp.training.validation import largest_chunk


@dataclass(slots=True)
class Prepared:
    """A run ready to train: folder locked, record open, data checked."""

    paths: RunPaths
    writer: RunWriter
    run_config: dict[str, Any]
    data: Data
    device: torch.device
    history: ConfigHistory
    line: Lineage
    """The events that lead to the current state; those after `base_seq` are repeated."""
    snapshot: Snapshot | None = None
    """The start state; None means fresh weights from the seed."""
    branch: int = 0
    """The branch of that state."""
    base_seq: int = 0
    """The newest event included in the start state."""
    fresh: bool = True
    changed_code: bool = False
    """Whether plug-ins differ from the record, which a person allowed."""
    set_aside: tuple[str, ...] = ()
    """New names of damaged databases, which new ones replace."""
    replay: bool = False
    """Whether the line comes from another record: its events are repeated and recorded again."""
    bad_frames: BadFrames = field(default_factory=BadFrames)
    """The frames on record as unreadable."""
    lock: IO[str] | None = None
    group: ProcessGroup = field(default_factory=ProcessGroup.single)
    """The processes that train the run, this one first."""


def lock_run(folder: RunPaths) -> IO[str]:
    """Lock the run folder for this process; the kernel releases the lock when the process ends, for whatever reason.

    Raises Refused if another process trains the run, or if the lock file is a link.
    """
    try:
        handle = open_lock(folder.root / ".lock")
    except OSError as error:
        raise messages.LOCK_UNUSABLE(file=str(folder.root / ".lock"), why=error.strerror) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        raise messages.TRAINED_ELSEWHERE(run=folder.run_id) from None
    return handle


def check_scoring(run_config: dict[str, Any], data: Data, device: torch.device) -> None:
    """Check that a validation fits into memory; the first one may come after hours. Raises Refused."""
    for clip in data.val:
        frames, height, width = largest_chunk(clip, run_config), clip.span.clip.height, clip.span.clip.width
        needed, has = memory.scoring_bytes(run_config, frames, height, width), there_is(device)
        if needed > has:
            raise messages.VALIDATION_TOO_LARGE(
                clip=clip.name, frames=frames, width=width, height=height, needed=formats.size(needed),
                has=formats.size(has), device=device,
            )  # fmt: skip


def decoding(say: Callable[[str], None]) -> Callable[[str, int, int], None]:
    """Reports once per clip that it is being decoded; later runs find it in the cache."""
    seen: set[str] = set()

    def progress(name: str, _done: int, expected: int) -> None:
        if name not in seen:
            seen.add(name)
            say(f"Decoding {name} ({expected} frames) into the cache …")

    return progress


def pretrained_sha256(run_config: dict[str, Any]) -> str | None:
    """SHA-256 of the weight file a run starts from, for comparison by a replay; None without such a file."""
    path = run_config.get("pretrained")
    return file_sha256(Path(path)) if path and Path(path).is_file() else None


def code_version() -> str:
    """The commit of the checkout, with `+changes` if it was edited; otherwise the package's version."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return versions()["vsrpp"]
    try:
        commit = subprocess.run(
            ["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True
        )
        changed = subprocess.run(
            ["git", "-C", root, "status", "--porcelain", "--untracked-files=no"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return versions()["vsrpp"]
    return commit.stdout.strip() + ("+changes" if changed.stdout.strip() else "")
