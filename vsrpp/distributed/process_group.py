"""The processes that train one run together: what they say to each other, over gloo and host memory.

Gradients go their own way (DDP, over NCCL where there are GPUs). This is the small talk beside it: rank 0 says what
happens next, and figures of all ranks become those of the whole. A run of one process needs none of it, and
`Group.alone()` answers at once. Whoever starts the processes puts their world into the environment as torchrun does:
RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from vsrpp.distributed import timeouts
from vsrpp.distributed.heartbeat import Pulse
from vsrpp.errors import Refused, VsrppError, out_of_memory

PREPARING_S = 3600.0
"""How long it waits at least before the first step: somebody may have to decode the data."""


class Group:
    """`world_size` processes, of which this is `rank`. Made by `alone` or `join`; `close` it."""

    def __init__(
        self, rank: int, world_size: int, *, local_rank: int = 0, timeout_s: float = timeouts.TIMEOUT_S, talk: Any = None,
        preparing: Any = None, pulse: Pulse | None = None,
    ) -> None:  # fmt: skip
        self.rank = rank
        self.world_size = world_size
        self.local_rank = local_rank
        self.timeout_s = timeout_s
        self.joined = talk is not None
        """Whether gradients are averaged by DDP; torchrun with one process does that too."""
        self.pulse = pulse
        self._talk = talk
        """The gloo process group of the small talk; None in a run of one process."""
        self._preparing = preparing
        """The same with more patience, until `begin`."""

    @classmethod
    def alone(cls) -> Group:
        """A run of one process."""
        return cls(0, 1)

    @classmethod
    def join(cls) -> Group:
        """Meet the others. Raises Refused for a world that makes no sense, VsrppError when they don't come."""
        rank, world_size, local_rank = (_number(name) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
        timeout_s = timeouts.timeout_s()
        if not 0 <= rank < world_size:
            raise Refused(
                f"RANK = {rank} of WORLD_SIZE = {world_size} refused: ranks count from 0 to {world_size - 1}."
            )
        long = timedelta(seconds=max(timeout_s, PREPARING_S))
        timeout = timedelta(seconds=timeout_s)
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        try:
            store = meeting_place(timeout)
            dist.init_process_group(backend, store=store, rank=rank, world_size=world_size, timeout=timeout)
            talk = dist.new_group(backend="gloo", timeout=timeout)
            preparing = dist.new_group(backend="gloo", timeout=long)
            pulse = Pulse(rank, world_size) if world_size > 1 else None
        except (RuntimeError, ValueError) as error:
            where = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
            raise VsrppError(
                f"rank {rank} of {world_size} could not meet the others at {where} within {timeout_s:g} s:"
                f" {str(error).splitlines()[0]}"
            ) from error
        return cls(
            rank, world_size, local_rank=local_rank, timeout_s=timeout_s, talk=talk, preparing=preparing, pulse=pulse
        )

    @property
    def leads(self) -> bool:
        """Whether this is rank 0, which decides and records."""
        return self.rank == 0

    @property
    def many(self) -> bool:
        return self.world_size > 1

    def begin(self) -> None:
        """All are prepared: from now on nobody waits longer than the timeout."""
        self._preparing = None

    def said(self, word: Any = None) -> Any:
        """What rank 0 says, on every rank; the others' `word` is not looked at. Waits for all."""
        if not self.many:
            return word
        words = [word]
        dist.broadcast_object_list(words, src=0, group=self._preparing or self._talk)
        return words[0]

    def gathered(self, own: Any) -> list[Any]:
        """Every rank's `own` by rank, on rank 0; an empty list elsewhere. Waits for all."""
        if not self.many:
            return [own]
        everyones: list[Any] = [None] * self.world_size
        dist.gather_object(own, everyones if self.leads else None, dst=0, group=self._preparing or self._talk)
        return everyones if self.leads else []

    def mean(self, figures: list[float]) -> list[float]:
        """The mean over ranks of each figure, the same bits on every rank; one that is no number anywhere is none here."""
        if not self.many:
            return figures
        total = torch.tensor(figures, dtype=torch.float64)
        dist.all_reduce(total, group=self._talk)
        means: Tensor = total / self.world_size
        return means.tolist()

    def trouble(self, error: BaseException) -> VsrppError | None:
        """The line for an error that another rank caused; None if it is this one's own. Takes some seconds."""
        if self.pulse is None or not isinstance(error, RuntimeError) or out_of_memory(error):
            return None
        found = self.pulse.missing()
        if found is None and (isinstance(error, dist.DistError) or "timed out" in str(error).lower()):
            found = self.pulse.slowest(self.timeout_s)
        return VsrppError(found) if found is not None else None

    def close(self) -> None:
        """Leave; the process may end now."""
        if self.pulse is not None:
            self.pulse.close()
        if self.joined:
            dist.destroy_process_group()


def meeting_place(timeout: timedelta) -> dist.Store:
    """The store at MASTER_ADDR, and in it a place for this start of the world alone.

    torchrun keeps one store over all its restarts. Without a place of their own, ranks that were started again would
    find the addresses of the processes before them and call at those.
    """
    store, _, _ = next(dist.rendezvous("env://", timeout=timeout))
    return dist.PrefixStore(f"start_{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)


def shared_out(batch_size: int, world_size: int) -> int:
    """Samples per rank of a whole batch. Raises Refused if it cannot be shared out evenly."""
    if batch_size % world_size:
        below = batch_size // world_size * world_size
        would_do = " or ".join(str(size) for size in (below, below + world_size) if size)
        raise Refused(
            f"batch_size = {batch_size} refused: it is the whole batch of {world_size} processes and must be divisible by"
            f" {world_size}; {would_do} would do."
        )
    return batch_size // world_size


def of_the_whole(everyones: list[Mapping[str, float]]) -> dict[str, float]:
    """Figures of the whole run from those of every rank.

    Memory and power of processes and GPUs add up; everything else is the mean. `speed/data_wait_worst_s` is that of the
    rank that waited longest for its data: the others waited for it.
    """
    names = dict.fromkeys(name for own in everyones for name in own)
    figures = {}
    for name in names:
        values = [own[name] for own in everyones if name in own]
        figures[name] = math.fsum(values) if name in _ADD_UP else math.fsum(values) / len(values)
    waits = [own["speed/data_wait_s"] for own in everyones if "speed/data_wait_s" in own]
    return {**figures, "speed/data_wait_worst_s": max(waits)} if waits and len(everyones) > 1 else figures


_ADD_UP = frozenset(
    {
        "system/process_cpu_percent",
        "system/process_memory_mib",
        "system/gpu_memory_mib",
        "system/gpu_memory_total_mib",
        "system/gpu_power_w",
    }
)


def _number(name: str) -> int:
    text = os.environ.get(name, "0")
    if not text.isdecimal():
        raise Refused(f"{name} = {text!r} refused: torchrun puts a whole number there.")
    return int(text)
