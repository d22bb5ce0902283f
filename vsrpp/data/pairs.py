"""LQ/GT pairs: every clip with its small frames, names and numbers of frames and sizes checked; one line if not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vsrpp.data.frames import image_size, probe_video
from vsrpp.data.sources import Source
from vsrpp.errors import Refused

GIVEN = "given"
"""The degradation of a pair: the small frames are what they are."""


def matched(ground: Sequence[Source], small: Sequence[Source], scale: int) -> list[Source]:
    """Each clip of `ground` with the clip of `small` that has its name. A single clip pairs with a single clip.

    Raises Refused, naming the first clip that has no partner on either side, and what `pair` raises.
    """
    if len(ground) == len(small) == 1:
        return [pair(ground[0], small[0], scale)]
    small_by_name = {source.name: source for source in small}
    for source in ground:
        if source.name not in small_by_name:
            raise Refused(
                f"{source.path} refused: no LQ clip {source.name} in {small[0].path.parent} "
                f"({len(ground)} GT clips, {len(small)} LQ clips); names must match"
            )
    if extra := sorted(small_by_name.keys() - {source.name for source in ground}):
        raise Refused(
            f"{small_by_name[extra[0]].path} refused: no GT clip {extra[0]} in {ground[0].path.parent} "
            f"({len(ground)} GT clips, {len(small)} LQ clips); names must match"
        )
    return [pair(source, small_by_name[source.name], scale) for source in ground]


def pair(ground: Source, small: Source, scale: int) -> Source:
    """One clip with its small frames. Frames must have the same names (a suffix x4 is fine), and be scale times smaller.

    Sizes are those of the first frames; the rest is held to them when it is decoded.
    """
    if ground.kind != small.kind:
        raise Refused(f"{small.path} refused: {_a(small)}, but its GT {ground.path} is {_a(ground)}")
    if len(ground.files) != len(small.files):
        raise Refused(
            f"{small.path} refused: {len(small.files)} LQ frames for the {len(ground.files)} GT frames of {ground.path}"
        )
    if ground.kind == "frames":
        for large_file, small_file in zip(ground.files, small.files, strict=True):
            if _stem(small_file, scale) != large_file.stem:
                raise Refused(f"{small_file} refused: the GT frame in its place is {large_file.name}; names must match")
    check_size(small.path, _size(ground), _size(small), scale)
    return replace(ground, lq=small, degradation=GIVEN)


def check_size(path: Path, ground: tuple[int, int], small: tuple[int, int], scale: int) -> None:
    """Raise Refused unless small is (width, height) of ground over scale, rounded down or up."""
    fits = all(part in (whole // scale, -(-whole // scale)) for whole, part in zip(ground, small, strict=True))
    if not fits:
        raise Refused(
            f"{path} refused: LQ frames of {small[0]}x{small[1]} for GT frames of {ground[0]}x{ground[1]}; "
            f"at scale = {scale} they must be {ground[0] // scale}x{ground[1] // scale}"
        )


def _stem(file: Path, scale: int) -> str:
    return re.sub(rf"[_-]?x{scale}$", "", file.stem)


def _size(source: Source) -> tuple[int, int]:
    return probe_video(source.path) if source.kind == "video" else image_size(source.files[0])


def _a(source: Source) -> str:
    return "a video" if source.kind == "video" else "a folder of frames"
