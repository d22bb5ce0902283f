"""Figures of whole clips: each frame is scored by itself, frames are averaged, then clips. Errors are never pooled:
23.57 dB pooled was 28.47 dB as the mean over frames on a real clip.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrpp.metrics.image import psnr, ssim, to_y

PSNR_CAP_DB = 100.0
"""What an identical frame counts in a mean: its PSNR is infinite, which no mean and no JSON can hold."""

QUALITY_PSNR_DB = (20.0, 45.0)
"""PSNR-Y at which the PSNR half of `quality` is 0 and 1."""


def evaluate_frames(pred: NDArray[Any], gt: NDArray[Any], *, rgb: bool = True) -> dict[str, float]:
    """Mean psnr_y, ssim_y (and psnr_rgb, ssim_rgb unless rgb=False: SSIM costs three more channels) of a clip.

    pred, gt: (T, H, W, 3) uint8. Every value is finite: a frame's PSNR counts at most PSNR_CAP_DB.
    Raises ValueError for other shapes or types, no frames, or frames below 11x11.
    """
    for name, frames in (("pred", pred), ("gt", gt)):
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or len(frames) == 0:
            raise ValueError(f"{name} must be (T, H, W, 3) uint8 with T >= 1, not {frames.shape} {frames.dtype}")
    if pred.shape != gt.shape:
        raise ValueError(f"pred and gt must have the same shape, not {pred.shape} and {gt.shape}")
    return _mean([_frame_figures(ours, truth, rgb) for ours, truth in zip(pred, gt, strict=True)])


def mean_over_clips(clips: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean of per-clip figures, each clip counting the same however long it is. Raises ValueError for no clips."""
    if not clips:
        raise ValueError("no clips to average")
    return _mean(clips)


def quality(psnr_y: float, ssim_y: float) -> float:
    """One number in [0, 1] for the plateau detector and the panel; not a published metric.

    The mean of two halves: PSNR-Y between 20 and 45 dB mapped linearly to 0 … 1, and SSIM-Y, each clipped to [0, 1].
    +1 dB is +0.02, +0.01 SSIM is +0.005. Not a number in, 0 out: a broken validation is never a best one.
    """
    if math.isnan(psnr_y) or math.isnan(ssim_y):
        return 0.0
    low, high = QUALITY_PSNR_DB
    return 0.5 * _clip01((psnr_y - low) / (high - low)) + 0.5 * _clip01(ssim_y)


def _frame_figures(pred: NDArray[Any], gt: NDArray[Any], rgb: bool) -> dict[str, float]:
    pred_y, gt_y = to_y(pred), to_y(gt)
    figures = {"psnr_y": min(psnr(pred_y, gt_y), PSNR_CAP_DB), "ssim_y": ssim(pred_y, gt_y)}
    if rgb:
        figures |= {"psnr_rgb": min(psnr(pred, gt), PSNR_CAP_DB), "ssim_rgb": ssim(pred, gt)}
    return figures


def _mean(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {key: math.fsum(row[key] for row in rows) / len(rows) for key in rows[0]}


def _clip01(value: float) -> float:
    return min(1.0, max(0.0, value))
