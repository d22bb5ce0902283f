"""replay: the number of processes, from the run's record, checked before any is started. Does not import torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from vsrpp import control, paths
from vsrpp.control.world_sizes import STARTS, world_sizes
from vsrpp.distributed import timeouts
from vsrpp.errors import NotFound
from vsrpp.launch import messages
from vsrpp.launch import plan as launch
from vsrpp.launch.plan import Plan
from vsrpp.launch.request import ReplayRequest
from vsrpp.store import Event, RunReader


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRecord:
    """The processes that trained a run, according to its record."""

    run: str
    """The run, as every rank can find it: its folder, or its name on the tracking server."""
    run_id: str
    run_config: Mapping[str, Any]
    world_sizes: Sequence[int]
    """Number of processes between each start of the run and the next."""

    @classmethod
    def of(cls, run: str, runs: Path) -> ReplayRecord:
        """From the run folder, else from the tracking server. Raises NotFound, Refused or ProofFailed."""
        try:
            folder = control.find_run(run, runs)
        except NotFound:
            return cls._of_events(run, run, _events_on_server(run, paths.tracking_uri(runs)))
        with RunReader(folder.run_db) as reader:
            return cls._of_events(str(folder.root), folder.run_id, reader.events(types=STARTS))

    @classmethod
    def _of_events(cls, run: str, run_id: str, events: Iterable[Event]) -> ReplayRecord:
        starts = [event for event in events if event.type in STARTS]
        run_config = starts[0].data["run_config"] if starts else {}
        return cls(run=run, run_id=run_id, run_config=run_config, world_sizes=world_sizes(starts) or [1])


def plan(request: ReplayRequest, record: ReplayRecord, warn: Callable[[str], None]) -> Plan | None:
    """The processes that replay the run on this host; None if this process suffices.

    As many as trained it last, unless `--devices` is given. Calls `warn` if the replay cannot be bit-identical.
    Raises Refused if this host cannot run that many.
    """
    recorded = record.world_sizes[-1]
    count = recorded if request.devices is None else launch.device_count(request.devices)
    _check_gpus(record, count, asked=request.devices is not None)
    _check_batch(record, count)
    line = _not_exact(record, count)
    if line is not None:
        warn(f"⚠️  {line}")
    return Plan(count, timeout_s=int(timeouts.timeout_s())) if count > 1 else None


def _not_exact(record: ReplayRecord, count: int) -> str | None:
    """Why the number of processes rules out a bit-identical replay; None if it does not."""
    stretches = [size for size, _ in groupby(record.world_sizes)]
    if len(stretches) > 1:
        sizes = ", then by ".join(processes(size) for size in stretches)
        return (
            f"run {record.run_id} was trained by {sizes}: such a run cannot be replayed bit-identically. It is replayed"
            f" by {processes(count)}{', the last of these' if count == stretches[-1] else ''}."
        )
    if count != stretches[0]:
        return (
            f"run {record.run_id} was trained by {processes(stretches[0])} and is replayed by {processes(count)}: every step"
            " uses the same samples, but sums over them are rounded differently, so losses and weights will differ in"
            " their last bits."
        )
    return None


def _check_gpus(record: ReplayRecord, count: int, *, asked: bool) -> None:
    """Raises Refused if several CUDA processes have fewer GPUs than processes."""
    if count == 1 or record.run_config.get("device") != "cuda":
        return
    gpus = launch.visible_gpus()
    if count <= gpus:
        return
    here = "no GPU is" if not gpus else f"{gpus} GPU is" if gpus == 1 else f"{gpus} GPUs are"
    if asked:
        raise messages.REPLAY_MORE_DEVICES_THAN_GPUS(devices=count, gpus=here)
    fewer = max(number for number in range(1, max(gpus, 1) + 1) if record.run_config.get("batch_size", 1) % number == 0)
    raise messages.REPLAY_TOO_FEW_GPUS(
        run_id=record.run_id, processes=processes(count), gpus=here, needed=count,
        where="here" if gpus else "on one with a GPU", fewer=fewer,
    )  # fmt: skip


def _check_batch(record: ReplayRecord, count: int) -> None:
    """Raises Refused unless the recorded batch can be divided equally among `count` processes."""
    batch_size = record.run_config.get("batch_size")
    if batch_size is not None and batch_size % count:
        raise messages.REPLAY_BATCH_NOT_DIVISIBLE(
            devices=count, run_id=record.run_id, batch_size=batch_size, processes=processes(count)
        )


def processes(count: int) -> str:
    """`1 process`, `2 processes`."""
    return f"{count} process" if count == 1 else f"{count} processes"


def _events_on_server(run: str, uri: str) -> list[Event]:
    from vsrpp.tracking import record, remote

    with remote.reaching(uri) as client:
        return record.events_of(client, remote.find_run(client, run, uri))
