"""What the trainer and the faces ask of a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn


class Network(nn.Module, ABC):
    """A video super-resolution network."""

    exact: bool = False
    """Whether every operation has a deterministic backward on CUDA, so that a run replays bit for bit."""

    scale: int
    """Output pixels per input pixel, along each axis."""

    @abstractmethod
    def forward(self, lr: Tensor) -> Tensor:
        """(N, T, 3, h, w) in [0, 1] -> (N, T, 3, scale·h, scale·w), not clamped."""

    def flow_network(self) -> nn.Module | None:
        """The part that finds optical flow, trained at a rate of its own; None without one."""
        return None

    @abstractmethod
    def blocks(self) -> dict[str, nn.Module]:
        """The blocks whose activity is watched, in order, named `<stream>.<number>`: backward.0 …, fusion.2."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What `describe` tells of this network, `flops_per_lr_pixel` among it."""
