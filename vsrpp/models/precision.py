"""The numeric precision a network runs in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from vsrpp.models.tracing import tracing

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context for a forward pass in `precision`: fp32 (autocast off), bf16 or fp16."""
    return torch.autocast(device.type, _DTYPES.get(precision, torch.bfloat16), enabled=precision in _DTYPES)


@contextlib.contextmanager
def full(device: torch.device) -> Iterator[None]:
    """Within this, autocast is off. A traced graph has none anyway, and `torch.export` cannot store the switch."""
    if tracing():
        yield
        return
    with torch.autocast(device.type, enabled=False):
        yield
