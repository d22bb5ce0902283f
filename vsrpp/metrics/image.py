"""PSNR and SSIM of a pair of frames, as the field reports them (no border crop; Y in BT.601 studio range)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatImage = NDArray[np.float64]
Image = NDArray[Any]

_C1 = (0.01 * 255) ** 2
_C2 = (0.03 * 255) ** 2
_RADIUS = 5
_TAPS = np.exp(-(np.arange(-_RADIUS, _RADIUS + 1) ** 2) / (2 * 1.5**2))
_TAPS = _TAPS / _TAPS.sum()
SSIM_MIN_SIZE = 2 * _RADIUS + 1
"""Smallest height and width SSIM is defined for: its window is 11x11, and only complete windows are used."""


def to_y(rgb: Image) -> FloatImage:
    """(…, 3) RGB in [0, 255] -> (…) luma in BT.601 studio range, 16 to 235, not rounded (MATLAB's rgb2ycbcr on floats)."""
    luma = rgb[..., 0] * (65.481 / 255)
    luma += rgb[..., 1] * (128.553 / 255)
    luma += rgb[..., 2] * (24.966 / 255)
    luma += 16.0
    return np.asarray(luma)


def psnr(a: Image, b: Image) -> float:
    """Peak signal-to-noise ratio of two images in [0, 255], in dB; +inf if identical. Raises ValueError if shapes differ."""
    _same_shape(a, b)
    difference = np.subtract(a, b, dtype=np.float64)
    mean_square = float(np.mean(np.square(difference, out=difference)))
    return float("inf") if mean_square == 0 else 10.0 * float(np.log10(255.0**2 / mean_square))


def ssim(a: Image, b: Image) -> float:
    """Structural similarity of two (H, W) or (H, W, C) images in [0, 255]: 11x11 Gaussian, sigma 1.5, valid region.

    Wang et al. 2004 with K1 = 0.01, K2 = 0.03; channels are averaged. Raises ValueError if shapes differ or are below 11x11.
    """
    _same_shape(a, b)
    if a.ndim == 3:
        return float(np.mean([ssim(a[..., channel], b[..., channel]) for channel in range(a.shape[2])]))
    if min(a.shape) < SSIM_MIN_SIZE:
        raise ValueError(f"SSIM needs {SSIM_MIN_SIZE}x{SSIM_MIN_SIZE} pixels, not {a.shape[1]}x{a.shape[0]}")
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    mean_a, mean_b, square, product = (_blur(image) for image in (a, b, a * a + b * b, a * b))
    mean_product = mean_a * mean_b
    mean_square = mean_a * mean_a + mean_b * mean_b
    covariance = product - mean_product
    variances = square - mean_square
    return float(np.mean((2 * mean_product + _C1) * (2 * covariance + _C2) / ((mean_square + _C1) * (variances + _C2))))


def psnr_y(a_rgb: Image, b_rgb: Image) -> float:
    """PSNR of the luma of two (H, W, 3) uint8 frames, in dB."""
    return psnr(to_y(a_rgb), to_y(b_rgb))


def ssim_y(a_rgb: Image, b_rgb: Image) -> float:
    """SSIM of the luma of two (H, W, 3) uint8 frames."""
    return ssim(to_y(a_rgb), to_y(b_rgb))


def psnr_rgb(a_rgb: Image, b_rgb: Image) -> float:
    """PSNR over the three channels of two (H, W, 3) uint8 frames together, in dB."""
    return psnr(a_rgb, b_rgb)


def ssim_rgb(a_rgb: Image, b_rgb: Image) -> float:
    """Mean SSIM of the three channels of two (H, W, 3) uint8 frames."""
    return ssim(a_rgb, b_rgb)


def _blur(image: FloatImage) -> FloatImage:
    return _blur_rows(_blur_rows(image).T).T


def _blur_rows(image: FloatImage) -> FloatImage:
    """Gaussian along the first axis, complete windows only; the taps are symmetric, so pairs share a product."""
    rows = image.shape[0] - 2 * _RADIUS
    out = image[_RADIUS : _RADIUS + rows] * _TAPS[_RADIUS]
    pair = np.empty_like(out)
    for offset in range(_RADIUS):
        np.add(image[offset : offset + rows], image[2 * _RADIUS - offset : 2 * _RADIUS - offset + rows], out=pair)
        pair *= _TAPS[offset]
        out += pair
    return out


def _same_shape(a: Image, b: Image) -> None:
    if a.shape != b.shape:
        raise ValueError(f"images must have the same shape, not {a.shape} and {b.shape}")
