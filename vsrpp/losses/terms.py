"""Loss terms over pictures in [0, 1], (M, 3, H, W) fp32 -> scalar.

Pooling and differences are linear, so each term takes the error, prediction minus ground truth, not both pictures.
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
    """Mean over ×2, ×4 and ×8 of the L1 between average-pooled pictures: colour and shading, blind to fine detail.

    Where a pool size does not divide the picture, the last cells are the mean of the pixels there are. Pooling, not
    interpolation: its backward is deterministic on CUDA.
    """
    pooled = (functional.avg_pool2d(error, size, ceil_mode=True, count_include_pad=False) for size in POOL_SIZES)
    return sum((level.abs().mean() for level in pooled), error.new_zeros(())) / len(POOL_SIZES)


def gradient(error: Tensor) -> Tensor:
    """Mean of the L1 between horizontal and the L1 between vertical differences of neighbouring pixels: edges."""
    horizontal = error[..., 1:] - error[..., :-1]
    vertical = error[..., 1:, :] - error[..., :-1, :]
    return (horizontal.abs().mean() + vertical.abs().mean()) / 2
