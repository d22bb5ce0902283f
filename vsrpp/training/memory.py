"""Out of memory: detect it, report how much there was, and suggest sizes that would fit."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from vsrpp import formats, models
from vsrpp.frame_schedule import most_frames

SIZES = ("batch_size", "num_frames", "crop_size")
SMALLEST = {"batch_size": 1, "num_frames": 2, "crop_size": 16}
_MARGIN = 1.1
"""An estimate below the amount that was not enough is too low by at least this factor."""


def scoring_bytes(run_config: Mapping[str, Any], frames: int, height: int, width: int) -> int:
    """What upscaling that many frames to height × width at once needs at least: the output, put together from its frames,
    and of a network that ships one hidden state per frame.
    """
    values = 2 * height * width * 3
    if run_config["network"] in models.names():
        values += (
            int(run_config["n_feats"]) * (height // int(run_config["scale"])) * (width // int(run_config["scale"]))
        )
    return (4 if run_config["precision"] == "fp32" else 2) * frames * values


def advice(run_config: Mapping[str, Any], device: torch.device, has_bytes: int, ranks: int = 1) -> str:
    """One line: the sizes that did not fit, the memory they need, and every single change that would fit.

    All figures are per process; `ranks` processes share the batch.

    The estimates are those of `models.step_cost`, raised if they are below the amount that was not enough.
    """
    run_config = {**run_config, "num_frames": most_frames(run_config), "num_frames_schedule": None}
    sizes = ", ".join(f"{key} {run_config[key]}" for key in SIZES)
    try:
        estimated = _needs(run_config, ranks)
        factor = max(1.0, _MARGIN * has_bytes / estimated)
        fitting = list(_that_fit(run_config, has_bytes / factor, ranks))
    except (MemoryError, RuntimeError):  # not even enough for the estimate
        return (
            f"out of memory on {device} with {sizes}. Halve one of them, or set accumulate or gradient_checkpointing."
        )
    needs, has = formats.size(factor * estimated), formats.size(has_bytes)
    problem = f"out of memory on {device} with {sizes}: a step takes about {needs} of {has}"
    if not fitting:
        return f"{problem}, and no single change makes it fit. Lower several of them, or n_feats and n_blocks."
    return f"{problem}. What would fit: {', '.join(f'{how} ({formats.size(factor * size)})' for how, size in fitting)}."


def _needs(run_config: Mapping[str, Any], ranks: int) -> int:
    share = max(1, int(run_config["batch_size"]) // ranks)
    parts = min(int(run_config.get("accumulate", 1)), share)
    return models.step_cost({**run_config, "batch_size": share, "accumulate": parts}).memory_bytes


def _that_fit(run_config: Mapping[str, Any], room: float, ranks: int) -> Iterator[tuple[str, int]]:
    """(`key=value`, bytes) of the smallest change of each kind that fits; changes that only cost time come first."""
    for key, values in _changes(run_config, ranks):
        for value in values:
            needs = _needs({**run_config, key: value}, ranks)
            if needs <= room:
                yield f"{key}={str(value).lower()}", needs
                break


def _changes(run_config: Mapping[str, Any], ranks: int) -> Iterator[tuple[str, list[Any]]]:
    if not run_config.get("gradient_checkpointing", False):
        yield "gradient_checkpointing", [True]
    batch, parts = int(run_config["batch_size"]), int(run_config.get("accumulate", 1))
    yield "accumulate", [more for more in range(parts + 1, batch + 1) if batch % more == 0]
    if run_config["device"] == "cuda" and run_config["precision"] == "fp32":
        yield "precision", ["bf16"]
    multiples = {"batch_size": math.lcm(parts, ranks), "num_frames": 1, "crop_size": int(run_config["scale"])}
    for key, step in multiples.items():
        yield key, list(_halves(int(run_config[key]), max(SMALLEST[key], step), step))


def _halves(size: int, smallest: int, step: int) -> Iterator[int]:
    while (size := size // 2 // step * step) >= smallest:
        yield size
