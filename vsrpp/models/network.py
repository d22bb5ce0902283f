"""What the trainer and the faces ask of a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class Network(nn.Module, ABC):
    """A video super-resolution network."""

    exact: bool = False
    """Whether every operation has a deterministic backward on CUDA, so that a run replays bit for bit."""

    scale: int
    """Output pixels per input pixel, along each axis."""

    gradient_checkpointing: bool = False
    """Whether `recurrent` keeps nothing but what goes in, and computes the rest again for the backward pass."""

    @abstractmethod
    def forward(self, lr: Tensor) -> Tensor:
        """(N, T, 3, h, w) in [0, 1] -> (N, T, 3, scale·h, scale·w), not clamped."""

    def recurrent(self, trunk: nn.Module, *known: Tensor) -> Tensor:
        """One call of a trunk for one frame: what a network calls its trunks through. The same bits either way."""
        if not (self.gradient_checkpointing and torch.is_grad_enabled()):
            hidden: Tensor = trunk(*known)
            return hidden
        again: Tensor = checkpoint(trunk, *known, use_reentrant=False, preserve_rng_state=False)  # nothing is drawn
        return again

    def trunks(self) -> list[nn.Module]:
        """What runs once a frame and takes most of the time: the parts that `torch.compile` is for."""
        return []

    def flow_network(self) -> nn.Module | None:
        """The part that finds optical flow, trained at a rate of its own; None without one."""
        return None

    @abstractmethod
    def blocks(self) -> dict[str, nn.Module]:
        """The blocks whose activity is watched, in order, named `<stream>.<number>`: backward.0 …, fusion.2."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What `describe` tells of this network, `flops_per_lr_pixel` among it."""
