"""Metrics that plug-ins bring to validation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vsrpp.errors import VsrppError
from vsrpp.plugins import messages, registry

Metrics = Mapping[str, Callable[[Tensor, Tensor], Any]]
"""Name -> function of one frame: (prediction, truth), each (3, H, W) fp32 in [0, 1] -> a number."""


def of(run_config: Mapping[str, Any]) -> Metrics:
    """The metrics of the run's plug-ins, which are loaded; recorded as `val/<name>`."""
    return registry.all_of(run_config, "metric")


def of_frame(metrics: Metrics, frame: NDArray[np.uint8], truth: NDArray[np.uint8]) -> dict[str, float]:
    """Each metric of a frame, (H, W, 3) uint8. Raises VsrppError if one fails."""
    if not metrics:
        return {}
    pair = [torch.from_numpy(pixels).permute(2, 0, 1).float() / 255 for pixels in (frame, truth)]
    return {name: _value(name, metric, *pair) for name, metric in metrics.items()}


def check(run_config: Mapping[str, Any]) -> None:
    """Try each metric on one frame. Raises Refused, with file and line, if it does not fit."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(3, 64, 64, generator=generator)
    for name, metric in of(run_config).items():
        trial = registry.Trial.of(run_config, "metric", name)
        assert trial is not None
        try:
            value = _value(name, metric, (truth * 0.9).clone(), truth)
        except VsrppError as error:
            cause = error.__cause__
            why = f"it fails ({registry.cause_of(cause)})" if cause else "it gives no number"
            raise trial.refusal(why, cause) from error
        if not math.isfinite(value):
            raise trial.refusal(f"it gives {value} for frames that differ a little")


def _value(name: str, metric: Callable[[Tensor, Tensor], Any], pred: Tensor, truth: Tensor) -> float:
    try:
        with torch.no_grad():
            return float(metric(pred, truth))
    except Exception as error:
        raise messages.METRIC_FAILED(name=name, cause=registry.cause_of(error)) from error
