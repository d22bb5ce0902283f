"""The processes that train one run together: what they say to each other, over gloo and host memory.

Gradients go their own way (DDP, over NCCL where there are GPUs). This is the small talk beside it: rank 0 decides what
happens next and broadcasts it, and figures of all ranks become those of the whole run. A run of one process needs none
of it, and `ProcessGroup.single()` answers at once. Whoever starts the processes puts their world into the environment
as torchrun does: RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from vsrpp.distributed import timeouts
from vsrpp.distributed.heartbeat import Heartbeat
from vsrpp.errors import Refused, VsrppError, out_of_memory

PREPARING_S = 3600.0
"""How long a rank waits at least before the first step: somebody may have to decode the data."""
T = TypeVar("T")


class PeerLost(VsrppError):
    """A collective failed because another rank is gone, stalled or too late; it says nothing about this rank."""

    def __init__(self, line: str, diagnosis: str | None = None) -> None:
        """`diagnosis`: which rank it was, as far as somebody has looked."""
        super().__init__(line)
        self.diagnosis = diagnosis


class Rank0Failed(VsrppError):
    """Rank 0 has said that the run failed; it also says why, so there is no line to show."""


class _GivenUp:
    """What rank 0 broadcasts in place of whatever the others are waiting for."""


class ProcessGroup:
    """`world_size` processes, of which this is `rank`. Made by `single` or `join`; `close` it."""

    def __init__(
        self, rank: int, world_size: int, *, local_rank: int = 0, timeout_s: float = timeouts.TIMEOUT_S, talk: Any = None,
        preparing: Any = None, heartbeat: Heartbeat | None = None,
    ) -> None:  # fmt: skip
        self.rank = rank
        self.world_size = world_size
        self.local_rank = local_rank
        self.timeout_s = timeout_s
        self.joined = talk is not None
        """Whether gradients are averaged by DDP; torchrun with one process does that too."""
        self.heartbeat = heartbeat
        self._talk = talk
        """The gloo process group of the small talk; None in a run of one process."""
        self._preparing = preparing
        """The same with a longer timeout, until `begin`."""
        self._prepared = preparing is None

    @classmethod
    def single(cls) -> ProcessGroup:
        """A run of one process."""
        return cls(0, 1)

    @classmethod
    def join(cls) -> ProcessGroup:
        """Meet the other ranks. Raises Refused for a world that makes no sense, VsrppError when they don't come."""
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
            heartbeat = Heartbeat(rank, world_size) if world_size > 1 else None
        except (RuntimeError, ValueError) as error:
            where = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
            raise VsrppError(
                f"rank {rank} of {world_size} could not meet the others at {where} within {timeout_s:g} s:"
                f" {str(error).splitlines()[0]}"
            ) from error
        return cls(
            rank, world_size, local_rank=local_rank, timeout_s=timeout_s, talk=talk, preparing=preparing,
            heartbeat=heartbeat,
        )  # fmt: skip

    @property
    def is_rank_0(self) -> bool:
        """Whether this is the rank that decides and records."""
        return self.rank == 0

    @property
    def many(self) -> bool:
        return self.world_size > 1

    def prepare(self) -> None:
        """Another run is prepared by the same processes: until `begin` the longer timeout holds again."""
        self._prepared = self._preparing is None

    def begin(self) -> None:
        """All are prepared: from now on no rank waits longer than the timeout."""
        self._prepared = True

    # ---- collectives
    def broadcast(self, value: T) -> T:
        """Rank 0's `value`, on every rank; the others' is ignored. Waits for all. Raises PeerLost, or Rank0Failed."""
        if not self.many:
            return value
        values = [value]
        with _collective():
            dist.broadcast_object_list(values, src=0, group=self._talking)
        if isinstance(values[0], _GivenUp) and not self.is_rank_0:
            raise Rank0Failed("")
        return values[0]

    def give_up(self, *, listening: bool) -> None:
        """Rank 0: the run has failed. Others that are `listening`, or will be next, hear it in place of the broadcast they
        wait for; else the heartbeat tells them, and they end within seconds. Never raises.
        """
        if self.heartbeat is None:
            return
        if not listening:
            self.heartbeat.give_up()
            return
        with suppress(PeerLost):
            self.broadcast(_GivenUp())

    def gather(self, value: T) -> list[T]:
        """Every rank's `value` by rank, on rank 0; an empty list elsewhere. Waits for all. Raises PeerLost."""
        if not self.many:
            return [value]
        values: list[Any] = [None] * self.world_size
        with _collective():
            dist.gather_object(value, values if self.is_rank_0 else None, dst=0, group=self._talking)
        return values if self.is_rank_0 else []

    def mean(self, figures: list[float]) -> list[float]:
        """The mean over ranks of each figure, the same bits on every rank; NaN where it is NaN on any. Raises PeerLost."""
        if not self.many:
            return figures
        total = torch.tensor(figures, dtype=torch.float64)
        with _collective():
            dist.all_reduce(total, group=self._talk)
        means: Tensor = total / self.world_size
        return means.tolist()

    @contextmanager
    def synchronised(self) -> Iterator[None]:
        """Around a backward pass that averages gradients over the ranks: what a missing or late peer breaks is PeerLost.

        A RuntimeError in there may as well be this rank's own. It is a peer's if the wait reached the timeout, or if a
        peer gives no sign of life or has said why it leaves; that takes some seconds to see.
        """
        if self.heartbeat is None:
            yield
            return
        started = time.monotonic()
        try:
            yield
        except dist.DistError as error:
            raise PeerLost(_first_line(error)) from error
        except RuntimeError as error:
            if out_of_memory(error):
                raise
            late = time.monotonic() - started >= LATE * self.timeout_s
            diagnosis = self.heartbeat.missing()
            if late or diagnosis is not None:
                raise PeerLost(_first_line(error), diagnosis) from error
            raise

    def peer_fault(self, error: BaseException) -> VsrppError | None:
        """One line on the rank that caused a PeerLost; None for any other error. Takes some seconds."""
        if self.heartbeat is None or not isinstance(error, PeerLost):
            return None
        return VsrppError(error.diagnosis or self.heartbeat.missing() or self.heartbeat.slowest(self.timeout_s))

    @property
    def _talking(self) -> Any:
        return self._talk if self._prepared else self._preparing

    def close(self) -> None:
        """Leave; the process may end now."""
        if self.heartbeat is not None:
            self.heartbeat.close()
        if self.joined:
            dist.destroy_process_group()


LATE = 0.9
"""Part of the timeout after which a failed wait counts as having reached it."""


@contextmanager
def _collective() -> Iterator[None]:
    """Nothing of this rank's own can fail in there."""
    try:
        yield
    except RuntimeError as error:
        if out_of_memory(error):
            raise
        raise PeerLost(_first_line(error)) from error


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


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


def of_the_whole(everyones: Sequence[Mapping[str, float]]) -> dict[str, float]:
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
