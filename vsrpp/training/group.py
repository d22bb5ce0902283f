"""The processes that train one run together: what they say to each other, over gloo and host memory.

Gradients go their own way (DDP, over NCCL where there are GPUs). This is the small talk beside it: rank 0 says what
happens next, and figures of all ranks become those of the whole. A run of one process needs none of it, and
`Group.alone()` answers at once.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


class Group:
    """`world_size` processes, of which this is `rank`. Made by `alone` or `join`; `close` it."""

    def __init__(self, rank: int, world_size: int, talk: Any = None) -> None:
        self.rank = rank
        self.world_size = world_size
        self._talk = talk
        """The gloo process group of the small talk; None in a run of one process."""

    @classmethod
    def alone(cls) -> Group:
        """A run of one process."""
        return cls(0, 1)

    @classmethod
    def join(cls, device: torch.device, timeout_s: float) -> Group:
        """Meet the others at the address torchrun put into the environment. Raises RuntimeError when they don't come."""
        backend = "nccl" if device.type == "cuda" else "gloo"
        timeout = timedelta(seconds=timeout_s)
        dist.init_process_group(backend, timeout=timeout)
        talk = dist.new_group(backend="gloo", timeout=timeout)
        return cls(dist.get_rank(), dist.get_world_size(), talk)

    @property
    def leads(self) -> bool:
        """Whether this is rank 0, which decides and records."""
        return self.rank == 0

    def said(self, word: Any = None) -> Any:
        """What rank 0 says, on every rank; the others' `word` is not looked at. Waits for all."""
        if self.world_size == 1:
            return word
        words = [word]
        dist.broadcast_object_list(words, src=0, group=self._talk)
        return words[0]

    def gathered(self, own: Any) -> list[Any]:
        """Every rank's `own` by rank, on rank 0; an empty list elsewhere. Waits for all."""
        if self.world_size == 1:
            return [own]
        everyones: list[Any] = [None] * self.world_size
        dist.gather_object(own, everyones if self.leads else None, dst=0, group=self._talk)
        return everyones if self.leads else []

    def mean(self, figures: Tensor) -> Tensor:
        """The mean over ranks of `figures` (any shape, float, on the host), the same bits on every rank."""
        if self.world_size == 1:
            return figures
        total = figures.clone()
        dist.all_reduce(total, group=self._talk)
        return total / self.world_size

    def close(self) -> None:
        """Leave; the process may end now."""
        if self.world_size > 1:
            dist.destroy_process_group()
