"""Scores a network against ground truth by the field's protocol: reduce, upscale, compare, average over frames and clips."""

from __future__ import annotations

from collections.abc import Callable
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
from vsrpp.paths import CheckpointPaths

if TYPE_CHECKING:
    from vsrpp.models import Network

Frames = NDArray[np.uint8]
Upscale = Callable[[Frames], Frames]
"""(T, h, w, 3) uint8 -> (T, H, W, 3) uint8."""

WHOLE_CLIP_FRAMES = 128
"""Clips up to this length are processed at once, as for published figures; longer ones in chunks."""
OVERLAP = 16
_NOT_AVERAGED = ("name", "frames", "paired", "tdiff_y")
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
    degradation: str = DEFAULT,
) -> dict[str, Any]:  # fmt: skip
    """Scores `upscale` on frames start … start+count-1 of every clip at `path`, which holds the ground truth.

    Returns psnr_y, ssim_y, psnr_rgb, ssim_rgb and tdiff_y (means over frames, then clips), frames, scale, degradation, and
    the same figures for each of `clips`. tdiff_y is `metrics.temporal_difference_y`, None for single frames.
    The small frames are the dataset's own (Vid4's BIx4 or BDx4, by `degradation`) or generated as in validation. If a
    layout names test clips, only those are scored (REDS4); of Vimeo-90K only im4.
    profile: PNG to save the temporal profile to, bicubic | output | truth; NAME_CLIP.png if there are several clips.
    Raises NotFound or Refused for data that cannot be read or is too small.
    """
    checked(degradation, scale)
    _, located = find(path, query=LayoutQuery(scale, degradation))
    sources = [source for source in located if source.split == "val"] or located
    clips = []
    for source in sources:
        picture = profile
        if profile is not None and len(sources) > 1:
            picture = profile.with_name(f"{profile.stem}_{source.name.replace('/', '_')}{profile.suffix}")
        clips.append(_evaluate(source, upscale, scale, start, count, picture))
    means = metrics.mean_over_clips([{k: v for k, v in row.items() if k not in _NOT_AVERAGED} for row in clips])
    steady = [row["tdiff_y"] for row in clips if row["tdiff_y"] is not None]
    tdiff = sum(steady) / len(steady) if steady else None
    frames = sum(row["frames"] for row in clips)
    return {
        **means, "tdiff_y": tdiff, "frames": frames, "scale": scale, "degradation": degradation, "clips": clips
    }  # fmt: skip


def _evaluate(
    source: Source, upscale: Upscale, scale: int, start: int, count: int | None, profile: Path | None
) -> dict[str, Any]:
    truth = read_frames(source, start, count)
    height, width = (side - side % scale for side in truth.shape[1:3])
    if min(height, width) < max(SMALLEST_SIDE, scale):
        raise messages.TOO_SMALL_TO_SCORE(path=source.path, width=truth.shape[2], height=truth.shape[1], scale=scale)
    truth = np.ascontiguousarray(truth[:, :height, :width])
    if source.lq is None:
        reduced = _reduced(source, truth, scale, start)
    else:
        reduced = np.ascontiguousarray(read_frames(source.lq, start, count)[:, : height // scale, : width // scale])
    scored = [n - start for n in source.scored if start <= n < start + len(truth)] or list(range(len(truth)))
    output = upscale(reduced)
    if profile is not None:
        save_profile(profile, [resize.resize_u8(reduced, scale), output, truth])
    return {
        "name": source.name, "frames": len(scored), "paired": source.lq is not None,
        **metrics.evaluate_frames(output[scored], truth[scored]),
        "tdiff_y": metrics.temporal_difference_y(output, truth),
    }  # fmt: skip


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
