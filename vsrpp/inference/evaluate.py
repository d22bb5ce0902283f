"""Scores a network against ground truth by the field's protocol: reduce, upscale, compare, average over frames and clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vsrpp import metrics, resize
from vsrpp.data import added
from vsrpp.data.build import content_sha256
from vsrpp.data.degradation_table import BLOCK_FRAMES, DEFAULT, TABLE, Draw, checked, degrade_blocks
from vsrpp.data.layouts import LayoutQuery, find
from vsrpp.data.readers import Source
from vsrpp.data.sources import read_frames
from vsrpp.inference import messages
from vsrpp.metrics.meter import ClipMeter, ExtraMeasures, mean_of_clips
from vsrpp.paths import CheckpointPaths

if TYPE_CHECKING:
    from vsrpp.models import Network

Frames = NDArray[np.uint8]
Upscale = Callable[[Frames], Frames]
"""(T, h, w, 3) uint8 -> (T, H, W, 3) uint8."""

WHOLE_CLIP_FRAMES = 128
"""Clips up to this length are processed at once, as for published figures; longer ones in chunks."""
OVERLAP = 16
SMALLEST_SIDE = 11
"""SSIM's window."""


def bicubic_of(scale: int) -> Upscale:
    """MATLAB-compatible bicubic upscaling by `scale`, the baseline of published tables."""
    return lambda frames: resize.resize_u8(frames, scale)


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

    from vsrpp.inference.chunks import upscale_frames

    model, run_config = load_network(folder)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def upscale(frames: Frames) -> Frames:
        chunk = None if len(frames) <= WHOLE_CLIP_FRAMES else WHOLE_CLIP_FRAMES
        return upscale_frames(model, frames, device=device, chunk_frames=chunk, overlap=OVERLAP)

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
    return [source for source in located if source.split == "val"] or located


def evaluate_sources(
    sources: Sequence[Source], upscale: Upscale, scale: int, *, start: int = 0, count: int | None = None,
    profile: Path | None = None, extra: ExtraMeasures | None = None, border: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """Scores `upscale` on frames start … start+count-1 of these clips.

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
    if min(cut_width, cut_height) < max(SMALLEST_SIDE, scale):
        raise messages.TOO_SMALL_TO_SCORE(path=source.path, width=width, height=height, scale=scale)
    return cut_width, cut_height


def _evaluate(
    source: Source, upscale: Upscale, scale: int, start: int, count: int | None, profile: Path | None, meter: ClipMeter
) -> dict[str, Any]:
    truth = read_frames(source, start, count)
    width, height = check_size(source, truth.shape[2], truth.shape[1], scale)
    truth = np.ascontiguousarray(truth[:, :height, :width])
    if source.lq is None:
        reduced = _reduced(source, truth, scale, start)
    else:
        reduced = np.ascontiguousarray(read_frames(source.lq, start, count)[:, : height // scale, : width // scale])
    output = upscale(reduced)
    if profile is not None:
        save_profile(profile, [resize.resize_u8(reduced, scale), output, truth])
    scored = scored_frames(source, start, len(truth))
    for number, (ours, theirs) in enumerate(zip(output, truth, strict=True), start):
        meter.add(ours, theirs, number=number, scored=number in scored)
    return {"name": source.name, "paired": source.lq is not None, **meter.result()}


def scored_frames(source: Source, start: int, count: int) -> set[int]:
    """The numbers of the frames that are scored, among frames start … start+count-1 of a clip."""
    return {n for n in source.scored if start <= n < start + count} or set(range(start, start + count))


def _reduced(source: Source, truth: Frames, scale: int, start: int) -> Frames:
    """The small frames a run would validate on, generated from `truth`. start: the number of its first frame."""
    method = TABLE[source.degradation]
    draw = Draw.of_clip(content_sha256(source)) if method.per_sample else Draw(0, 0)
    if not method.by_blocks:
        return method.degrade(truth, draw, scale=scale, first_frame=start)
    before = start % BLOCK_FRAMES
    blocks = -(-(before + len(truth)) // BLOCK_FRAMES)
    whole = read_frames(source, start - before, blocks * BLOCK_FRAMES)[:, : truth.shape[1], : truth.shape[2]]
    small = degrade_blocks(method, whole, draw, scale=scale, first_frame=start - before)
    return small[before : before + len(truth)]


def save_profile(path: Path, clips: list[Frames]) -> None:
    """Save the temporal profiles of clips of equal size side by side as a PNG. Raises Refused if that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(metrics.temporal_profile(clips)).save(path, format="PNG")
    except OSError as error:
        raise messages.PROFILE_NOT_WRITTEN(path=path, cause=error) from None
