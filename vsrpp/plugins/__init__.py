"""What other people's code imports to become part of a run: decorators, `Parameter`, and the base classes.

A plug-in is a Python file or module that marks what it provides. `docs/extending.md` is the guide. Importing this module
imports neither torch nor anything else of VSR++; `Network`, `Detector`, `Observation` and `ClipRecord` are imported when
asked for.
"""

from __future__ import annotations

import importlib
from typing import Any

from vsrpp.plugins.declare import (
    Declaration,
    Parameter,
    degradation,
    detector,
    loss_term,
    metric,
    network,
    optimizer,
    reader,
    schedule,
)

__all__ = [
    "ClipRecord",
    "Declaration",
    "Detector",
    "Network",
    "Observation",
    "Parameter",
    "degradation",
    "detector",
    "loss_term",
    "metric",
    "network",
    "optimizer",
    "reader",
    "schedule",
]

_BASES = {
    "ClipRecord": "data.readers", "Detector": "controller.detector", "Network": "models.network",
    "Observation": "controller.detector",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _BASES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    package = __name__.rpartition(".")[0]
    try:
        return getattr(importlib.import_module(f"{package}.{_BASES[name]}"), name)
    except ModuleNotFoundError:  # a logged model carries neither detectors nor readers
        return type(name, (), {})
