"""Activity of each block, and consistency of the optimizer's direction: computed at `log_every` steps only."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

_MOMENTS = {"step", "exp_avg", "exp_avg_sq"}


class Activity:
    """Activity of named blocks, on a scale from 0 to above 2.0.

    A block's activity is the size of its contribution relative to its input: RMS(output − input) / RMS(input), or
    RMS(output) / RMS(input) if the shapes differ (for a block with several outputs, of the first one), averaged over
    the frames of one forward pass. 0: the block passes its input through. 1: it adds as much as it gets. Above 2: it
    overrides its input, which is rarely stable for long.
    """

    def __init__(self, blocks: dict[str, nn.Module]) -> None:
        self._blocks = blocks
        self._seen: dict[str, list[Tensor]] = {}

    @contextmanager
    def watching(self, on: bool) -> Iterator[None]:
        """Measure the forward passes inside if `on`; otherwise do nothing.

        `torch.compile` ignores hooks that are added later, so measured passes run uncompiled.
        """
        if not on:
            yield
            return
        self._seen = {name: [] for name in self._blocks}
        handles = [block.register_forward_hook(self._hook(name)) for name, block in self._blocks.items()]
        try:
            with _uncompiled():
                yield
        finally:
            for handle in handles:
                handle.remove()

    def values(self) -> dict[str, float]:
        """`activity/<block>` of the last measured pass."""
        names = [name for name, seen in self._seen.items() if seen]
        if not names:
            return {}
        means = torch.stack([torch.stack(self._seen[name]).mean() for name in names]).tolist()
        self._seen = {}
        return {f"activity/{name}": value for name, value in zip(names, means, strict=True)}

    def _hook(self, name: str):  # type: ignore[no-untyped-def]
        def measure(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor | tuple[Tensor, ...]) -> None:
            main = output[0] if isinstance(output, (tuple, list)) else output
            if not (inputs and isinstance(inputs[0], Tensor) and isinstance(main, Tensor)):
                return  # other people's block, called by keyword or with something else
            with torch.no_grad():
                block_input, block_output = inputs[0].detach().float(), main.detach().float()
                added = block_output - block_input if block_output.shape == block_input.shape else block_output
                self._seen[name].append(
                    added.square().mean().sqrt() / block_input.square().mean().sqrt().clamp_min(1e-12)
                )

        return measure


def _uncompiled() -> AbstractContextManager[Any]:
    """Runs compiled networks eagerly inside; no cost if this process compiled nothing."""
    if "torch._dynamo.eval_frame" not in sys.modules:
        return nullcontext()
    return torch.compiler.set_stance("force_eager")


def adam_momentum(optimizer: torch.optim.Optimizer) -> float:
    """Mean of |m̂| / √v̂ over all weights, in [0, 1]: 1 if every gradient points the same way step after step.

    m̂ and v̂ are Adam's bias-corrected moments (arXiv:1412.6980), which every built-in optimizer keeps. NaN before the
    first step, and for an optimizer without them.
    """
    total, count = None, 0
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            state = optimizer.state.get(parameter)
            if not state or not state.keys() >= _MOMENTS or "betas" not in group:
                continue
            beta1, beta2 = group["betas"]
            steps = float(state["step"])
            mean = state["exp_avg"].abs() / (1 - beta1**steps)
            spread = (state["exp_avg_sq"] / (1 - beta2**steps)).sqrt_().add_(1e-12)
            part = (mean / spread).sum()
            total = part if total is None else total + part
            count += parameter.numel()
    return float(total) / count if total is not None else math.nan
