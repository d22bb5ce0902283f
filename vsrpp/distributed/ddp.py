"""Averages gradients over all ranks with torch's DDP."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from vsrpp.distributed.process_group import ProcessGroup


class DdpModel:
    """Calls `model`, in a group through a DDP wrapper, without changing `model` or its state dict.

    DDP records which weights are trained, so it is rebuilt whenever that changes (a flow network is unfrozen). The sum of
    a gradient over two ranks is bit-identical in any order. Over more ranks it depends on the weight's place in its bucket,
    and DDP reorders the buckets after its first step, so that a resumed run would sum in another order than the original.
    With more than two ranks and `deterministic`, DDP is therefore told to look for unused weights, which keeps the initial
    order and costs one more small collective per step.
    """

    def __init__(self, model: nn.Module, group: ProcessGroup, device: torch.device, *, deterministic: bool) -> None:
        self._model = model
        self._group = group
        self._device = device
        self._keep_order = deterministic and group.world_size > 2
        self._wrapped: DistributedDataParallel | None = None
        self._learning: list[bool] = []
        if self._keep_order:
            warnings.filterwarnings("ignore", message=".*find_unused_parameters=True was specified.*")

    def __call__(self, lr_frames: Tensor) -> Any:
        """The model's output. In a group, all ranks must call it at the same step."""
        return self._module()(lr_frames)

    def no_sync(self) -> AbstractContextManager[Any]:
        """A context in which backward does not average gradients: for all but the last of accumulated micro-batches."""
        module = self._module()
        return module.no_sync() if isinstance(module, DistributedDataParallel) else nullcontext()

    def close(self) -> None:
        """Release DDP. Must come before the process group is destroyed; DDP aborts the process if it outlives its group."""
        self._wrapped = None

    def _module(self) -> nn.Module:
        if not self._group.joined:
            return self._model
        learning = [parameter.requires_grad for parameter in self._model.parameters()]
        if self._wrapped is None or learning != self._learning:
            self._learning = learning
            self._wrapped = DistributedDataParallel(
                self._model, device_ids=[self._device] if self._device.type == "cuda" else None,
                forward_sync_buffers=False, find_unused_parameters=self._keep_order,
            )  # fmt: skip
        return self._wrapped
