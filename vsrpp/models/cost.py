"""What training a network costs: parameters, memory and arithmetic of one step, known before the first one.

Forward passes of very shallow networks over a very small clip are watched. What they take grows in proportion to pixels
and batch, and by the same amount with every further frame and every further block, so the figures of the real size follow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vsrpp.models import registry
from vsrpp.models.network import Network
from vsrpp.models.spynet import COARSEST

_COPIES = 5
"""fp32 tensors per weight: the weight, its gradient, its EMA, AdamW's two moments."""
_SIDE = 8
"""Of the small clip; a network with flow stretches to a multiple of SPyNet's coarsest level, so it takes that."""
_PASSES = 3
"""The backward pass of a convolution is two of the size of the forward one."""


@dataclass(frozen=True, slots=True)
class StepCost:
    """Of one process and one optimizer step."""

    parameters: int
    flops: float
    """Forward and backward, 2 per multiply-add of a convolution; everything else counts nothing."""
    memory_bytes: int
    """Weights, gradients, EMA and moments, and what the forward pass keeps for the backward one. Not in it: the
    workspace of convolutions, fragmentation and the CUDA context, a GiB or so on a GPU."""


def step_cost(run_config: Mapping[str, Any]) -> StepCost:
    """The cost of a training step of `run_config`: its network, crop, frames, batch (in its parts) and precision.

    What gradient checkpointing computes twice counts once. Draws nothing from torch's generators.
    """
    parameters, flops, kept = _of_size({**run_config, "gradient_checkpointing": False})
    if run_config.get("gradient_checkpointing", False):
        _, _, outside = _of_size(run_config)
        calls = 2 * int(run_config["num_frames"])
        kept = outside + (kept - outside) / calls + calls * _hidden_bytes(run_config)
    kept /= int(run_config.get("accumulate", 1))
    if run_config.get("precision", "fp32") != "fp32":
        kept /= 2
    return StepCost(int(parameters), _PASSES * flops, int(parameters * 4 * _COPIES + kept))


def _of_size(run_config: Mapping[str, Any]) -> tuple[float, float, float]:
    """(parameters, operations of a forward pass, bytes kept) of a whole batch of `run_config`."""
    shallow, deeper = (_of_depth(run_config, blocks) for blocks in (1, 2))
    parameters, flops, kept = (
        _line(one, two, int(run_config["n_blocks"])) for one, two in zip(shallow, deeper, strict=True)
    )
    return parameters, flops, kept


def _hidden_bytes(run_config: Mapping[str, Any]) -> float:
    """What a trunk hands from one frame to the next."""
    side = int(run_config["crop_size"]) // int(run_config["scale"])
    return 4.0 * int(run_config["batch_size"]) * int(run_config["n_feats"]) * side**2


def _of_depth(run_config: Mapping[str, Any], n_blocks: int) -> tuple[int, float, float]:
    """(parameters, operations of a forward pass, bytes kept) at the sizes of `run_config`, with so many blocks."""
    with torch.random.fork_rng(devices=[]):
        model = registry.build({**run_config, "n_blocks": n_blocks})
    small = COARSEST if model.flow_network() is not None else _SIDE
    two, three = (_forward(model, torch.zeros(1, frames, 3, small, small)) for frames in (2, 3))
    side = int(run_config["crop_size"]) // int(run_config["scale"])
    times = int(run_config["batch_size"]) * (side / small) ** 2
    flops, kept = (times * _line(a, b, int(run_config["num_frames"]) - 1) for a, b in zip(two, three, strict=True))
    return sum(parameter.numel() for parameter in model.parameters()), flops, kept


def _line(first: float, second: float, number: int) -> float:
    """The value at `number` of the straight line through `first` at 1 and `second` at 2."""
    return first + (second - first) * (number - 1)


def _forward(model: Network, lr: Tensor) -> tuple[float, float]:
    """(floating-point operations, bytes kept for the backward pass beside the weights) of one forward pass."""
    weights = {parameter.data_ptr() for parameter in model.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        pointer = tensor.untyped_storage().data_ptr()
        if pointer not in weights:
            kept[pointer] = tensor  # held, so that no other tensor comes to lie there
        return tensor

    with (
        _one_thread(),
        _counting(model) as flops,
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        output = model(lr)
    size = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    del output
    return float(sum(flops)), float(size)


@contextmanager
def _one_thread() -> Iterator[None]:
    """On so few pixels threads wait for each other longer than they work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _counting(model: Network) -> Iterator[list[int]]:
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
