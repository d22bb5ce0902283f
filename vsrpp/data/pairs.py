"""LQ/GT pairs: matches each clip with its small frames and checks names, frame counts and sizes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from vsrpp.data import messages
from vsrpp.data.degradation_table import GIVEN
from vsrpp.data.readers import Source
from vsrpp.data.survey import Survey, some


def matched(
    ground: Sequence[Source], small: Sequence[Source], scale: int, survey: Survey | None = None
) -> list[Source]:
    """Pairs each clip of `ground` with the clip of `small` of the same name; two single clips need no common name.

    Raises Refused, naming the clips without a partner on either side, and what `pair` raises for a clip that the survey
    does not leave out.
    """
    survey = survey or Survey()
    if len(ground) == len(small) == 1 and not survey.names_left_out():
        return [pair(ground[0], small[0], scale)]
    left_out = survey.names_left_out()
    small_by_name = {source.name: source for source in small if source.name not in left_out}
    ground_by_name = {source.name: source for source in ground if source.name not in left_out}
    counts = {"gt_clips": len(ground_by_name), "lq_clips": len(small_by_name)}
    if alone := [source for name, source in ground_by_name.items() if name not in small_by_name]:
        names = some([source.name for source in alone])
        raise messages.NO_LQ_CLIP(path=alone[0].path, name=names, folder=small[0].path.parent, **counts)
    if extra := [source for name, source in small_by_name.items() if name not in ground_by_name]:
        names = some([source.name for source in extra])
        raise messages.NO_GT_CLIP(path=extra[0].path, name=names, folder=ground[0].path.parent, **counts)
    fits = (
        survey.usable(name, source.path, partial(pair, source, small_by_name[name], scale))
        for name, source in ground_by_name.items()
    )
    found = [source for source in fits if source is not None]
    if not found:
        survey.check_any_left(survey.entry)
    return found


def pair(ground: Source, small: Source, scale: int) -> Source:
    """A clip with its small frames. Raises Refused unless they have the same names and are `scale` times smaller.

    An `x4` suffix on the small frames' names is accepted. Sizes are compared for the first frames only; decoding checks
    the others.
    """
    if ground.kind != small.kind:
        raise messages.KINDS_DIFFER(
            path=small.path, lq_kind=small.format.in_words, gt_path=ground.path, gt_kind=ground.format.in_words
        )
    if len(ground.files) != len(small.files):
        raise messages.COUNTS_DIFFER(
            path=small.path, lq_frames=len(small.files), gt_frames=len(ground.files), gt_path=ground.path
        )
    if ground.format.frame_files:
        for large_file, small_file in zip(ground.files, small.files, strict=True):
            if _stem(small_file, scale) != large_file.stem:
                raise messages.NAMES_DIFFER(path=small_file, gt_name=large_file.name)
    check_size(small.path, ground.format.size(ground), small.format.size(small), scale)
    return replace(ground, lq=small, degradation=GIVEN)


def check_size(path: Path, ground: tuple[int, int], small: tuple[int, int], scale: int) -> None:
    """Raises Refused unless `small` is `ground` divided by scale, rounded down or up. Both are (width, height)."""
    fits = all(part in (whole // scale, -(-whole // scale)) for whole, part in zip(ground, small, strict=True))
    if not fits:
        raise messages.SIZES_DO_NOT_FIT(
            path=path, width=small[0], height=small[1], gt_width=ground[0], gt_height=ground[1], scale=scale,
            fit_width=ground[0] // scale, fit_height=ground[1] // scale,
        )  # fmt: skip


def _stem(file: Path, scale: int) -> str:
    return re.sub(rf"[_-]?x{scale}$", "", file.stem)
