"""A network as it is traced for export: with the input and output of the file, and in its precision."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from vsrpp.export.forms import ExportRequest
from vsrpp.models import flow_network_of


class Traceable(nn.Module):
    """A network with the input and output of the exported file, both fp32: clip to clip, or window to middle frame."""

    def __init__(self, network: nn.Module, request: ExportRequest) -> None:
        super().__init__()
        self.network = half(network) if request.fp16 else network
        self.request = request

    def forward(self, frames: Tensor) -> Tensor:
        if not self.request.windowed:
            clips: Tensor = self.network(frames)
            return clips.float()
        upscaled: Tensor = self.network(torch.stack(frames.split(3, dim=1), dim=1))
        return upscaled[:, self.request.middle].float()


class FixedLength(nn.Module):
    """A traced graph that refuses clips of another length, which it might otherwise answer wrongly. For TorchScript."""

    def __init__(self, traced: Any, request: ExportRequest) -> None:
        super().__init__()
        self.traced = traced
        self.length = 3 * request.frames if request.windowed else request.frames
        self.dims = 4 if request.windowed else 5

    def forward(self, frames: Tensor) -> Tensor:
        if frames.dim() != self.dims or frames.shape[1] != self.length:
            raise ValueError(f"frames refused: expected {self.dims} dimensions, the second of size {self.length}")
        upscaled: Tensor = self.traced(frames)
        return upscaled


def half(network: nn.Module) -> nn.Module:
    """A copy with fp16 weights, each layer casting its input to the type of its weights.

    The flow network stays fp32: fp16 coordinates are too coarse beyond a few hundred pixels.
    """
    converted = copy.deepcopy(network).half()
    flow = flow_network_of(converted)
    if flow is not None:
        flow.float()
    for layer in converted.modules():
        own = [parameter for parameter in layer.parameters(recurse=False) if parameter.dtype is torch.float16]
        if own:
            layer.register_forward_pre_hook(_to_half)
    return converted


def _to_half(_layer: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(value.half() if isinstance(value, Tensor) and value.is_floating_point() else value for value in given)
