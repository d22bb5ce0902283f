"""The networks: building one from a run config, describing it, loading weights, and estimating the cost of a step.

The `forward` of a `Network` maps (N, T, 3, h, w) in [0, 1] to (N, T, 3, H, W), not clamped.
"""

from __future__ import annotations

from vsrpp.models.cost import StepCost, step_cost
from vsrpp.models.network import Network
from vsrpp.models.pretrained import Loaded, load_pretrained
from vsrpp.models.registry import build, describe, differing_keys, exact, names

__all__ = [
    "Loaded",
    "Network",
    "StepCost",
    "build",
    "describe",
    "differing_keys",
    "exact",
    "load_pretrained",
    "names",
    "step_cost",
]
