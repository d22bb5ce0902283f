"""The interface of a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
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
    """Whether `recurrent` keeps only its inputs and recomputes the rest in the backward pass."""

    @abstractmethod
    def forward(self, lr: Tensor) -> Tensor:
        """(N, T, 3, h, w) in [0, 1] -> (N, T, 3, scale·h, scale·w), not clamped."""

    def recurrent(self, trunk: Callable[..., Tensor], *known: Tensor) -> Tensor:
        """Call a trunk, or a function around it, for one frame, with gradient checkpointing if it is on.

        The result is bit-identical either way.
        """
        if not (self.gradient_checkpointing and torch.is_grad_enabled()):
            hidden: Tensor = trunk(*known)
            return hidden
        again: Tensor = checkpoint(trunk, *known, use_reentrant=False, preserve_rng_state=False)  # nothing is drawn
        return again

    def trunks(self) -> list[nn.Module]:
        """The modules that run once per frame and take most of the time; `torch.compile` is applied to them."""
        return []

    def recurrences(self) -> dict[str, nn.Module]:
        """The modules that return the hidden state, called once per frame, by direction.

        Those named `backward…` run from the last frame. Validation measures them. {} for a network without a recurrence.
        """
        return {}

    def flow_network(self) -> nn.Module | None:
        """The part that estimates optical flow and trains at its own rate; None if the network has none."""
        return None

    @abstractmethod
    def blocks(self) -> dict[str, nn.Module]:
        """The blocks whose activity is monitored, in order, named `<stream>.<number>`: backward.0 …, fusion.2."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Facts about this network for `describe`, including `flops_per_lr_pixel`."""
