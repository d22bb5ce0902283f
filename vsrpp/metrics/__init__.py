"""Image quality metrics in the field's conventions; the tests compare them with reference values."""

from __future__ import annotations

from vsrpp.metrics.clip import PSNR_CAP_DB, evaluate_frames, mean_over_clips, quality
from vsrpp.metrics.image import SSIM_MIN_SIZE, psnr, psnr_rgb, psnr_y, ssim, ssim_rgb, ssim_y, to_y
from vsrpp.metrics.running import ClipScorer, FramePair, FrameTable
from vsrpp.metrics.temporal import ProfileLines, temporal_difference_y, temporal_profile

__all__ = [
    "PSNR_CAP_DB",
    "SSIM_MIN_SIZE",
    "ClipScorer",
    "FramePair",
    "FrameTable",
    "ProfileLines",
    "evaluate_frames",
    "mean_over_clips",
    "psnr",
    "psnr_rgb",
    "psnr_y",
    "quality",
    "ssim",
    "ssim_rgb",
    "ssim_y",
    "temporal_difference_y",
    "temporal_profile",
    "to_y",
]
