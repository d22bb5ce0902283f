"""Whether a network is being traced into a graph that must hold for frames of every size."""

from __future__ import annotations

import torch


def tracing() -> bool:
    """Whether `torch.export`, the ONNX exporter or `torch.jit.trace` records the operations. `torch.compile` does not count."""
    return torch.compiler.is_exporting() or torch.jit.is_tracing()
