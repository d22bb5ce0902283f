"""From a run config to frames ready to train on: find, check, decode, split. All checks come before any decoding."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrpp.data import messages, sequence, val_sample
from vsrpp.data.block import MixEntry, read_block
from vsrpp.data.build import ProgressCallback
from vsrpp.data.degradation_table import GIVEN
from vsrpp.data.plan import PlannedClip, check_frames, check_size, check_trainable, open_clips, plan
from vsrpp.data.readers import HELD_OUT, Source
from vsrpp.data.sampling import Sampling
from vsrpp.data.split import AnyClip, Span, Split, split, too_short
from vsrpp.data.survey import READING, Survey
from vsrpp.data.trainset import TrainSet
from vsrpp.errors import VsrppError

DECODE_CACHE_GIB = 20.0
SAMPLED_FROM_VERSION = 2
"""The `validation_version` from which on a sample of long footage is scored. Before, all of it was."""
AUTO_VAL_CLIPS = 30
"""Maximum number of clips taken from a layout's own validation set, unless `data.val` names it."""
SMALLEST_SIDE = 11
"""SSIM's window: smaller validation frames cannot be scored."""


@dataclass(frozen=True)
class ValClip:
    """Consecutive frames held out for validation; training never sees them."""

    span: Span
    runs: tuple[range, ...] = ()
    """The frames to compare, counted from the span's first, if only a sample is (`val_sample`); empty for all of them."""

    @property
    def name(self) -> str:
        """The clip's name."""
        return self.span.clip.name

    @property
    def frames(self) -> int:
        """How many frames it has."""
        return self.span.frames

    @property
    def compared(self) -> list[int]:
        """The frames that are compared, counted from the clip's first. The others are at most read as their context."""
        return [*chain(*self.runs)] if self.runs else [*range(self.frames)]

    @property
    def scored(self) -> list[int]:
        """The frames that are scored, counted from the clip's first: all compared ones, or im4 alone for Vimeo-90K."""
        compared = self.compared
        return sorted({number - self.span.start for number in self.span.clip.scored} & {*compared}) or compared

    @property
    def parts(self) -> list[Span]:
        """The compared frames as spans of the whole clip."""
        start = self.span.start
        return [Span(self.span.clip, start + run.start, start + run.stop) for run in self.runs] or [self.span]

    def lr(self, start: int = 0, stop: int | None = None) -> NDArray[np.uint8]:
        """Frames start … stop-1 (counted within this clip) as a (T, h, w, 3) uint8 copy."""
        return self._copy(self.span.clip.lr(keep=False), start, stop)

    def gt(self, start: int = 0, stop: int | None = None) -> NDArray[np.uint8]:
        """Frames start … stop-1 as a (T, H, W, 3) uint8 copy; H and W are multiples of scale."""
        return self._copy(self.span.clip.gt(keep=False), start, stop)

    def _copy(self, frames: Any, start: int, stop: int | None) -> NDArray[np.uint8]:
        numbers = range(self.span.start, self.span.stop)[start:stop]
        return np.array(frames[numbers.start : numbers.stop])


@dataclass(frozen=True)
class Data:
    """The data of a run, ready to read."""

    kind: str
    """`video`, `videos`, `clips`, `frames`, `reds`, `vimeo90k`, `vid4`, `pairs`, `packed`, or `mix` for several sources."""
    clips: tuple[AnyClip, ...]
    """All clips of `data`, then those of separate validation data."""
    split: Split
    train: TrainSet
    val: list[ValClip]
    """The clips that are scored: of long footage a sample of `split.val`."""
    fingerprint: str
    """SHA-256 over the contents of the source files, in order; independent of paths and names."""
    survey: Survey = field(default_factory=Survey)
    """The clips that were found but are left out, and what else was noticed."""

    @property
    def samples_per_epoch(self) -> int:
        """The number of temporal windows available for training, at all frame intervals together."""
        return len(self.train)

    @property
    def val_frames(self) -> tuple[int, int]:
        """How many frames a validation compares, and how many are held out."""
        return sum(len(clip.compared) for clip in self.val), sum(span.frames for span in self.split.val)


@dataclass(frozen=True)
class LocatedData:
    """The clips a run config names, found but not yet read."""

    kind: str
    groups: list[list[Source]]
    """For each source of the mix, its training clips followed by the validation clips of its layout."""
    weights: list[float]
    val: list[Source]

    @property
    def all(self) -> list[Source]:
        """The training clips of every source, then the validation clips."""
        return [*chain(*self.groups), *self.val]

    @property
    def in_mix(self) -> int:
        """How many of `all` are clips of the training sources."""
        return sum(map(len, self.groups))

    def only(self, kept: Sequence[Source], survey: Survey) -> LocatedData:
        """Without the clips that are not in `kept`. Raises the error of a source of which no clip is left."""
        ids = {id(source) for source in kept}
        groups = [[source for source in group if id(source) in ids] for group in [*self.groups, self.val]]
        for before, after in zip([*self.groups, self.val], groups, strict=True):
            left = after if before is self.val else [source for source in after if source.split != "val"]
            if len(after) < len(before) and not left:
                survey.check_any_left(before[0].entry)
        return replace(self, groups=groups[:-1], val=groups[-1])


def find_all(run_config: Mapping[str, Any], survey: Survey | None = None) -> LocatedData:
    """Locate the clips of every path in a run config. Raises NotFound or Refused for the first unusable path.

    survey: takes what is noticed, and decides which clips are left out; by default those that a new run leaves out.
    """
    block, scale, survey = read_block(run_config), run_config["scale"], survey or Survey.of(None)
    groups, kinds, val = [], set(), []
    for place, entry in enumerate(block.train):
        kind, sources = _find(entry, f"train[{place}]", scale, survey)
        kinds.add(kind)
        groups.append(_group(entry, sources, bool(block.val)))
        if not block.val:
            val += _spread([source for source in sources if source.split == HELD_OUT], AUTO_VAL_CLIPS)
    for place, entry in enumerate(block.val):
        val += _validating(entry, _find(entry, f"val[{place}]", scale, survey)[1])
    val = [replace(source, split="") if source.split == HELD_OUT else source for source in val]
    return LocatedData(
        kinds.pop() if len(block.train) == 1 else "mix", groups, [entry.weight for entry in block.train], val
    )


def _find(entry: MixEntry, name: str, scale: int, survey: Survey) -> tuple[str, list[Source]]:
    survey.entry = name
    kind, sources = entry.find(scale, survey)
    return kind, [replace(source, entry=name) for source in sources]


def _group(entry: MixEntry, sources: list[Source], validates_elsewhere: bool) -> list[Source]:
    kept = [source for source in sources if source.split == "val"]
    train = _spread([source for source in sources if not source.validates], entry.max_clips)
    if not train:
        raise messages.ALL_RESERVED(path=entry.path)
    return train if validates_elsewhere else train + _spread(kept, AUTO_VAL_CLIPS)


def _validating(entry: MixEntry, sources: list[Source]) -> list[Source]:
    """The clips that the layout reserves for validation, or all clips if it reserves none."""
    return _spread([source for source in sources if source.validates] or sources, entry.max_clips)


def _spread(sources: list[Source], limit: int | None) -> list[Source]:
    if limit is None or len(sources) <= limit:
        return sources
    return [sources[place * len(sources) // limit] for place in range(limit)]


def open_data(
    run_config: Mapping[str, Any], *, cache_dir: str | Path, progress: ProgressCallback | None = None,
    started: Mapping[str, Any] | None = None,
) -> Data:  # fmt: skip
    """All training and validation data of a run; clips that are not in cache_dir yet are decoded into it.

    Reads data, val_data, val_fraction, val_frames, validation_version, scale, crop_size, seed, degradation, reading,
    decode_cache_gib, and the keys of `Sampling`. started: the data of the event `started` of a run on record, which names the
    clips that it leaves out; None for a new run, which leaves out those that cannot be used.
    While decoding, calls progress(clip name, frames done, frames expected). Raises NotFound for a missing path, Refused
    for data that cannot be trained on or that needs more space than decode_cache_gib allows or the disk has.
    """
    reading = run_config.get("reading") or "cache"
    return _opened(run_config, Path(cache_dir).absolute(), reading, progress or _quiet, Survey.of(started))


def look_at_data(
    run_config: Mapping[str, Any], *, cache_dir: str | Path, progress: ProgressCallback | None = None
) -> Data:
    """Like `open_data`, but without decoding folders of frames: their pixels are read only when they are displayed.

    The fingerprint is empty if computing it would require reading them. Videos are decoded, because only that gives
    their number of frames.
    """
    return _opened(run_config, Path(cache_dir).absolute(), "look", progress or _quiet, Survey.of(None))


def _opened(
    run_config: Mapping[str, Any], cache: Path, reading: str, progress: ProgressCallback, survey: Survey
) -> Data:  # fmt: skip
    located, planned = _planned(run_config, cache, reading, survey)
    limit_gib = run_config.get("decode_cache_gib") or DECODE_CACHE_GIB
    clips = open_clips(planned, run_config["scale"], cache, limit_gib, progress, survey)
    kept = [(item.source, clip) for item, clip in zip(planned, clips, strict=True) if clip is not None]
    for source, clip in kept:
        sequence.remark(source, clip.frames, survey)
    data = _data(run_config, located.only([source for source, _ in kept], survey), [clip for _, clip in kept], survey)
    return replace(data, fingerprint="") if any(item.reading == "look" for item in planned) else data


def _planned(
    run_config: Mapping[str, Any], cache: Path, reading: str, survey: Survey
) -> tuple[LocatedData, list[PlannedClip]]:  # fmt: skip
    """The clips to open, after every check that needs no decoding."""
    scale, crop_size, sampling = run_config["scale"], run_config["crop_size"], Sampling.of(run_config)
    if crop_size % scale:
        raise messages.CROP_NOT_MULTIPLE(crop_size=crop_size, scale=scale)
    located = find_all(run_config, survey)
    in_mix = located.in_mix

    def checked(source: Source, trains: bool) -> PlannedClip:
        item = plan(source, scale, cache, reading)
        if trains:
            check_trainable(item, crop_size, sampling)
        check_size(item, max(SMALLEST_SIDE, scale), "SSIM's window and scale need")
        return item

    looked_at = [
        survey.usable_source(source, partial(checked, source, number < in_mix and source.split != "val"))
        for number, source in enumerate(located.all)
    ]
    planned = [item for item in looked_at if item is not None]
    return located.only([item.source for item in planned], survey), planned


def _data(run_config: Mapping[str, Any], located: LocatedData, clips: list[AnyClip], survey: Survey) -> Data:
    sampling = Sampling.of(run_config)
    located, clips = _long_enough(located, clips, sampling, survey)
    while True:
        whole_split, counts = _split(located, clips, sampling, run_config.get("val_fraction"))
        short = {id(span.clip): error for span, error in too_short(whole_split.train, sampling)}
        if not short:
            break
        located, clips = _without(short, located, clips, survey)
    in_mix = located.in_mix
    train = TrainSet(
        whole_split.train, seed=run_config["seed"], sampling=sampling, crop_size=run_config["crop_size"],
        scale=run_config["scale"], mix=list(zip(located.weights, counts, strict=True)),
        batch_size=run_config.get("batch_size", 1),
    )  # fmt: skip
    val = _sampled(whole_split.val, run_config, held_out=not located.val)
    fingerprint = _fingerprint(clips[:in_mix], clips[in_mix:])
    return Data(located.kind, tuple(clips), whole_split, train, val, fingerprint, survey)


def _long_enough(
    located: LocatedData, clips: list[AnyClip], sampling: Sampling, survey: Survey
) -> tuple[LocatedData, list[AnyClip]]:  # fmt: skip
    """Without the training clips that turned out to be too short when they were decoded."""
    short = {}
    for clip in clips[: located.in_mix]:
        if clip.split != "val":
            try:
                check_frames(clip.path, clip.frames, sampling, clip.mirrors)
            except VsrppError as error:
                short[id(clip)] = error
    return _without(short, located, clips, survey) if short else (located, clips)


def _without(
    errors: Mapping[int, VsrppError], located: LocatedData, clips: list[AnyClip], survey: Survey
) -> tuple[LocatedData, list[AnyClip]]:  # fmt: skip
    """Without the clips for whose id there is an error. Raises it if the clip must not be left out."""
    kept = []
    for source, clip in zip(located.all, clips, strict=True):
        if (error := errors.get(id(clip))) is None:
            kept.append((source, clip))
        else:
            survey.entry = source.entry
            survey.leave_out(source.name, source.path, error, stage=READING)
    return located.only([source for source, _ in kept], survey), [clip for _, clip in kept]


def _sampled(spans: list[Span], run_config: Mapping[str, Any], *, held_out: bool) -> list[ValClip]:
    """The validation clips. Of those that were chosen automatically, at most `val_frames` frames altogether.

    Sets with a protocol of their own are scored whole: the clips that a layout reserves, and the pairs of val_data.
    """
    limit = run_config.get("val_frames") if run_config.get("validation_version", 1) >= SAMPLED_FROM_VERSION else None
    long = [s for s in spans if s.clip.split != "val" and (held_out or s.clip.degradation != GIVEN)]
    if limit is None or sum(span.frames for span in long) <= limit:
        return [ValClip(span) for span in spans]
    runs = {id(span): part for span, part in zip(long, val_sample.spread([s.frames for s in long], limit), strict=True)}
    kept = [(span, runs.get(id(span), [range(span.frames)])) for span in spans]
    return [ValClip(span, () if part == [range(span.frames)] else tuple(part)) for span, part in kept if part]


def _split(
    located: LocatedData, clips: list[AnyClip], sampling: Sampling, fraction: float | None
) -> tuple[Split, list[int]]:
    """The split of the whole mix, and the number of training spans of each source.

    If neither the config nor a layout names validation clips, a part of each source is held out.
    """
    rest = iter(clips)
    groups = [[next(rest) for _ in group] for group in located.groups]
    val = list(rest) or [clip for group in groups for clip in group if clip.split == "val"]
    splits = [split(group, val, sampling, fraction) for group in groups]
    train = [span for part in splits for span in part.train]
    validating = splits[0].val if val else [span for part in splits for span in part.val]
    return Split(train, validating), [len(part.train) for part in splits]


def describe(data: Data) -> dict[str, Any]:
    """The data as JSON values, for `vsrpp data --json`: kind, clips, samples_per_epoch, sampling, validation, fingerprint,
    left_out and remarks (`Survey.to_json`).

    A clip's split is `train`, `val`, `train+val` (its last frames validate) or `left out` (it is also in val_data).
    `validation` is `val_sample_of` the data.
    """
    train, val = ({}, {})  # type: dict[int, int], dict[int, int]
    for counted, spans in ((train, data.split.train), (val, data.split.val)):
        for span in spans:
            counted[id(span.clip)] = counted.get(id(span.clip), 0) + span.frames
    return {
        "kind": data.kind,
        "clips": [_row(clip, train.get(id(clip), 0), val.get(id(clip), 0)) for clip in data.clips],
        "samples_per_epoch": data.samples_per_epoch,
        "sampling": data.train.sampling.to_json(),
        "validation": val_sample_of(data),
        "fingerprint": data.fingerprint or None,
        **data.survey.to_json(),
    }


def val_sample_of(data: Data) -> dict[str, Any] | None:
    """The sample of long footage that is scored: {frames, of, runs, clips: [{name, frames: [[first, last], …]}]}.

    Frames are counted from the first of their clip. None if every frame that is held out is scored.
    """
    frames, held_out = data.val_frames
    if frames == held_out:
        return None
    return {
        "frames": frames, "of": held_out, "runs": sum(len(clip.parts) for clip in data.val),
        "clips": [
            {"name": clip.name, "frames": [[part.start, part.stop - 1] for part in clip.parts]} for clip in data.val
        ],
    }  # fmt: skip


def _row(clip: AnyClip, train_frames: int, val_frames: int) -> dict[str, Any]:
    role = "+".join(["train"] * bool(train_frames) + ["val"] * bool(val_frames)) or "left out"
    row: dict[str, Any] = {"name": clip.name, "split": role, "frames": clip.frames}
    row |= {"width": clip.source_width, "height": clip.source_height, "paired": clip.degradation == "given"}
    row |= {"degradation": clip.degradation, "path": str(clip.path), "notes": list(clip.notes)}
    return row | {"train_frames": train_frames, "val_frames": val_frames}


def _fingerprint(clips: Sequence[AnyClip], val_clips: Sequence[AnyClip]) -> str:
    contents = [[clip.identity for clip in group] for group in (clips, val_clips)]
    return hashlib.sha256(json.dumps(contents).encode()).hexdigest()


def _quiet(_name: str, _done: int, _expected: int) -> None:
    """Show no progress."""
