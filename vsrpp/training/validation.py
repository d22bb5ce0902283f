"""Validation: the EMA weights on frames never trained on, beside bicubic, by the field's protocol (`vsrpp.metrics`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from vsrpp import metrics, resize
from vsrpp.data import ValClip
from vsrpp.models.inference import upscale_frames

CHUNK_FRAMES = 16
OVERLAP = 4
PICTURE_CLIPS = 4
"""Pictures are kept of at most this many clips: they are for looking at, and every one is uploaded."""


@dataclass(frozen=True, slots=True)
class Validation:
    """The figures of one validation. Means are over frames, then clips."""

    means: dict[str, float]
    """psnr_y, ssim_y, quality, sharpness, and bicubic_psnr_y, bicubic_ssim_y, bicubic_quality; tdiff_y and bicubic_tdiff_y
    (`metrics.temporal_difference_y`) unless every clip is a single frame."""
    clips: list[dict[str, Any]]
    images: list[dict[str, Any]]
    """[{path, profile, clip, frame, width, height}], paths relative to the run folder: bicubic | output | truth, side by
    side; the profile is one row of pixels of each over time."""


class Validator:
    """Keeps the bicubic baseline of the validation clips, which never changes, and scores the network against them."""

    def __init__(self, clips: Sequence[ValClip], scale: int, device: torch.device, precision: str) -> None:
        self.clips = clips
        self._scale = scale
        self._device = device
        self._precision = precision
        self._bicubic: list[dict[str, float]] = []

    def run(
        self, model: nn.Module, step: int, run_dir: Path, images: Path | None, between: Callable[[], None]
    ) -> Validation:
        """Score `model`; `between` is called after every clip (to show that the run lives). No pictures if `images` is None.

        Never touches a random generator.
        """
        scores: list[dict[str, float]] = []
        rows: list[dict[str, Any]] = []
        pictures: list[dict[str, Any]] = []
        for number, clip in enumerate(self.clips):
            lr, gt = clip.lr(), clip.gt()
            output = upscale_frames(
                model, lr, device=self._device, chunk_frames=CHUNK_FRAMES, overlap=OVERLAP, precision=self._precision
            )
            scored = clip.scored
            if number == len(self._bicubic):
                self._bicubic.append(_figures(resize.resize_u8(lr, self._scale), gt, scored))
            figures = {**_figures(output, gt, scored), "sharpness": sharpness_ratio(output[scored], gt[scored])}
            figures |= {f"bicubic_{name}": value for name, value in self._bicubic[number].items()}
            scores.append(figures)
            rows.append({"name": clip.name, "frames": len(scored), **figures})
            if images is not None and number < PICTURE_CLIPS:
                pictures.append(self._picture(clip, lr, output, gt, step, run_dir, images))
            between()
        means = _means(scores)
        return Validation(means, rows, pictures)

    def _picture(
        self, clip: ValClip, lr: NDArray[np.uint8], output: NDArray[np.uint8], gt: NDArray[np.uint8], step: int,
        run_dir: Path, images: Path,
    ) -> dict[str, Any]:  # fmt: skip
        frame = clip.frames // 2
        bicubic = resize.resize_u8(lr[frame : frame + 1], self._scale)[0]
        folder = images / f"step_{step:07d}"
        folder.mkdir(parents=True, exist_ok=True)
        name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in clip.name)
        path = folder / f"{name}.png"
        Image.fromarray(np.concatenate([bicubic, output[frame], gt[frame]], axis=1)).save(path)
        profile = folder / f"{name}_profile.png"
        clips = [resize.resize_u8(lr, self._scale), output, gt]
        Image.fromarray(metrics.temporal_profile(clips)).save(profile)
        height, width = gt.shape[1:3]
        return {
            "profile": str(profile.relative_to(run_dir)),
            "path": str(path.relative_to(run_dir)), "clip": clip.name, "frame": frame, "width": width, "height": height,
        }  # fmt: skip


def sharpness_ratio(output: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Mean absolute gradient of the output's luma over the truth's; 1 is as sharp as the truth, bicubic ×4 is near 0.6.

    Frames (T, H, W, 3) uint8. A truth without any edge counts as 1.
    """
    truth_edges = _edges(truth)
    return _edges(output) / truth_edges if truth_edges > 0 else 1.0


def _edges(frames: NDArray[np.uint8]) -> float:
    total = 0.0
    for frame in frames:
        y = metrics.to_y(frame)
        total += float(np.abs(np.diff(y, axis=0)).mean() + np.abs(np.diff(y, axis=1)).mean())
    return total / len(frames)


def _figures(frames: NDArray[np.uint8], gt: NDArray[np.uint8], scored: list[int]) -> dict[str, float]:
    """Of a whole clip; all but tdiff_y, which looks from frame to frame, of the `scored` frames alone."""
    figures = metrics.evaluate_frames(frames[scored], gt[scored], rgb=False)
    tdiff_y = metrics.temporal_difference_y(frames, gt)
    steady = {} if tdiff_y is None else {"tdiff_y": tdiff_y}
    return {**figures, **steady, "quality": metrics.quality(figures["psnr_y"], figures["ssim_y"])}


def _means(clips: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of each figure over the clips that have it: a single frame has no tdiff_y."""
    names = {name: None for clip in clips for name in clip}
    return {name: metrics.mean_over_clips([{name: c[name]} for c in clips if name in c])[name] for name in names}
