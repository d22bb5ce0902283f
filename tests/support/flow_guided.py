"""What tests of BasicVSR and BasicVSR++ share: weights by a formula, a moving clip, mmedit's names, and a slow convolution."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

TAPS = 9


def set_by_formula(model: nn.Module) -> None:
    """Weights that need no generator: those of the references."""
    with torch.no_grad():
        for number, (_, weight) in enumerate(sorted(model.named_parameters())):
            gain = 1.6 / weight[0].numel() ** 0.5 if weight.ndim > 1 else 0.05
            wave = torch.sin(torch.arange(weight.numel(), dtype=torch.float64) * 12.9898 + number)
            weight.copy_((wave * gain).float().view(weight.shape))


def moving_clip(frames: int = 4, height: int = 70, width: int = 90) -> Tensor:
    """(1, T, 3, h, w): waves that move by two pixels a frame; both sides no multiple of 32."""
    y, x = torch.arange(height)[:, None], torch.arange(width)[None]
    return torch.stack(
        [
            torch.stack(
                [
                    0.5 + 0.4 * torch.sin(0.3 * (x - 2 * i) + 0.2 * y + c) * torch.cos(0.11 * y + 0.05 * i)
                    for c in range(3)
                ]
            )
            for i in range(frames)
        ]
    )[None].float()


def mmedit_key(key: str) -> str:
    """The name of a weight in mmedit's files."""
    key = key.replace("_trunk.", "_resblocks.")
    for number in (1, 2):
        key = key.replace(f"upconv{number}.", f"upsample{number}.upsample_conv.")
    parts = key.split(".")
    if "basic_module" in parts:
        parts[-2] = f"{int(parts[-2]) // 2}.conv"
    return ".".join(parts)


def deformable_by_definition(features: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A modulated deformable convolution, 3×3 with padding 1, by its definition: a loop over every read, in float64."""
    clips, channels, height, width = features.shape
    groups = mask.shape[1] // TAPS
    columns = torch.zeros(clips, channels, TAPS, height, width, dtype=torch.float64)
    planes, moves, masks = features.double().tolist(), offset.double().tolist(), mask.double().tolist()
    for clip, group, tap in itertools.product(range(clips), range(groups), range(TAPS)):
        place = group * TAPS + tap
        downs, rights, shares = moves[clip][2 * place], moves[clip][2 * place + 1], masks[clip][place]
        for channel in range(group * channels // groups, (group + 1) * channels // groups):
            plane = planes[clip][channel]
            columns[clip, channel, tap] = torch.tensor(
                [
                    [
                        shares[i][j] * _between(plane, i + tap // 3 - 1 + downs[i][j], j + tap % 3 - 1 + rights[i][j])
                        for j in range(width)
                    ]
                    for i in range(height)
                ],
                dtype=torch.float64,
            )
    kernel = weight.double().flatten(2)
    return torch.einsum("nckhw,ock->nohw", columns, kernel) + bias.double()[:, None, None]


def _between(plane: list[list[float]], y: float, x: float) -> float:
    """Bilinear between four pixels; those outside are zero."""
    top, left = math.floor(y), math.floor(x)
    total = 0.0
    for i, j in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
        if 0 <= i < len(plane) and 0 <= j < len(plane[0]):
            total += plane[i][j] * (1 - abs(y - i)) * (1 - abs(x - j))
    return total
