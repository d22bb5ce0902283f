"""Plans from file headers what opening the data needs, checks limits and disk space, then opens the clips."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vsrpp import formats
from vsrpp.data import messages
from vsrpp.data.build import ProgressCallback
from vsrpp.data.cache import StoredClip, decoded_bytes, find_stored, store
from vsrpp.data.originals import look_at, open_originals
from vsrpp.data.pairs import check_size as check_pair
from vsrpp.data.readers import Source
from vsrpp.data.sampling import Sampling
from vsrpp.data.split import AnyClip
from vsrpp.data.survey import Survey
from vsrpp.media.images import images_size


@dataclass(frozen=True)
class PlannedClip:
    """A located clip with its size and the cost of decoding it."""

    source: Source
    stored: StoredClip | None
    frames: int
    """Exact for frames and stored clips, an upper bound for a video."""
    width: int
    height: int
    size: int
    """Bytes it needs in the cache; 0 if it is read without decoding into the cache."""
    notes: tuple[str, ...] = ()
    """What its headers say that is not in the frames."""
    reading: str = "cache"
    """`cache`, `originals`, or `look`: like `originals`, but without hashing the contents."""


def plan(source: Source, scale: int, cache: Path, reading: str) -> PlannedClip:
    """Read a clip's headers. reading: see PlannedClip; clips that are not folders of frames are always cached."""
    singly = source.format.frame_files
    stored = None if reading == "originals" and singly else find_stored(source, scale, cache)
    uncached = reading != "cache" and singly and not stored
    notes: list[str] = []
    if stored:
        frames, width, height = stored.frames, stored.source_width, stored.source_height
    else:
        frames, width, height = source.format.header(source, notes)
    if uncached and source.lq is not None:
        check_pair(source.lq.path, (width, height), images_size(source.lq.files, source.reader_version), scale)
    size = 0 if uncached or source.kind == "packed" else decoded_bytes(frames, width, height, scale)
    return PlannedClip(source, stored, frames, width, height, size, tuple(notes), reading if uncached else "cache")


def check_trainable(item: PlannedClip, crop_size: int, sampling: Sampling) -> None:
    """Raises Refused if the frames are smaller than the crop or fewer than a sample needs."""
    check_size(item, crop_size, "crop_size needs")
    check_frames(item.source.path, item.frames, sampling, item.source.mirrors)


def check_size(item: PlannedClip, side: int, who: str) -> None:
    """Raises Refused if width or height is below `side`. who: subject and verb for the message, `crop_size needs`."""
    if min(item.width, item.height) < side:
        raise messages.FRAMES_TOO_SMALL(path=item.source.path, width=item.width, height=item.height, who=who, side=side)


def check_frames(path: Path, frames: int, sampling: Sampling, mirrors: bool) -> None:
    """Raises Refused if a clip has fewer frames than a sample needs; a clip that mirrors counts each frame twice."""
    if frames * (2 if mirrors else 1) < sampling.needed:
        raise messages.TOO_FEW_FRAMES(
            path=path, frames=f"{frames} frame{'s' * (frames != 1)}", need=sampling.need, lower=sampling.lower
        )


def open_clips(
    planned: Sequence[PlannedClip],
    scale: int,
    cache: Path,
    limit_gib: float,
    progress: ProgressCallback,
    survey: Survey,
) -> list[AnyClip | None]:
    """Every clip, ready to read; None for one that the survey leaves out.

    Raises Refused, before the first clip is decoded, if the cache limit or the disk does not have enough space.
    """
    limit = int(limit_gib * 2**30)
    total = sum(item.size for item in planned)
    if total > limit:
        raise messages.OVER_CACHE_LIMIT(size=formats.size(total), limit=limit_gib)
    check_room(sum(item.size for item in planned if not item.stored), cache, "decodes")
    room = limit - total
    opened: list[AnyClip | None] = []
    for item in planned:
        make = partial(_open, item, scale, cache, item.size + room, progress)
        opened.append(survey.usable_source(item.source, make))
    return opened


def _open(item: PlannedClip, scale: int, cache: Path, limit: int, progress: ProgressCallback) -> AnyClip:
    if item.reading == "look":
        return look_at(item.source, scale, item.width, item.height, item.notes)
    if item.reading == "originals":
        return open_originals(item.source, scale, item.width, item.height, cache, item.notes)
    return item.stored or store(item.source, scale, cache, item.frames, limit, progress)


def check_room(needed_bytes: int, folder: Path, verb: str) -> None:
    """Raises Refused if the disk of `folder` has fewer than `needed_bytes` free. verb: for the message, `decodes`."""
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(existing).free
    if needed_bytes > free:
        raise messages.NO_DISK_ROOM(verb=verb, size=formats.size(needed_bytes), free=formats.size(free), folder=folder)
