"""The networks: built from a run config, described, and run over whole clips.

A network is a `Network`: its `forward` takes (N, T, 3, h, w) in [0, 1] to (N, T, 3, H, W), not clamped.
"""

from __future__ import annotations

from vsrpp.models.cost import StepCost, step_cost
from vsrpp.models.inference import Bounds, Chunk, chunk_plan, upscale_chunks, upscale_frames, upscale_stream
from vsrpp.models.network import Network
from vsrpp.models.pretrained import load_pretrained
from vsrpp.models.registry import build, describe, differing_keys, exact, names

__all__ = [
    "Bounds",
    "Chunk",
    "Network",
    "StepCost",
    "build",
    "chunk_plan",
    "describe",
    "differing_keys",
    "exact",
    "load_pretrained",
    "names",
    "step_cost",
    "upscale_chunks",
    "upscale_frames",
    "upscale_stream",
]
