"""What opening the data will take, known from headers alone, and then the taking: checks, room, clip by clip."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vsrpp import formats
from vsrpp.data.build import ProgressCallback
from vsrpp.data.cache import StoredClip, decoded_bytes, find_stored, store
from vsrpp.data.frames import images_size, packet_count, probe_video, raw_shape
from vsrpp.data.originals import look_at, open_originals
from vsrpp.data.pairs import check_size as check_pair
from vsrpp.data.sources import RAW_KINDS, Source
from vsrpp.data.split import AnyClip
from vsrpp.errors import Refused


@dataclass(frozen=True)
class PlannedClip:
    """A clip that was found, with its size, and what decoding it takes."""

    source: Source
    stored: StoredClip | None
    frames: int
    """Exact for frames and stored clips, an upper bound for a video."""
    width: int
    height: int
    size: int
    """Bytes it takes in the cache; 0 if it is read as it lies."""
    reading: str = "cache"
    """`cache`, `originals`, or `look`: as `originals`, its contents not hashed."""


def plan(source: Source, scale: int, cache: Path, reading: str) -> PlannedClip:
    """Look at a clip's headers. reading: as of PlannedClip; what is no folder of frames is decoded into the cache anyway."""
    stored = None if reading == "originals" and source.kind == "frames" else find_stored(source, scale, cache)
    as_it_lies = reading != "cache" and source.kind == "frames" and not stored
    if stored:
        frames, width, height = stored.frames, stored.source_width, stored.source_height
    elif source.kind == "video":
        (width, height), frames = probe_video(source.path), packet_count(source.path)
    elif source.kind in RAW_KINDS:
        frames, height, width, _ = raw_shape(source.path)
    else:
        (width, height), frames = images_size(source.files), len(source.files)
    if as_it_lies and source.lq is not None:
        check_pair(source.lq.path, (width, height), images_size(source.lq.files), scale)
    size = 0 if as_it_lies or source.kind == "packed" else decoded_bytes(frames, width, height, scale)
    return PlannedClip(source, stored, frames, width, height, size, reading if as_it_lies else "cache")


def check_trainable(item: PlannedClip, crop_size: int, num_frames: int) -> None:
    """Raise Refused for frames smaller than the crop, and fewer than a sample has."""
    check_size(item, crop_size, "crop_size needs")
    check_frames(item.source.path, item.frames, num_frames, item.source.mirrors)


def check_size(item: PlannedClip, side: int, who: str) -> None:
    """Raise Refused for frames with a side below `side`, which `who` asks for."""
    if min(item.width, item.height) < side:
        raise Refused(
            f"{item.source.path} refused: its frames are {item.width}x{item.height}, {who} at least {side}x{side}; "
            "use larger frames or a smaller crop_size"
        )


def check_frames(path: Path, frames: int, num_frames: int, mirrors: bool) -> None:
    """Raise Refused for fewer frames than a sample has; a clip that mirrors gives each of its frames twice."""
    if frames * (2 if mirrors else 1) < num_frames:
        raise Refused(
            f"{path} refused: it has {frames} frame{'s' * (frames != 1)}, fewer than num_frames = {num_frames}; "
            "use a longer clip or fewer num_frames"
        )


def open_clips(
    planned: Sequence[PlannedClip], scale: int, cache: Path, limit_gib: float, progress: ProgressCallback
) -> list[AnyClip]:
    """Every clip ready to read. Raises Refused before the first is decoded where cache limit or disk have no room."""
    limit = int(limit_gib * 2**30)
    total = sum(item.size for item in planned)
    if total > limit:
        raise Refused(
            f"the data decodes to {formats.size(total)}, more than decode_cache_gib = {limit_gib:g} allows; "
            "raise decode_cache_gib, set reading=originals (folders of frames), or use fewer or smaller clips"
        )
    check_room(sum(item.size for item in planned if not item.stored), cache, "decodes")
    room = limit - total
    return [_open(item, scale, cache, item.size + room, progress) for item in planned]


def _open(item: PlannedClip, scale: int, cache: Path, limit: int, progress: ProgressCallback) -> AnyClip:
    if item.reading == "look":
        return look_at(item.source, scale, item.width, item.height)
    if item.reading == "originals":
        return open_originals(item.source, scale, item.width, item.height, cache)
    return item.stored or store(item.source, scale, cache, item.frames, limit, progress)


def check_room(needed_bytes: int, folder: Path, verb: str) -> None:
    """Raise Refused where the disk that will hold `folder` has less room than `needed_bytes` bytes."""
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(existing).free
    if needed_bytes > free:
        raise Refused(
            f"the data {verb} to {formats.size(needed_bytes)}, more than the {formats.size(free)} free for {folder};"
            " free some disk"
        )
