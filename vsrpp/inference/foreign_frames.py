"""Scores the output frames of any program, read from a folder, as those of a network are scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from vsrpp.data import messages as data_messages
from vsrpp.data.readers import Frame, Source
from vsrpp.data.sources import clip_at, find_plain, iter_frames
from vsrpp.errors import VsrppError
from vsrpp.inference import messages
from vsrpp.inference.evaluate import averaged, check_size
from vsrpp.media.suffixes import VIDEO_SUFFIXES
from vsrpp.metrics.meter import ClipMeter, ExtraMeasures


def evaluate_frames_of(
    folder: Path, sources: Sequence[Source], scale: int, *, start: int = 0, count: int | None = None,
    extra: ExtraMeasures | None = None, border: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """Scores the frames in `folder` against those of `sources`: the keys of `evaluate.evaluate_sources`.

    The folder has a folder or a lossless video for each clip, named like it; for a single clip it may hold the frames itself,
    or be the video. A clip has a frame for each of the truth's, or for each that is scored. Frames have the truth's size, or
    that size cut to a multiple of `scale`. Raises NotFound or Refused, naming the clip, if something is missing or does not fit.
    """
    clips = []
    for source in sources:
        own = _own_clip(folder, source, alone=len(sources) == 1)
        clips.append(_score(own, source, scale, start, count, ClipMeter(extra, border=border)))
    return averaged(clips, scale)


def _own_clip(folder: Path, source: Source, *, alone: bool) -> Source:
    named = [folder / source.name, *(folder / f"{source.name}{suffix}" for suffix in VIDEO_SUFFIXES)]
    place = next((place for place in named if place.exists()), None)
    if place is not None:
        return clip_at(place, source.name)
    if alone:
        try:
            _, found = find_plain(folder)
        except VsrppError as error:
            raise messages.NO_OUTPUT_FRAMES(path=folder, clip=source.name) from error
        if len(found) == 1:
            return found[0]
    raise messages.NO_OUTPUT_FRAMES(path=folder, clip=source.name)


def _score(own: Source, source: Source, scale: int, start: int, count: int | None, meter: ClipMeter) -> dict[str, Any]:
    scored_alone = _has_scored_alone(own, source, start, count)
    notes: list[str] = []
    all_truths = enumerate(iter_frames(source, start, count, notes), start)
    truths = (pair for pair in all_truths if not scored_alone or pair[0] in source.scored)
    frames = 0
    for (number, truth), output in _in_step(truths, iter_frames(own, 0 if scored_alone else start, count), own, source):
        width, height = check_size(source, truth.shape[1], truth.shape[0], scale)
        if output.shape not in (truth.shape, (height, width, 3)):
            raise messages.OUTPUT_SIZE(
                path=own.path, width=output.shape[1], height=output.shape[0], gt_width=truth.shape[1],
                gt_height=truth.shape[0],
            )  # fmt: skip
        scored = number in source.scored or not source.scored
        meter.add(output[:height, :width], truth[:height, :width], number=number, scored=scored)
        frames += 1
    if not frames:
        raise data_messages.NO_SUCH_FRAME(path=source.path, frame=start)
    return {"name": source.name, "paired": False, "notes": notes, **meter.result()}


def _has_scored_alone(own: Source, source: Source, start: int, count: int | None) -> bool:
    """Whether only the scored frames were put out, as is usual for Vimeo-90K (im4)."""
    whole = start == 0 and count is None
    counts = len(own.files), len(source.files)
    return whole and own.format.frame_files and counts == (len(source.scored), max(counts)) and counts[0] < counts[1]


def _in_step(
    truths: Iterator[tuple[int, Frame]], outputs: Iterator[Frame], own: Source, source: Source
) -> Iterator[tuple[tuple[int, Frame], Frame]]:
    """Pairs of both. Raises Refused where one ends before the other."""
    for pairs, (truth, output) in enumerate(zip_longest(truths, outputs)):
        if truth is None or output is None:
            more = "more" if truth is None else "fewer"
            raise messages.OUTPUT_COUNT(path=own.path, clip=source.name, frames=pairs, more=more)
        yield truth, output
