"""SPyNet (Ranjan & Black, CVPR 2017): optical flow from a pyramid of small convolutions, and warping along it.

Keys and arithmetic match BasicSR's SpyNet, so that the published weights load by key and give the same flow.
Flow is (N, 2, h, w) in pixels, x first. Everything runs in fp32 regardless of autocast: bf16 coordinates are too coarse.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vsrpp.models.precision import full
from vsrpp.models.tracing import tracing

LEVELS = 6
CHANNELS = (8, 32, 64, 32, 16, 2)
KERNEL = 7
COARSEST = 2 ** (LEVELS - 1)
"""Both sides are resized to a multiple of this before the pyramid is built."""
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def flow_warp(pictures: Tensor, flow: Tensor, *, padding: str = "zeros") -> Tensor:
    """Warp (N, C, h, w): sample bilinearly at every pixel's position plus its flow (N, 2, h, w); fp32.

    `padding` applies outside the picture: "zeros", or "border" for the nearest pixel. The backward is not deterministic on
    CUDA.
    """
    height, width = pictures.shape[-2:]
    with full(pictures.device):
        rows = torch.arange(height, device=flow.device, dtype=torch.float32)
        columns = torch.arange(width, device=flow.device, dtype=torch.float32)
        x = (columns + flow[:, 0].float()) * (2.0 / _last(columns)) - 1.0
        y = (rows[:, None] + flow[:, 1].float()) * (2.0 / _last(rows)) - 1.0
        grid = torch.stack((x, y), dim=-1)
        return F.grid_sample(pictures.float(), grid, mode="bilinear", padding_mode=padding, align_corners=True)


def _last(positions: Tensor) -> Tensor | int:
    """The last of the positions 0, 1, …, but at least 1; in a traced graph as a tensor, because it depends on the size."""
    return positions[-1].clamp(min=1.0) if tracing() else max(len(positions) - 1, 1)


class FlowLevel(nn.Module):
    """Five 7×7 convolutions: (picture, other picture warped, current flow), 8 channels -> a correction of the flow."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for given, channels in itertools.pairwise(CHANNELS):
            layers += [nn.Conv2d(given, channels, KERNEL, padding=KERNEL // 2), nn.ReLU()]
        self.basic_module = nn.Sequential(*layers[:-1])

    def forward(self, known: Tensor) -> Tensor:
        flow: Tensor = self.basic_module(known)
        return flow


class SpyNet(nn.Module):
    """Flow from `reference` to `other`, both (N, 3, h, w) in [0, 1] -> (N, 2, h, w) in pixels; 1,440,300 parameters.

    `flow_warp(other, flow)` looks like `reference`.
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.basic_module = nn.ModuleList([FlowLevel() for _ in range(LEVELS)])
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))

    def forward(self, reference: Tensor, other: Tensor) -> Tensor:
        with full(reference.device):
            height, width = reference.shape[-2:]
            tall, wide = ((side + COARSEST - 1) // COARSEST * COARSEST for side in (height, width))
            flow = self._coarse_to_fine(*(_resized(picture.float(), tall, wide) for picture in (reference, other)))
            x, y = _resized(flow, height, width).split(1, dim=1)
            return torch.cat((x * (width / wide), y * (height / tall)), dim=1)

    def _coarse_to_fine(self, reference: Tensor, other: Tensor) -> Tensor:
        references, others = self._pyramid(reference), self._pyramid(other)
        clips, _, height, width = references[0].shape
        flow = reference.new_zeros(clips, 2, height, width)
        for number, level in enumerate(self.basic_module):
            if number:
                flow = F.interpolate(flow, scale_factor=2, mode="bilinear", align_corners=True) * 2.0
            warped = flow_warp(others[number], flow, padding="border")
            flow = level(torch.cat((references[number], warped, flow), dim=1)) + flow
        return flow

    def _pyramid(self, picture: Tensor) -> list[Tensor]:
        """The normalised picture at every level, smallest first."""
        levels = [(picture - self.mean) / self.std]
        for _ in range(LEVELS - 1):
            levels.append(F.avg_pool2d(levels[-1], 2))
        return levels[::-1]


def _resized(pictures: Tensor, height: int, width: int) -> Tensor:
    if not tracing() and pictures.shape[-2:] == (height, width):
        return pictures
    return F.interpolate(pictures, size=(height, width), mode="bilinear", align_corners=False)
