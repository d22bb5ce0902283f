"""The network's forward pass such that its backward averages the gradients over all ranks (torch's DDP)."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from vsrpp.distributed.process_group import ProcessGroup


class DdpModel:
    """Calls `model`; in a group through DDP around it, which `model` itself and its state dict know nothing of.

    DDP remembers which weights learn, so it is made anew whenever that changes (a flow network thaws). A gradient's sum
    over two ranks has the same bits in any order; over more it depends on the weight's place in its bucket, and DDP orders
    the buckets anew after its first step, so a resume would add up otherwise than the run it continues. With more than
    two ranks and `deterministic` it is therefore told to look for unused weights, which keeps the first order for good and
    costs one more small collective a step.
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
        """The model's output. In a group all ranks call it at the same step."""
        return self._module()(lr_frames)

    def no_sync(self) -> AbstractContextManager[Any]:
        """Inside, backward leaves this rank's gradient as it is: for all but the last of accumulated micro-batches."""
        module = self._module()
        return module.no_sync() if isinstance(module, DistributedDataParallel) else nullcontext()

    def close(self) -> None:
        """Let go of DDP while the process group is still there: it aborts the process if it outlives the group."""
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
