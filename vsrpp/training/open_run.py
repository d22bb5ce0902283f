"""Assembles a prepared run: on rank 0 with its record, on the others without."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from vsrpp.data import Data
from vsrpp.distributed.process_group import ProcessGroup
from vsrpp.paths import RunPaths
from vsrpp.store import Event, FrameFigures
from vsrpp.training import foreign_metrics
from vsrpp.training.batches import BatchFeed
from vsrpp.training.checkpoint_manager import CheckpointManager
from vsrpp.training.commands import RunCommands
from vsrpp.training.context import RunContext
from vsrpp.training.ending import RunEnding
from vsrpp.training.live_config import LiveConfig
from vsrpp.training.preflight import PreparedRank
from vsrpp.training.prepared import Prepared
from vsrpp.training.probation import Probations
from vsrpp.training.ranks import NullCheckpoints, NullRecorder, NullStatus, Rank0sCommands, RankEnding
from vsrpp.training.recorder import RunRecorder
from vsrpp.training.replay_cursor import ReplayCursor
from vsrpp.training.resume import spent_before
from vsrpp.training.rollback import Rollback
from vsrpp.training.state import TrainingState
from vsrpp.training.status import RunStatus, TrainingProgress
from vsrpp.training.step import TrainStep
from vsrpp.training.storage_wait import StorageWait, Wait
from vsrpp.training.system import SystemSampler
from vsrpp.training.throughput import Throughput
from vsrpp.training.validation import Validator


def open_run(
    prepared: Prepared, *, on_event: Callable[[Event], None] = lambda _: None,
    on_progress: Callable[[TrainingProgress], None] = lambda _: None,
    watch: Callable[[], list[tuple[str, dict[str, Any]]]] = list, on_wait: Callable[[Wait], None] = lambda _: None,
    stop_at: int | None = None,
) -> RunContext:  # fmt: skip
    """The run on rank 0, whose state is broadcast to the others.

    `on_event` and `on_progress` are called in the training thread; `watch` returns (type, data) of events outside the
    loop and is called once a second; `on_wait` is called when the run begins to wait for its storage, and when that ends.
    `stop_at`: the step at which a replay ends.
    """
    state = TrainingState(prepared.run_config, prepared.device, fresh=prepared.snapshot is None)
    run = _context(
        prepared.run_config, prepared.data, prepared.device, prepared.group, state,
        Throughput(spent_before(prepared.writer)), prepared.paths,
    )  # fmt: skip
    recorder = RunRecorder(
        run, prepared.writer, branch=prepared.branch, revision=prepared.history.revision, on_event=on_event, watch=watch,
        frame_figures=FrameFigures(prepared.paths),
    )  # fmt: skip
    prepared.writer.waits = not prepared.replay  # its record is in a temporary folder, and nobody is told of a wait
    live_config = LiveConfig(prepared.paths, prepared.run_config, prepared.history, recorder, run.side_products)
    if prepared.snapshot is not None:
        state.restore(prepared.snapshot)
    run.throughput.forget_step(state.step)
    status = RunStatus(run, recorder, live_config, on_progress)
    cursor = ReplayCursor(prepared.line, prepared.base_seq, prepared.history, recorder, state, replay=prepared.replay)
    checkpoints = CheckpointManager(
        run, prepared.paths, recorder, live_config, cursor, replay=prepared.replay,
        at_step=prepared.snapshot.step if prepared.snapshot and state.unfinished is None else None,
    )  # fmt: skip
    rollback = Rollback(run, prepared.paths, recorder, live_config, checkpoints)
    probations = Probations(run, recorder, live_config, checkpoints, cursor, rollback, status)
    storage = StorageWait(run, recorder, status, live_config, checkpoints, prepared.paths.run_id, on_wait)
    ending = RunEnding(run, recorder, status, live_config, checkpoints, probations, storage, prepared.lock)
    run.live, run.recorder, run.status, run.checkpoints, run.ending = (
        live_config.live, recorder, status, checkpoints, ending,
    )  # fmt: skip
    run.commands = RunCommands(
        run, prepared, recorder, status, live_config, checkpoints, cursor, rollback, probations, ending, storage,
        stop_at=stop_at,
    )  # fmt: skip
    return run


def join_run(prepared: PreparedRank) -> RunContext:
    """The run on a rank above 0: the same loop, with the state that rank 0 broadcasts first."""
    run = _context(
        prepared.run_config, prepared.data, prepared.device, prepared.group, prepared.state, Throughput(), None
    )
    run.recorder, run.status, run.checkpoints = NullRecorder(), NullStatus(), NullCheckpoints()
    run.commands, run.ending = Rank0sCommands(prepared.group), RankEnding(run)
    return run


def _context(
    run_config: dict[str, Any], data: Data, device: torch.device, group: ProcessGroup, state: TrainingState,
    throughput: Throughput, paths: RunPaths | None,
) -> RunContext:  # fmt: skip
    if group.heartbeat is not None:
        group.heartbeat.doing = lambda: (state.step, throughput.part)
    validator = Validator(
        data.val,
        int(run_config["scale"]),
        device,
        run_config["precision"],
        group,
        paths,
        foreign_metrics.of(run_config),
        run_config,
    )
    return RunContext(
        run_config=run_config, data=data, device=device, group=group, state=state, throughput=throughput,
        batches=BatchFeed(run_config, data, device, group, state, throughput),
        train_step=TrainStep(run_config, state, device, group),
        validator=validator, side_products=validator.side_products, system=SystemSampler(device),
    )  # fmt: skip
