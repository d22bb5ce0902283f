"""Provides the batches of this rank, starting at any step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vsrpp.data import Data
from vsrpp.data.loader import Batches
from vsrpp.distributed.process_group import ProcessGroup, shared_out
from vsrpp.training.state import TrainingState
from vsrpp.training.throughput import Throughput

Batch = tuple[Tensor, Tensor]
"""LR frames (N, T, 3, h, w) and ground truth (N, T, 3, scale*h, scale*w), float32 in [0, 1], on the device."""


class BatchFeed:
    """Returns the batch of the next step; restarts the loader when the run has moved to another step."""

    def __init__(
        self, run_config: dict[str, Any], data: Data, device: torch.device, group: ProcessGroup, state: TrainingState,
        throughput: Throughput,
    ) -> None:  # fmt: skip
        self._config = run_config
        self._data = data
        self._device = device
        self._group = group
        self._state = state
        self._throughput = throughput
        self._batches: Batches | None = None

    def next(self) -> Batch:
        """This rank's share of the next step's batch. Raises VsrppError if the data cannot be read."""
        if self._batches is None or self._batches.step != self._state.step:
            self.drop()
            self._batches = Batches(
                self._data.train, shared_out(int(self._config["batch_size"]), self._group.world_size),
                self._state.step, int(self._config["num_workers"]), rank=self._group.rank,
                world_size=self._group.world_size, pin_memory=self._device.type == "cuda",
            )  # fmt: skip
        with self._throughput.doing("data_wait"):
            lr_frames, truth = next(self._batches)
        return lr_frames.to(self._device, non_blocking=True), truth.to(self._device, non_blocking=True)

    def drop(self) -> None:
        """Discard prefetched batches and stop the workers."""
        if self._batches is not None:
            self._batches.close()
            self._batches = None
