"""The networks: building one from a run config, describing it, loading weights, and estimating the cost of a step.

The `forward` of a `Network` maps (N, T, 3, h, w) in [0, 1] to (N, T, 3, H, W), not clamped.
"""

from __future__ import annotations

from vsrpp.models.cost import StepCost, step_cost
from vsrpp.models.foreign import blocks_of, flow_network_of, recurrences_of
from vsrpp.models.network import Network
from vsrpp.models.pretrained import Loaded, load_pretrained
from vsrpp.models.registry import build, check, describe, differing_keys, exact, identity, names

__all__ = [
    "Loaded",
    "Network",
    "StepCost",
    "blocks_of",
    "build",
    "check",
    "describe",
    "differing_keys",
    "exact",
    "flow_network_of",
    "identity",
    "load_pretrained",
    "names",
    "recurrences_of",
    "step_cost",
]
