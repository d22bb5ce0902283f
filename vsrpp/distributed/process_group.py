"""The process group of a run: coordination of its ranks over gloo and host memory.

Gradients are exchanged separately (DDP, over NCCL on GPUs). Here, rank 0 broadcasts what happens next, and metrics of all
ranks are combined. In a run of one process, `ProcessGroup.single()` answers immediately. The launcher sets the environment
as torchrun does: RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT.
"""

from __future__ import annotations

import gc
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

from vsrpp.distributed import messages, timeouts
from vsrpp.distributed.heartbeat import Heartbeat
from vsrpp.errors import VsrppError, out_of_memory

PREPARING_S = 3600.0
"""Minimum timeout before the first step, because one rank may have to decode the data."""
T = TypeVar("T")


class PeerLost(VsrppError):
    """A collective failed because another rank died, stalled or was too late; this rank is not at fault."""

    reason_code = messages.PEER_LOST.code

    def __init__(self, line: str, diagnosis: str | None = None) -> None:
        """`diagnosis`: a line naming the rank, if it is already known."""
        super().__init__(messages.PEER_LOST.sentence(cause=line), fields={"cause": line})
        self.diagnosis = diagnosis


class Rank0Failed(VsrppError):
    """Rank 0 announced that the run failed. It also reports why, so this error has no message."""

    reason_code = messages.RANK_0_FAILED.code


class _GivenUp:
    """Broadcast by rank 0 after a failure, in place of the value the others are waiting for."""


class ProcessGroup:
    """`world_size` processes, of which this one is `rank`. Create it with `single` or `join`, and `close` it."""

    def __init__(
        self, rank: int, world_size: int, *, local_rank: int = 0, timeout_s: float = timeouts.TIMEOUT_S, talk: Any = None,
        preparing: Any = None, heartbeat: Heartbeat | None = None,
    ) -> None:  # fmt: skip
        self.rank = rank
        self.world_size = world_size
        self.local_rank = local_rank
        self.timeout_s = timeout_s
        self.joined = talk is not None
        """Whether DDP averages gradients; also true for torchrun with one process."""
        self.heartbeat = heartbeat
        self._talk = talk
        """The gloo process group; None in a run of one process."""
        self._preparing = preparing
        """The same with a longer timeout, used until `begin`."""
        self._prepared = preparing is None

    @classmethod
    def single(cls) -> ProcessGroup:
        """A run of one process."""
        return cls(0, 1)

    @classmethod
    def join(cls) -> ProcessGroup:
        """Connect to the other ranks. Raises Refused for an inconsistent environment, VsrppError if they do not connect."""
        rank, world_size, local_rank = (_number(name) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
        timeout_s = timeouts.timeout_s()
        if not 0 <= rank < world_size:
            raise messages.RANK_RANGE(rank=rank, world_size=world_size, last=world_size - 1)
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
            address = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
            raise messages.NOT_MET(
                rank=rank, world_size=world_size, address=address, timeout_s=timeout_s, cause=str(error).splitlines()[0]
            ) from error
        return cls(
            rank, world_size, local_rank=local_rank, timeout_s=timeout_s, talk=talk, preparing=preparing,
            heartbeat=heartbeat,
        )  # fmt: skip

    @property
    def is_rank_0(self) -> bool:
        """Whether this rank decides and records."""
        return self.rank == 0

    @property
    def many(self) -> bool:
        return self.world_size > 1

    def prepare(self) -> None:
        """The same processes prepare another run: use the longer timeout until `begin`."""
        self._prepared = self._preparing is None

    def begin(self) -> None:
        """All ranks are prepared: use the regular timeout from now on."""
        self._prepared = True

    # ---- collectives
    def broadcast(self, value: T) -> T:
        """Rank 0's `value`, on every rank; the others' is ignored. Waits for all. Raises PeerLost or Rank0Failed."""
        if not self.many:
            return value
        values = [value]
        with _collective():
            dist.broadcast_object_list(values, src=0, group=self._talking)
        if isinstance(values[0], _GivenUp) and not self.is_rank_0:
            raise Rank0Failed("")
        return values[0]

    def give_up(self, *, listening: bool) -> None:
        """Rank 0 announces that the run has failed. Never raises.

        listening: the other ranks are waiting for a broadcast, or will be next, and receive this instead. Otherwise the
        heartbeat tells them, and they end within seconds.
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

    def post(self, note: str) -> None:
        """Leave a note for rank 0. Posted before a collective, it can be read after it. Raises PeerLost."""
        if self.heartbeat is not None:
            with _collective():
                self.heartbeat.post(note)

    def notes(self) -> list[tuple[int, str]]:
        """On rank 0: (rank, note) of the notes since the last call. Waits for no rank."""
        return [] if self.heartbeat is None else self.heartbeat.notes()

    def mean(self, figures: list[float]) -> list[float]:
        """The mean of each value over all ranks, bit-identical on every rank; NaN if it is NaN on any. Raises PeerLost."""
        if not self.many:
            return figures
        total = torch.tensor(figures, dtype=torch.float64)
        with _collective():
            dist.all_reduce(total, group=self._talk)
        means: Tensor = total / self.world_size
        return means.tolist()

    @contextmanager
    def synchronised(self) -> Iterator[None]:
        """Context for a backward pass that averages gradients. Raises PeerLost if another rank is missing or late.

        A RuntimeError inside may also be this rank's own. It is attributed to another rank if the wait reached the timeout,
        or if a rank does not respond or has announced its failure, which takes some seconds to find out.
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
        diagnosis = error.diagnosis or self.heartbeat.missing() or self.heartbeat.slowest(self.timeout_s)
        return messages.PEER_FAULT(diagnosis=diagnosis)

    @property
    def _talking(self) -> Any:
        return self._talk if self._prepared else self._preparing

    def close(self) -> None:
        """Leave the group. Call it before the process ends.

        gloo's threads end with the last reference to their group; they abort a process whose interpreter ends before them.
        """
        if self.heartbeat is not None:
            self.heartbeat.close()
        if self.joined:
            gc.collect()  # DDP refers to itself, and must not outlive its group
            dist.destroy_process_group()
            self._talk = self._preparing = None


LATE = 0.9
"""Fraction of the timeout from which a failed wait counts as timed out."""


@contextmanager
def _collective() -> Iterator[None]:
    """Context for a collective: any RuntimeError except out of memory is another rank's fault and raised as PeerLost."""
    try:
        yield
    except RuntimeError as error:
        if out_of_memory(error):
            raise
        raise PeerLost(_first_line(error)) from error


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def meeting_place(timeout: timedelta) -> dist.Store:
    """The store at MASTER_ADDR, with a key prefix for this attempt.

    torchrun keeps one store over all its restarts. Without the prefix, restarted ranks would find, and try to connect to,
    the addresses of the previous processes.
    """
    store, _, _ = next(dist.rendezvous("env://", timeout=timeout))
    return dist.PrefixStore(f"start_{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)


def shared_out(batch_size: int, world_size: int) -> int:
    """Samples per rank of a total batch. Raises Refused if it cannot be divided equally."""
    if batch_size % world_size:
        below = batch_size // world_size * world_size
        fits = " or ".join(str(size) for size in (below, below + world_size) if size)
        raise messages.BATCH_NOT_DIVISIBLE(batch_size=batch_size, world_size=world_size, fits=fits)
    return batch_size // world_size


def of_the_whole(everyones: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The metrics of the whole run, from those of every rank.

    Memory, CPU load and power are summed; everything else is averaged. `speed/data_wait_worst_s` is that of the rank that
    waited longest for its data, since the others had to wait for it.
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
        raise messages.NOT_AN_INTEGER(name=name, value=text)
    return int(text)
