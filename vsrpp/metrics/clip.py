"""Metrics of whole clips: the mean over frames, then over clips. Errors are never pooled before taking the PSNR: on a real
clip the pooled PSNR was 23.57 dB where the mean over frames is 28.47 dB.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrpp.metrics.image import psnr, ssim, to_y

PSNR_CAP_DB = 100.0
"""The PSNR of identical frames in a mean, instead of infinity, which neither a mean nor JSON can represent."""

QUALITY_PSNR_DB = (20.0, 45.0)
"""PSNR-Y at which the PSNR half of `quality` is 0 and 1."""


def evaluate_frames(pred: NDArray[Any], gt: NDArray[Any], *, rgb: bool = True) -> dict[str, float]:
    """Mean psnr_y and ssim_y of a clip, and psnr_rgb and ssim_rgb unless rgb=False, which saves three channels of SSIM.

    pred, gt: (T, H, W, 3) uint8. Every value is finite, because a frame's PSNR is capped at PSNR_CAP_DB.
    Raises ValueError for other shapes or types, no frames, or frames smaller than 11x11.
    """
    for name, frames in (("pred", pred), ("gt", gt)):
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or len(frames) == 0:
            raise ValueError(f"{name} must be (T, H, W, 3) uint8 with T >= 1, not {frames.shape} {frames.dtype}")
    if pred.shape != gt.shape:
        raise ValueError(f"pred and gt must have the same shape, not {pred.shape} and {gt.shape}")
    return _mean(
        [frame_figures(ours, truth, (to_y(ours), to_y(truth)), rgb) for ours, truth in zip(pred, gt, strict=True)]
    )


def frame_figures(
    pred: NDArray[Any], gt: NDArray[Any], lumas: tuple[NDArray[Any], NDArray[Any]], rgb: bool
) -> dict[str, float]:
    """psnr_y and ssim_y of a frame, and with rgb psnr_rgb and ssim_rgb. lumas: `to_y` of pred and gt."""
    figures = {"psnr_y": min(psnr(*lumas), PSNR_CAP_DB), "ssim_y": ssim(*lumas)}
    if rgb:
        figures |= {"psnr_rgb": min(psnr(pred, gt), PSNR_CAP_DB), "ssim_rgb": ssim(pred, gt)}
    return figures


def mean_over_clips(clips: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean of per-clip metrics; each clip has equal weight, whatever its length. Raises ValueError for no clips."""
    if not clips:
        raise ValueError("no clips to average")
    return _mean(clips)


def quality(psnr_y: float, ssim_y: float) -> float:
    """One number in [0, 1] for the plateau detector and the panel; not a published metric.

    The mean of PSNR-Y, mapped linearly from 20 … 45 dB to 0 … 1, and SSIM-Y, each clipped to [0, 1]. +1 dB gives +0.02,
    +0.01 SSIM gives +0.005. NaN gives 0, so that a broken validation is never the best.
    """
    if math.isnan(psnr_y) or math.isnan(ssim_y):
        return 0.0
    low, high = QUALITY_PSNR_DB
    return 0.5 * _clip01((psnr_y - low) / (high - low)) + 0.5 * _clip01(ssim_y)


def _mean(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {key: math.fsum(row[key] for row in rows) / len(rows) for key in rows[0]}


def _clip01(value: float) -> float:
    return min(1.0, max(0.0, value))
