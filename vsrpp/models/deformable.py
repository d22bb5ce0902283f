"""Modulated deformable convolution (Zhu et al., CVPR 2019: DCNv2), 3×3, in plain torch.

On CUDA, torchvision's kernel computes it where torchvision can be imported and was built for this torch; it needs far less
memory. On a CPU it is always plain torch, so that the bits of a run do not depend on what else is installed. Both follow
torchvision's conventions, which those of mmcv equal.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from vsrpp.models.tracing import tracing

KERNEL = 3
TAPS = KERNEL**2


def deformable_conv(features: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, O, h, w): a padded 3×3 convolution, each tap of it read at an offset of its own and weighted.

    With G groups of channels: offset (N, G·9·2, h, w), in pixels, y before x; mask (N, G·9, h, w); weight (O, C, 3, 3).
    Bilinear between pixels, zero outside. The backward is not deterministic on CUDA.
    """
    kernel = torchvision_kernel(features.device) if features.is_cuda else None
    if kernel is not None:
        return kernel(features, offset, weight, bias, padding=KERNEL // 2, mask=mask)
    return _in_torch(features, offset, mask, weight, bias)


@functools.cache
def torchvision_kernel(device: torch.device) -> Callable[..., Tensor] | None:
    """torchvision's `deform_conv2d`, if it runs on this device. Built for another torch, its import raises RuntimeError."""
    try:
        kernel: Callable[..., Tensor] = importlib.import_module("torchvision.ops").deform_conv2d
        one, taps = torch.zeros(1, 1, 1, 1, device=device), torch.zeros(1, 1, KERNEL, KERNEL, device=device)
        kernel(one, one.expand(1, 2 * TAPS, 1, 1), taps, None, padding=KERNEL // 2, mask=one.expand(1, TAPS, 1, 1))
    except (ImportError, RuntimeError, AttributeError):
        return None
    return kernel


def _in_torch(features: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    groups = mask.shape[1] // TAPS
    height, width = features.shape[-2:]
    rows = torch.arange(height, device=offset.device, dtype=offset.dtype)
    columns = torch.arange(width, device=offset.device, dtype=offset.dtype)
    taps = torch.arange(TAPS, device=offset.device)
    down, right = (taps // KERNEL - KERNEL // 2, taps % KERNEL - KERNEL // 2)
    moved = offset.unflatten(1, (groups, TAPS, 2))
    y = moved[:, :, :, 0] + rows[:, None] + down[:, None, None]
    x = moved[:, :, :, 1] + columns + right[:, None, None]
    # grid_sample's coordinates without align_corners: they hold for a side of one pixel, too
    grid = torch.stack(((2 * x + 1) / _count(columns) - 1, (2 * y + 1) / _count(rows) - 1), dim=-1)
    read = F.grid_sample(
        features.unflatten(1, (groups, -1)).flatten(0, 1), grid.flatten(0, 1).flatten(1, 2),
        mode="bilinear", padding_mode="zeros", align_corners=False,
    )  # fmt: skip
    weighted = read.unflatten(0, (-1, groups)).unflatten(3, (TAPS, -1)) * mask.unflatten(1, (groups, 1, TAPS))
    return F.conv2d(weighted.flatten(1, 3).to(weight.dtype), weight.flatten(1)[:, :, None, None], bias)


def _count(positions: Tensor) -> Tensor | int:
    """How many positions 0, 1, … there are; in a traced graph as a tensor, because it depends on the size."""
    return positions[-1] + 1 if tracing() else len(positions)
