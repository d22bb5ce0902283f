"""evaluate: how good a network is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vsrpp import paths
from vsrpp.errors import Refused
from vsrpp.launch.checkpoint_source import checkpoint_folder
from vsrpp.output import bold, print_json


def evaluate(
    source: str, *, data: str, scale: int | None, degradation: str | None, start: int, count: int | None,
    profile: Path | None, run_dir: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Score a run, a checkpoint or `bicubic`. Raises Refused, NotFound or ProofFailed."""
    if start < 0 or (count is not None and count < 1):
        raise Refused("--start must be at least 0 and --count at least 1.")
    folder = None if source == "bicubic" else checkpoint_folder(source, paths.runs_dir(run_dir))
    from vsrpp.inference import evaluate as scoring

    if folder is None:
        scale, trained_on = scale or 4, "bicubic"
        upscale = scoring.bicubic_of(scale)
    else:
        upscale, network_scale, trained_on = scoring.network_of(folder)
        if scale not in (None, network_scale):
            raise Refused(f"--scale {scale} refused: this network upscales by {network_scale}.")
        scale = network_scale
    figures = scoring.evaluate_path(
        data, upscale, scale, start=start, count=count, profile=profile, degradation=degradation or trained_on
    )
    if as_json:
        print_json(figures)
    else:
        _print(figures, scale)
    return 0


def _print(figures: dict[str, Any], scale: int) -> None:
    clips = figures["clips"]
    reduced = sum(not clip["paired"] for clip in clips)
    print(f"×{scale}; small frames: {_small_frames(reduced, len(clips), figures['degradation'])}")
    print(
        bold(f"{'CLIP':32} {'FRAMES':>6}  {'PSNR-Y':>8} {'SSIM-Y':>7}  {'PSNR-RGB':>8} {'SSIM-RGB':>8}  {'TDIFF-Y':>7}")
    )
    for row in clips if len(clips) == 1 else [*clips, {"name": "mean over clips", **figures}]:
        print(
            f"{row['name'][:32]:32} {row['frames']:>6}  {row['psnr_y']:>8.3f} {row['ssim_y']:>7.4f}"
            f"  {row['psnr_rgb']:>8.3f} {row['ssim_rgb']:>8.4f}  {_tdiff(row['tdiff_y']):>7}"
        )


def _small_frames(reduced: int, clips: int, degradation: str) -> str:
    if not reduced:
        return "given"
    others = f" of {reduced} clips, given for the other {clips - reduced}" if reduced < clips else ""
    return f"made ({degradation}){others}"


def _tdiff(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
