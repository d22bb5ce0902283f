"""A complete training state in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(slots=True)
class Snapshot:
    """A complete training state on the CPU, sharing no memory with the live one."""

    step: int
    live: dict[str, Any]
    model: dict[str, Tensor]
    model_ema: dict[str, Tensor]
    rest: dict[str, Any]
    """Optimizer, controller and random generators, as tensors and plain values, so that it loads with weights_only."""
