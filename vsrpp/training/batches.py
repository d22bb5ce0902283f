"""Provides the batches of this rank, starting at any step."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from vsrpp.data import Data
from vsrpp.data import messages as data_messages
from vsrpp.data.loader import Batches
from vsrpp.data.unreadable import BadFrames, Unreadable
from vsrpp.distributed.process_group import ProcessGroup, shared_out
from vsrpp.training import messages
from vsrpp.training.state import TrainingState
from vsrpp.training.throughput import Throughput

Batch = tuple[Tensor, Tensor]
"""LR frames (N, T, 3, h, w) and ground truth (N, T, 3, scale*h, scale*w), float32 in [0, 1], on the device."""

DEFAULT_LIMIT = 10
"""Unreadable frames that are tolerated, for runs older than `bad_samples`."""


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
        self.bad = BadFrames()
        """The frames on record as unreadable, the same on every rank between two boundaries."""
        self.met: list[Unreadable] = []
        """What this rank could not read although it was not on record, since the record last changed."""

    def next(self) -> Batch:
        """This rank's share of the next step's batch.

        Raises VsrppError if the data cannot be read, or if more frames are unreadable than `bad_samples` allows.
        """
        if self._batches is None or self._batches.step != self._state.step:
            self.drop()
            self._batches = Batches(
                self._data.train, shared_out(int(self._config["batch_size"]), self._group.world_size),
                self._state.step, int(self._config["num_workers"]), rank=self._group.rank,
                world_size=self._group.world_size, pin_memory=self._device.type == "cuda",
                bad=self.bad,
            )  # fmt: skip
        with self._throughput.doing("data_wait"):
            lr_frames, truth = next(self._batches)
        if self._batches.unreadable:
            self._note(self._batches.unreadable)
        return lr_frames.to(self._device, non_blocking=True), truth.to(self._device, non_blocking=True)

    def _note(self, unreadable: list[Unreadable]) -> None:
        """Keep for the record what could not be read, and tell rank 0. Raises VsrppError beyond the limit."""
        error = unreadable[0].error
        if self.bad.complete:
            raise messages.REPLAY_UNREADABLE(error=error)
        self.check_limit(len({*self.bad.by_place, *(one.place for one in (*self.met, *unreadable))}), error)
        self.met += unreadable
        if not self._group.is_rank_0:
            self._group.post(json.dumps([asdict(one) for one in unreadable]))

    def check_limit(self, count: int, error: str) -> None:
        """Raises VsrppError if so many frames are unreadable that the run may not go on; `error` is that of the newest."""
        limit = int(self._config.get("bad_samples", DEFAULT_LIMIT))
        if count > limit:
            raise data_messages.TOO_MANY_UNREADABLE(error=error, count=count, limit=limit)

    def now_bad(self, bad: BadFrames) -> None:
        """Use the frames on record as unreadable from the next step on."""
        self.drop()
        self.bad, self.met = bad, []

    def go_back(self, step: int) -> None:
        """Continue after `step`; frames on record as unreadable are so for all samples from there on."""
        self.now_bad(self.bad.back_at(step * int(self._config["batch_size"])))

    def drop(self) -> None:
        """Discard prefetched batches and stop the workers."""
        if self._batches is not None:
            self._batches.close()
            self._batches = None
