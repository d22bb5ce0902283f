"""From a run config to frames ready to train on: find, check, decode once, split. Refusals come first."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrpp.data.cache import Progress, StoredClip, decoded_bytes, find_stored, gib, store
from vsrpp.data.frames import images_size, packet_count, probe_video
from vsrpp.data.sources import Source, find
from vsrpp.data.split import Span, Split, split
from vsrpp.data.trainset import TrainSet
from vsrpp.errors import Refused

DECODE_CACHE_GIB = 20.0
_SMALLEST_SIDE = 11
"""A frame below SSIM's 11x11 window cannot be validated on."""


@dataclass(frozen=True)
class ValClip:
    """Frames to validate on, in order, never seen in training."""

    span: Span

    @property
    def name(self) -> str:
        """The clip's name."""
        return self.span.clip.name

    @property
    def frames(self) -> int:
        """How many frames it has."""
        return self.span.frames

    def lr(self, start: int = 0, stop: int | None = None) -> NDArray[np.uint8]:
        """Frames start … stop-1 (counted within this clip) as a (T, h, w, 3) uint8 copy."""
        return self._copy(self.span.clip.lr(), start, stop)

    def gt(self, start: int = 0, stop: int | None = None) -> NDArray[np.uint8]:
        """Frames start … stop-1 as a (T, H, W, 3) uint8 copy; H and W are multiples of scale."""
        return self._copy(self.span.clip.gt(), start, stop)

    def _copy(self, frames: NDArray[np.uint8], start: int, stop: int | None) -> NDArray[np.uint8]:
        return np.array(frames[self.span.start : self.span.stop][start:stop])


@dataclass(frozen=True)
class Data:
    """A run's data, decoded."""

    kind: str
    """`video`, `videos`, `clips` or `frames`: what the path of `data` holds."""
    clips: tuple[StoredClip, ...]
    """All clips of data, then those of val_data."""
    split: Split
    train: TrainSet
    val: list[ValClip]
    fingerprint: str
    """SHA-256 over the contents of the source files in order; their places and names do not count."""

    @property
    def samples_per_epoch(self) -> int:
        """Temporal windows there are to train on."""
        return len(self.train)


def open_data(run_config: Mapping[str, Any], *, cache_dir: str | Path, progress: Progress | None = None) -> Data:
    """Everything a run trains and validates on, decoded into cache_dir where it is not yet.

    Reads data, val_data, val_fraction, scale, num_frames, crop_size, seed, degradation and decode_cache_gib. While
    decoding it calls progress(clip name, frames done, frames expected). Raises NotFound for a missing path, Refused for
    anything that cannot be trained on and for more bytes than decode_cache_gib or the disk have room for.
    """
    scale, crop_size, num_frames = run_config["scale"], run_config["crop_size"], run_config["num_frames"]
    if run_config.get("degradation", "bicubic") != "bicubic":
        raise Refused(f"degradation = {run_config['degradation']} refused: must be bicubic")
    if crop_size % scale:
        raise Refused(f"crop_size = {crop_size} refused: must be a multiple of scale = {scale}")
    kind, sources = find(run_config["data"])
    val_path = run_config.get("val_data")
    val_sources = find(val_path)[1] if val_path else []
    cache = Path(cache_dir).absolute()
    plan = [_plan(source, scale, cache) for source in sources + val_sources]
    for item in plan[: len(sources)]:
        _check_trainable(item, crop_size, num_frames, scale)
    for item in plan[len(sources) :]:
        _check_size(item, max(_SMALLEST_SIDE, scale), "SSIM's window and scale need")
    clips = _decode(plan, scale, cache, run_config.get("decode_cache_gib") or DECODE_CACHE_GIB, progress or _quiet)
    own, theirs = clips[: len(sources)], clips[len(sources) :]
    for clip in own:
        _check_frames(clip.path, clip.frames, num_frames)
    made = split(own, theirs, num_frames, run_config.get("val_fraction"))
    train = TrainSet(made.train, seed=run_config["seed"], num_frames=num_frames, crop_size=crop_size, scale=scale)
    return Data(kind, tuple(clips), made, train, [ValClip(span) for span in made.val], _fingerprint(own, theirs))


def describe(data: Data) -> dict[str, Any]:
    """What `vsrpp data --json` prints: kind, clips, samples_per_epoch, fingerprint.

    A clip's split is `train`, `val`, `train+val` (its last frames validate) or `left out` (it is also in val_data).
    """
    rows = []
    for clip in data.clips:
        train = sum(span.frames for span in data.split.train if span.clip is clip)
        val = sum(span.frames for span in data.split.val if span.clip is clip)
        row: dict[str, Any] = {"name": clip.name, "split": _role(train, val), "frames": clip.frames}
        row |= {"width": clip.source_width, "height": clip.source_height, "paired": False}
        rows.append(row | {"path": str(clip.path), "train_frames": train, "val_frames": val})
    return {
        "kind": data.kind,
        "clips": rows,
        "samples_per_epoch": data.samples_per_epoch,
        "fingerprint": data.fingerprint,
    }


def _role(train_frames: int, val_frames: int) -> str:
    return "+".join(["train"] * bool(train_frames) + ["val"] * bool(val_frames)) or "left out"


@dataclass(frozen=True)
class _Planned:
    source: Source
    stored: StoredClip | None
    frames: int
    """Exact for frames and stored clips, an upper bound for a video."""
    width: int
    height: int
    size: int


def _plan(source: Source, scale: int, cache: Path) -> _Planned:
    stored = find_stored(source, scale, cache)
    if stored:
        frames, width, height = stored.frames, stored.source_width, stored.source_height
    elif source.kind == "video":
        (width, height), frames = probe_video(source.path), packet_count(source.path)
    else:
        (width, height), frames = images_size(source.files), len(source.files)
    return _Planned(source, stored, frames, width, height, decoded_bytes(frames, width, height, scale))


def _check_trainable(item: _Planned, crop_size: int, num_frames: int, scale: int) -> None:
    _check_size(item, crop_size, "crop_size needs")
    _check_size(item, max(_SMALLEST_SIDE, scale), "SSIM's window and scale need")
    _check_frames(item.source.path, item.frames, num_frames)


def _check_size(item: _Planned, side: int, who: str) -> None:
    if min(item.width, item.height) < side:
        raise Refused(
            f"{item.source.path} refused: its frames are {item.width}x{item.height}, {who} at least {side}x{side}; "
            "use larger frames or a smaller crop_size"
        )


def _check_frames(path: Path, frames: int, num_frames: int) -> None:
    if frames < num_frames:
        raise Refused(
            f"{path} refused: it has {frames} frame{'s' * (frames != 1)}, fewer than num_frames = {num_frames}; "
            "use a longer clip or fewer num_frames"
        )


def _decode(
    plan: Sequence[_Planned], scale: int, cache: Path, limit_gib: float, progress: Progress
) -> list[StoredClip]:
    limit = int(limit_gib * 2**30)
    total = sum(item.size for item in plan)
    if total > limit:
        raise Refused(
            f"the data decodes to {gib(total)}, more than decode_cache_gib = {limit_gib:g} allows; "
            "raise decode_cache_gib or use fewer or smaller clips"
        )
    missing = sum(item.size for item in plan if not item.stored)
    there = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if missing > free:
        raise Refused(f"the data decodes to {gib(missing)}, more than the {gib(free)} free for {cache}; free some disk")
    room = limit - total
    return [item.stored or store(item.source, scale, cache, item.frames, item.size + room, progress) for item in plan]


def _fingerprint(clips: Sequence[StoredClip], val_clips: Sequence[StoredClip]) -> str:
    contents = [[clip.content_sha256 for clip in group] for group in (clips, val_clips)]
    return hashlib.sha256(json.dumps(contents).encode()).hexdigest()


def _quiet(_name: str, _done: int, _expected: int) -> None:
    """No progress shown."""
