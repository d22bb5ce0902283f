"""Loss terms: (M, 3, H, W) fp32 -> scalar.

Pooling and differences are linear, so each term takes the error, prediction minus ground truth, instead of both pictures.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

POOL_SIZES = (2, 4, 8)
CHARBONNIER_EPS = 1e-6


def l1(error: Tensor) -> Tensor:
    """Mean absolute error."""
    return error.abs().mean()


def charbonnier(error: Tensor) -> Tensor:
    """Mean of sqrt(error² + eps²): the absolute error, smooth at 0 (Charbonnier et al., ICIP 1994; eps as in BasicSR)."""
    return (error.square() + CHARBONNIER_EPS**2).sqrt().mean()


def multi_scale(error: Tensor) -> Tensor:
    """Mean over pool sizes 2, 4 and 8 of the L1 of the average-pooled error: colour and shading without fine detail.

    If a pool size does not divide the picture, cells at the border average fewer pixels. Pooling is used because, unlike
    interpolation, its backward is deterministic on CUDA.
    """
    pooled = (functional.avg_pool2d(error, size, ceil_mode=True, count_include_pad=False) for size in POOL_SIZES)
    return sum((level.abs().mean() for level in pooled), error.new_zeros(())) / len(POOL_SIZES)


def gradient(error: Tensor) -> Tensor:
    """Mean of the L1 of horizontal and of vertical differences between neighbouring pixels of the error: edges."""
    horizontal = error[..., 1:] - error[..., :-1]
    vertical = error[..., 1:, :] - error[..., :-1, :]
    return (horizontal.abs().mean() + vertical.abs().mean()) / 2
