"""Which frames of long footage are scored: runs of consecutive frames, spread evenly over the clips. No chance is involved,
so that every run of the same data and config scores the same frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vsrpp.formats import counted

RUN_FRAMES = 16
"""Frames of a run: a chunk of validation, so that a frame gets the score it has when its whole clip is scored."""
_RUNS_SHOWN = 4


def spread(lengths: Sequence[int], limit: int) -> list[list[range]]:
    """For each clip of `lengths` frames the runs to score, at most `limit` frames altogether; neighbouring runs are joined.

    Clips get equally many runs, as far as they are long enough, since each counts equally in the mean. If there are more
    clips than runs, clips spread evenly get one each, and the others none.
    """
    runs = [max(1, length // RUN_FRAMES) for length in lengths]
    given = [0] * len(lengths)
    room = limit
    while room > 0 and (unfinished := [clip for clip, count in enumerate(given) if count < runs[clip]]):
        more = [clip for clip in unfinished if given[clip] == min(given[clip] for clip in unfinished)]
        left = {clip: lengths[clip] - RUN_FRAMES * given[clip] for clip in more}
        cost = {clip: left[clip] if given[clip] == runs[clip] - 1 else RUN_FRAMES for clip in more}
        chosen = more
        while chosen and sum(cost[clip] for clip in chosen) > room:
            fewer = min(len(chosen) - 1, room // min(cost[clip] for clip in more))
            chosen = [more[place] for place in _evenly(fewer, len(more))]
        if not chosen:
            break
        for clip in chosen:
            given[clip] += 1
            room -= cost[clip]
    return [
        _runs(length, count, _evenly(part, count)) for length, count, part in zip(lengths, runs, given, strict=True)
    ]


def sample_line(sample: Mapping[str, Any] | None) -> str | None:
    """One line on `dataset.val_sample_of`, with the first frames of a few runs; None without a sample."""
    if sample is None:
        return None
    runs = [f"{clip['name']} {first}–{last}" for clip in sample["clips"] for first, last in clip["frames"]]
    shown = ", ".join(runs) if len(runs) <= _RUNS_SHOWN else f"{', '.join(runs[: _RUNS_SHOWN - 1])}, …, {runs[-1]}"
    return (
        f"validation scores {sample['frames']:,} of {sample['of']:,} frames, {counted(len(runs), 'run')} spread evenly"
        f" (val_frames): {shown}"
    )


def _evenly(count: int, of: int) -> list[int]:
    """`count` of the numbers below `of`, each in the middle of its share."""
    return [(2 * place + 1) * of // (2 * count) for place in range(count)]


def _runs(length: int, count: int, places: list[int]) -> list[range]:
    """The runs at `places` of `count` in a clip; all of them are the whole clip, its last frames included."""
    if len(places) == count:
        return [range(length)]
    found: list[range] = []
    for place in places:
        start = place * RUN_FRAMES
        if found and found[-1].stop == start:
            start = found.pop().start
        found.append(range(start, (place + 1) * RUN_FRAMES))
    return found
