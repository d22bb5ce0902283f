"""evaluate: how good a network is."""

from __future__ import annotations

import argparse
from pathlib import Path

from vsrpp.cli.commands import runs_folder
from vsrpp.errors import Refused
from vsrpp.output import bold, print_json


def evaluate(options: argparse.Namespace) -> int:
    from vsrpp.cli.restore import checkpoint_folder

    if options.start < 0 or (options.count is not None and options.count < 1):
        raise Refused("--start must be at least 0 and --count at least 1.")
    folder = None if options.target == "bicubic" else checkpoint_folder(options.target, runs_folder(options))
    from vsrpp.inference import evaluate as scoring

    if folder is None:
        scale, degradation = options.scale or 4, "bicubic"
        upscale = scoring.bicubic_of(scale)
    else:
        upscale, scale, degradation = scoring.network_of(folder)
        if options.scale not in (None, scale):
            raise Refused(f"--scale {options.scale} refused: this network upscales by {scale}.")
    figures = scoring.evaluate_path(
        options.data, upscale, scale, start=options.start, count=options.count,
        profile=Path(options.profile) if options.profile else None,
        degradation=options.degradation or degradation,
    )  # fmt: skip
    if options.json:
        print_json(figures)
        return 0
    made = [clip for clip in figures["clips"] if not clip["paired"]]
    print(f"×{scale}; small frames: {_small_frames(len(made), len(figures['clips']), figures['degradation'])}")
    print(
        bold(f"{'CLIP':32} {'FRAMES':>6}  {'PSNR-Y':>8} {'SSIM-Y':>7}  {'PSNR-RGB':>8} {'SSIM-RGB':>8}  {'TDIFF-Y':>7}")
    )
    rows = (
        figures["clips"] if len(figures["clips"]) == 1 else [*figures["clips"], {"name": "mean over clips", **figures}]
    )
    for row in rows:
        print(
            f"{row['name'][:32]:32} {row['frames']:>6}  {row['psnr_y']:>8.3f} {row['ssim_y']:>7.4f}"
            f"  {row['psnr_rgb']:>8.3f} {row['ssim_rgb']:>8.4f}  {_steady(row['tdiff_y']):>7}"
        )
    return 0


def _small_frames(made: int, clips: int, degradation: str) -> str:
    if not made:
        return "given"
    return f"made ({degradation})" + (f" of {made} clips, given for the other {clips - made}" if made < clips else "")


def _steady(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
