"""Scores a network against ground truth by the field's protocol: reduce, upscale, compare, average over frames and clips."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, tee
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vsrpp import metrics, resize
from vsrpp.data import added
from vsrpp.data import messages as data_messages
from vsrpp.data.build import content_sha256
from vsrpp.data.degradation_table import BLOCK_FRAMES, DEFAULT, TABLE, Draw, checked
from vsrpp.data.layouts import LayoutQuery, find
from vsrpp.data.readers import Source
from vsrpp.data.sources import iter_frames
from vsrpp.inference import messages
from vsrpp.metrics.meter import ClipMeter, ExtraMeasures, mean_of_clips
from vsrpp.paths import CheckpointPaths

if TYPE_CHECKING:
    import torch

    from vsrpp.models import Network

Frame = NDArray[np.uint8]

WHOLE_CLIP_FRAMES = 128
"""Clips up to this length are processed at once, as for published figures; longer ones in chunks."""
OVERLAP = 16


class Upscale(Protocol):
    """Upscales a part of a clip to the frames that the part has in the whole clip, upscaled."""

    def reads(self, start: int, stop: int | None) -> tuple[int, int | None]:
        """(first, end) of the frames that it reads for frames start … stop-1; None: up to the clip's end."""

    def __call__(self, frames: Iterator[Frame], start: int = 0) -> Iterator[Frame]:
        """(h, w, 3) uint8 frames, from the first that `reads` names -> those from `start` on, (H, W, 3) uint8.

        It reads ahead as far as it has to.
        """


@dataclass(frozen=True, slots=True)
class FrameByFrame:
    """An `Upscale` that needs no context."""

    enlarge: Callable[[Frame], Frame]

    def reads(self, start: int, stop: int | None) -> tuple[int, int | None]:
        return start, stop

    def __call__(self, frames: Iterator[Frame], start: int = 0) -> Iterator[Frame]:
        return map(self.enlarge, frames)


@dataclass(frozen=True, slots=True)
class InWindows:
    """The `Upscale` of a network, with the windows of published figures."""

    model: Network
    device: torch.device

    def reads(self, start: int, stop: int | None) -> tuple[int, int | None]:
        from vsrpp.inference.chunks import part_to_read

        return part_to_read(
            start, stop, chunk_frames=WHOLE_CLIP_FRAMES, overlap=OVERLAP, whole=WHOLE_CLIP_FRAMES
        )  # fmt: skip

    def __call__(self, frames: Iterator[Frame], start: int = 0) -> Iterator[Frame]:
        from vsrpp.inference.chunks import upscale_iter

        return upscale_iter(
            self.model, frames, device=self.device, chunk_frames=WHOLE_CLIP_FRAMES, overlap=OVERLAP,
            whole=WHOLE_CLIP_FRAMES, start=start,
        )  # fmt: skip


def bicubic_of(scale: int) -> Upscale:
    """MATLAB-compatible bicubic upscaling by `scale`, the baseline of published tables."""
    return FrameByFrame(lambda frame: resize.resize_u8(frame, scale))


def load_network(folder: CheckpointPaths) -> tuple[Network, dict[str, Any]]:
    """The EMA network of a checkpoint, in eval mode on the CPU, and its run config, after verifying every hash.

    Raises NotFound, ProofFailed or Refused.
    """
    from vsrpp import models
    from vsrpp.checkpoints.documents import checkpoint_run_config
    from vsrpp.checkpoints.files import load_weights, verify_files
    from vsrpp.plugins import record as plugin_record

    verify_files(folder)
    run_config = checkpoint_run_config(folder)
    plugin_record.reopen(run_config, plugin_record.read(folder.root), folder.root)
    added.join(run_config)
    weights = load_weights(folder, folder.model_ema)
    try:
        model = models.build(run_config)
        model.load_state_dict(weights)
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        cause = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise messages.NETWORK_DOES_NOT_FIT(file=folder.model_ema, cause=cause) from None
    return model.eval(), run_config


def network_of(folder: CheckpointPaths) -> tuple[Upscale, int, str]:
    """The EMA network of a checkpoint as a function, its scale, and the degradation it was trained on.

    Raises NotFound, ProofFailed or Refused.
    """
    import torch

    model, run_config = load_network(folder)
    upscale = InWindows(model, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    return upscale, int(run_config["scale"]), str(run_config.get("degradation") or DEFAULT)


def evaluate_path(
    path: str, upscale: Upscale, scale: int, *, start: int = 0, count: int | None = None, profile: Path | None = None,
    degradation: str = DEFAULT, extra: ExtraMeasures | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Scores `upscale` on frames start … start+count-1 of every clip at `path`, which holds the ground truth.

    Returns what `evaluate_sources` does. The small frames are the dataset's own (Vid4's BIx4 or BDx4, by `degradation`) or
    generated as in validation. If a layout names test clips, only those are scored (REDS4); of Vimeo-90K only im4.
    Raises NotFound or Refused for data that cannot be read or is too small.
    """
    sources = scored_sources(path, scale, degradation)
    figures = evaluate_sources(sources, upscale, scale, start=start, count=count, profile=profile, extra=extra)
    return figures | {"degradation": degradation}


def scored_sources(path: str, scale: int, degradation: str = DEFAULT) -> list[Source]:
    """The clips at a path that are scored. Raises NotFound or Refused."""
    checked(degradation, scale)
    _, located = find(path, query=LayoutQuery(scale, degradation))
    return [source for source in located if source.validates] or located


def evaluate_sources(
    sources: Sequence[Source], upscale: Upscale, scale: int, *, start: int = 0, count: int | None = None,
    profile: Path | None = None, extra: ExtraMeasures | None = None, border: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """Scores `upscale` on frames start … start+count-1 of these clips, each as in the whole clip: context is read.

    Returns psnr_y, ssim_y, psnr_rgb, ssim_rgb, tdiff_y and `extra` (means over frames, then clips), frames, scale, and the
    same figures for each of `clips`, with those of each frame under `per_frame`. tdiff_y is None for single frames.
    profile: PNG to save the temporal profile to, bicubic | output | truth; NAME_CLIP.png if there are several clips.
    border: pixels cut off on each side before anything is measured. Raises Refused for data that cannot be read or is too small.
    """
    clips = []
    for source in sources:
        picture = profile
        if profile is not None and len(sources) > 1:
            picture = profile.with_name(f"{profile.stem}_{source.name.replace('/', '_')}{profile.suffix}")
        clips.append(_evaluate(source, upscale, scale, start, count, picture, ClipMeter(extra, border=border)))
    return averaged(clips, scale)


def averaged(clips: list[dict[str, Any]], scale: int) -> dict[str, Any]:
    """The figures of an evaluation from those of its clips."""
    return {**mean_of_clips(clips), "frames": sum(row["frames"] for row in clips), "scale": scale, "clips": clips}


def check_size(source: Source, width: int, height: int, scale: int) -> tuple[int, int]:
    """(width, height) cut to multiples of `scale`. Raises Refused if SSIM's window does not fit."""
    cut_width, cut_height = width - width % scale, height - height % scale
    if min(cut_width, cut_height) < max(metrics.SSIM_MIN_SIZE, scale):
        raise messages.TOO_SMALL_TO_SCORE(path=source.path, width=width, height=height, scale=scale)
    return cut_width, cut_height


def _evaluate(
    source: Source, upscale: Upscale, scale: int, start: int, count: int | None, profile: Path | None, meter: ClipMeter
) -> dict[str, Any]:
    stop = None if count is None else start + count
    first, end = upscale.reads(start, stop)
    pairs = _Pairs(source, scale, first, None if end is None else end - first)
    scored, picture = _scored(source, start, stop), metrics.ProfileLines()
    for_upscale, for_truth = tee(pairs.read())  # holds the frames that `upscale` has read ahead
    outputs = upscale((small for small, _ in for_upscale), start)
    number = None
    for number, (small, truth) in islice(enumerate(for_truth, first), start - first, count and start - first + count):
        output = next(outputs)
        meter.add(output, truth, number=number, scored=scored is None or number in scored)
        if profile is not None:
            picture.add([resize.resize_u8(small, scale), output, truth])
    if number is None:
        raise data_messages.NO_SUCH_FRAME(path=source.path, frame=start)
    if profile is not None:
        save_profile(profile, picture.picture())
    return {"name": source.name, "paired": source.lq is not None, "notes": pairs.notes, **meter.result()}


def _scored(source: Source, start: int, stop: int | None) -> Container[int] | None:
    """The numbers of the frames to score; None for all."""
    if not source.scored:
        return None
    frames = source.format.header(source, [])[0]  # exact: only layouts of frame files name frames to score
    return [n for n in source.scored if start <= n < min(frames, frames if stop is None else stop)] or None


@dataclass(frozen=True)
class _Pairs:
    """Frames start … start+count-1 of a clip with their small frames, read once, in order."""

    source: Source
    scale: int
    start: int
    count: int | None
    notes: list[str] = field(default_factory=list)
    """What of the clip's files is not in its frames."""

    def read(self) -> Iterator[tuple[Frame, Frame]]:
        """(small, truth) of each frame. Raises Refused for frames that are too small to score."""
        return self._given() if self.source.lq is not None else self._made()

    def _given(self) -> Iterator[tuple[Frame, Frame]]:
        assert self.source.lq is not None
        small = iter_frames(self.source.lq, self.start, self.count)
        for truth, reduced in zip(iter_frames(self.source, self.start, self.count, self.notes), small, strict=True):
            truth = self._cropped(truth)
            height, width = (side // self.scale for side in truth.shape[:2])
            yield np.ascontiguousarray(reduced[:height, :width]), truth

    def _made(self) -> Iterator[tuple[Frame, Frame]]:
        """The small frames a run would validate on: a clip is degraded in blocks, counted from its first frame."""
        method = TABLE[self.source.degradation]
        draw = Draw.of_clip(content_sha256(self.source)) if method.per_sample else Draw(0, 0)
        before, read = 0, self.count
        if method.by_blocks:
            before = self.start % BLOCK_FRAMES
            read = None if self.count is None else -(-(before + self.count) // BLOCK_FRAMES) * BLOCK_FRAMES
        frames, number = iter_frames(self.source, self.start - before, read, self.notes), self.start - before
        stop = math.inf if self.count is None else self.start + self.count
        while block := [self._cropped(frame) for frame in islice(frames, BLOCK_FRAMES)]:
            small = method.degrade(np.stack(block), draw, scale=self.scale, first_frame=number)
            for place, truth in enumerate(block):
                if self.start <= number + place < stop:
                    yield small[place], truth
            number += len(block)

    def _cropped(self, truth: Frame) -> Frame:
        """Height and width as multiples of scale."""
        width, height = check_size(self.source, truth.shape[1], truth.shape[0], self.scale)
        return np.ascontiguousarray(truth[:height, :width])


def save_profile(path: Path, profile: Frame) -> None:
    """Save a temporal profile as a PNG. Raises Refused if that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(profile).save(path, format="PNG")
    except OSError as error:
        raise messages.PROFILE_NOT_WRITTEN(path=path, cause=error) from None
