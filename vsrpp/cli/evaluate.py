"""The command evaluate: measures the quality of a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vsrpp import manifest as manifests
from vsrpp import paths
from vsrpp.cli import early, messages
from vsrpp.cli.own_document import keep_document
from vsrpp.errors import ProofFailed
from vsrpp.launch.checkpoint_source import checkpoint_folder
from vsrpp.output import Column, print_json, print_table, say
from vsrpp.paths import CheckpointPaths
from vsrpp.plugins import trust
from vsrpp.safe_text import safe

_FIGURES = (
    "psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb", "tdiff_y", "frames", "scale", "degradation", "run_id", "step",
)  # fmt: skip
"""The keys of the document, besides `clips`."""


def evaluate(
    source: str, *, data: str, scale: int | None, degradation: str | None, start: int, count: int | None,
    profile: Path | None, trust_code: Sequence[str], run_dir: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Score a run, a checkpoint or `bicubic`. Raises Refused, NotFound or ProofFailed."""
    if start < 0 or (count is not None and count < 1):
        raise messages.EVALUATE_RANGE()
    runs = paths.runs_dir(run_dir)
    early.check_input(data)
    if profile is not None:
        early.check_folder_of(profile)
    if source != "bicubic":
        early.check_checkpoint(source, runs)
    trust.allow(trust_code)
    asked: dict[str, Any] = dict.fromkeys(_FIGURES) | {"clips": []}
    with keep_document(asked, ProofFailed, as_json=as_json, verified=False):
        folder = None if source == "bicubic" else checkpoint_folder(source, runs)
        from vsrpp.inference import evaluate as scoring

        if folder is None:
            scale, trained_on = scale or 4, "bicubic"
            upscale = scoring.bicubic_of(scale)
        else:
            asked |= _scored(folder)
            upscale, network_scale, trained_on = scoring.network_of(folder)
            if scale not in (None, network_scale):
                raise messages.EVALUATE_SCALE(scale=scale, network=network_scale)
            scale = network_scale
    figures = scoring.evaluate_path(
        data, upscale, scale, start=start, count=count, profile=profile, degradation=degradation or trained_on
    )
    if as_json:
        print_json({**asked, **figures})
    else:
        say(f"run {safe(str(asked['run_id']))}, checkpoint of step {asked['step']}" if folder else "bicubic")
        _print(figures, scale)
    return 0


def _scored(folder: CheckpointPaths) -> dict[str, Any]:
    """The run ID and step of the scored checkpoint; None if its manifest, not yet verified, does not say."""
    try:
        manifest = manifests.read(folder)
    except (OSError, ValueError):
        manifest = {}
    return {key: manifest.get(key) for key in ("run_id", "step")}


def _print(figures: dict[str, Any], scale: int) -> None:
    clips = figures["clips"]
    reduced = sum(not clip["paired"] for clip in clips)
    say(f"×{scale}; small frames: {_small_frames(reduced, len(clips), figures['degradation'])}")
    titles = ("FRAMES", "PSNR-Y", "SSIM-Y", "PSNR-RGB", "SSIM-RGB", "TDIFF-Y")
    columns = [Column(title="CLIP"), *(Column(title=title, right=True, keep=True) for title in titles)]
    print_table(
        columns, [_row(row) for row in (clips if len(clips) == 1 else [*clips, {**figures, "name": "mean over clips"}])]
    )


def _row(row: dict[str, Any]) -> list[str]:
    return [
        safe(row["name"]), str(row["frames"]), f"{row['psnr_y']:.3f}", f"{row['ssim_y']:.4f}", f"{row['psnr_rgb']:.3f}",
        f"{row['ssim_rgb']:.4f}", _tdiff(row["tdiff_y"]),
    ]  # fmt: skip


def _small_frames(reduced: int, clips: int, degradation: str) -> str:
    if not reduced:
        return "given"
    others = f" of {reduced} clips, given for the other {clips - reduced}" if reduced < clips else ""
    return f"made ({degradation}){others}"


def _tdiff(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
