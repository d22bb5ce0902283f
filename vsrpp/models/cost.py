"""Estimates parameters, memory and arithmetic of a training step before the first one.

Measures forward passes of very shallow networks on a very small clip and extrapolates: cost is proportional to pixels and
batch, and grows linearly with the number of frames and blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vsrpp.frame_schedule import most_frames
from vsrpp.models import registry
from vsrpp.models.foreign import flow_network_of
from vsrpp.models.spynet import COARSEST

_COPIES = 5
"""fp32 tensors per weight: the weight, its gradient, its EMA, the optimizer's two moments."""
_SIDE = 8
"""Side of the small clip in pixels. A network with flow resizes to a multiple of SPyNet's coarsest level, so it gets that."""
_PASSES = 3
"""The backward pass of a convolution costs two forward passes."""


@dataclass(frozen=True, slots=True)
class StepCost:
    """The cost of one optimizer step in one process."""

    parameters: int
    flops: float
    """Forward and backward, 2 per multiply-add of a convolution; other operations are not counted."""
    memory_bytes: int
    """Weights, gradients, EMA, moments, and what the forward pass keeps for the backward pass. Excludes convolution
    workspaces, fragmentation and the CUDA context, about a GiB on a GPU."""


def step_cost(run_config: Mapping[str, Any]) -> StepCost:
    """The cost of a training step with the network, crop, frames, batch (split by `accumulate`) and precision given.

    Operations that gradient checkpointing repeats are counted once. Does not advance torch's generators.
    """
    if run_config["network"] not in registry.names():
        return _of_foreign(run_config)
    parameters, flops, kept = _of_size({**run_config, "gradient_checkpointing": False})
    if run_config.get("gradient_checkpointing", False):
        _, _, outside = _of_size(run_config)
        with torch.random.fork_rng(devices=[]):
            branches = len(registry.build({**run_config, "n_blocks": 1}).recurrences())
        calls = branches * most_frames(run_config)
        kept = outside + (kept - outside) / calls + calls * _hidden_bytes(run_config)
    kept /= int(run_config.get("accumulate", 1))
    if run_config.get("precision", "fp32") != "fp32":
        kept /= 2
    return StepCost(int(parameters), _PASSES * flops, int(parameters * 4 * _COPIES + kept))


def _of_foreign(run_config: Mapping[str, Any]) -> StepCost:
    """The cost with a plug-in's network, which is run once on one window of the run's own size.

    Its operations are counted by torch (convolutions, matrix products, attention: 2 per multiply-add).
    """
    from torch.utils.flop_counter import FlopCounterMode

    with torch.random.fork_rng(devices=[]):
        model = registry.build(run_config)
        side, frames = int(run_config["crop_size"]) // int(run_config["scale"]), most_frames(run_config)
        counter = FlopCounterMode(display=False)
        with counter:
            _, kept = _forward(model, torch.zeros(1, frames, 3, side, side), threads=torch.get_num_threads())
    parameters, batch = sum(parameter.numel() for parameter in model.parameters()), int(run_config["batch_size"])
    kept *= batch / int(run_config.get("accumulate", 1)) / (1 if run_config.get("precision", "fp32") == "fp32" else 2)
    return StepCost(
        parameters, _PASSES * batch * float(counter.get_total_flops()), int(parameters * 4 * _COPIES + kept)
    )


def _of_size(run_config: Mapping[str, Any]) -> tuple[float, float, float]:
    """(parameters, operations of a forward pass, bytes kept) for a whole batch of `run_config`."""
    shallow, deeper = (_of_depth(run_config, blocks) for blocks in (1, 2))
    parameters, flops, kept = (
        _line(one, two, int(run_config["n_blocks"])) for one, two in zip(shallow, deeper, strict=True)
    )
    return parameters, flops, kept


def _hidden_bytes(run_config: Mapping[str, Any]) -> float:
    """Bytes of the hidden state that a trunk passes from one frame to the next."""
    side = int(run_config["crop_size"]) // int(run_config["scale"])
    return 4.0 * int(run_config["batch_size"]) * int(run_config["n_feats"]) * side**2


def _of_depth(run_config: Mapping[str, Any], n_blocks: int) -> tuple[int, float, float]:
    """(parameters, operations of a forward pass, bytes kept) for `run_config` with `n_blocks` blocks."""
    with torch.random.fork_rng(devices=[]):
        model = registry.build({**run_config, "n_blocks": n_blocks})
    small = COARSEST if flow_network_of(model) is not None else _SIDE
    two, three = (_forward(model, torch.zeros(1, frames, 3, small, small)) for frames in (2, 3))
    side = int(run_config["crop_size"]) // int(run_config["scale"])
    times = int(run_config["batch_size"]) * (side / small) ** 2
    flops, kept = (times * _line(a, b, most_frames(run_config) - 1) for a, b in zip(two, three, strict=True))
    return sum(parameter.numel() for parameter in model.parameters()), flops, kept


def _line(first: float, second: float, number: int) -> float:
    """The value at `number` of the straight line through `first` at 1 and `second` at 2."""
    return first + (second - first) * (number - 1)


def _forward(model: nn.Module, lr: Tensor, threads: int = 1) -> tuple[float, float]:
    """(floating-point operations, bytes kept for the backward pass beside the weights) of one forward pass."""
    weights = {parameter.data_ptr() for parameter in model.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        pointer = tensor.untyped_storage().data_ptr()
        if pointer not in weights:
            kept[pointer] = tensor  # kept alive, so that its address is not reused
        return tensor

    with (
        _threads(threads),
        _counting(model) as flops,
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        output = model(lr)
    size = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    del output
    return float(sum(flops)), float(size)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Use this many threads; with few pixels, synchronising more than one would cost more than the work."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _counting(model: nn.Module) -> Iterator[list[int]]:
    flops: list[int] = []

    def count(module: nn.Module, _given: Any, output: Tensor) -> None:
        assert isinstance(module, nn.Conv2d)
        flops.append(2 * module.weight.numel() * output.shape[0] * output.shape[-2] * output.shape[-1])

    handles = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, nn.Conv2d)]
    try:
        yield flops
    finally:
        for handle in handles:
            handle.remove()
