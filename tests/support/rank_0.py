"""Rank 0's parts around a fake state instead of a network, to test boundaries without training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from tests.support.runs import configs
from vsrpp import control
from vsrpp.checkpoints.snapshot import Snapshot
from vsrpp.data.unreadable import BadFrames
from vsrpp.distributed.process_group import ProcessGroup
from vsrpp.paths import RunPaths
from vsrpp.store import Answer, Event, FrameFigures, Inbox, RunWriter
from vsrpp.training.checkpoint_manager import CheckpointManager
from vsrpp.training.commands import RunCommands
from vsrpp.training.context import RunContext
from vsrpp.training.ending import RunEnding
from vsrpp.training.live_config import LiveConfig
from vsrpp.training.loop import between_steps
from vsrpp.training.prepared import Prepared
from vsrpp.training.probation import Probations
from vsrpp.training.recorder import RunRecorder
from vsrpp.training.replay_cursor import ReplayCursor
from vsrpp.training.rollback import Rollback
from vsrpp.training.state import TrainingState
from vsrpp.training.status import RunStatus
from vsrpp.training.step import StepResult
from vsrpp.training.storage_wait import StorageWait, Wait
from vsrpp.training.throughput import Throughput
from vsrpp.training.turn import Turn
from vsrpp.training.validation import Scores


def _nothing() -> None: ...


@dataclass
class FakeState:
    """A step counter that can be captured and restored."""

    run_config: dict[str, Any]
    step: int = 0
    real: TrainingState | None = None
    asked_quality: tuple[float, float] | None = None
    unfinished: dict[str, Any] | None = None
    skipped_in_a_row: int = 0
    recent: list[dict[str, float]] = field(default_factory=list)
    controller: Any = field(default_factory=lambda: SimpleNamespace(phase="stable"))
    model_ema: Any = None
    optimizer: Any = field(default_factory=lambda: SimpleNamespace(state={}, param_groups=[]))
    convergence: Any = field(default_factory=lambda: SimpleNamespace(values=dict, state=lambda: "unknown"))

    def capture(self, live: dict[str, Any]) -> Snapshot:
        """The state of a real network that was never trained, so that it can be restored."""
        if self.real is None:
            self.real = TrainingState(self.run_config, torch.device("cpu"), fresh=False)
        return replace(self.real.capture(live), step=self.step)

    def restore(self, snapshot: Snapshot) -> None:
        self.step, self.skipped_in_a_row = snapshot.step, 0


class FakeBatches(SimpleNamespace):
    """Batches without data."""

    def __init__(self) -> None:
        super().__init__(drop=_nothing, met=[], bad=BadFrames(), go_back=lambda step: None)


class FakeGroup(ProcessGroup):
    """Two ranks, of which the other only records what it receives."""

    def __init__(self) -> None:
        super().__init__(0, 2)
        self.heard: list[Any] = []

    def broadcast(self, value: Any) -> Any:
        self.heard.append(value)
        return value

    def gather(self, value: Any) -> list[Any]:
        return [value, value]

    def mean(self, figures: list[float]) -> list[float]:
        return figures


class Rank0:
    """A run on rank 0 at some step. `boundary()` runs one boundary; `step()` makes a fake step first."""

    def __init__(self, folder: Path, *, psnr_y: Callable[[int], float] = float, ranks: int = 1, **sets: Any) -> None:
        """`psnr_y(step)`: the result of a validation."""
        run_config, live = configs(folder / "nowhere", **sets)
        self.paths = RunPaths(folder / "run")
        self.paths.checkpoints.mkdir(parents=True)
        writer = RunWriter(self.paths.run_db, "run")
        data = {"run_config": run_config, "config": live}
        started = writer.append("started", step=0, branch=0, revision=0, data=data)
        group = ProcessGroup.single() if ranks == 1 else FakeGroup()
        prepared = Prepared(
            self.paths, writer, run_config, None, torch.device("cpu"), control.ConfigHistory.of([started]),
            control.lineage([started]), base_seq=started.seq, group=group,
        )  # fmt: skip
        self.state = FakeState(run_config)
        self.validated_at: list[tuple[int, bool]] = []
        self._psnr_y = psnr_y
        self.run = RunContext(
            run_config=run_config, data=None, device=prepared.device, group=group, state=self.state,
            throughput=Throughput(), batches=FakeBatches(), system=SimpleNamespace(latest={}, close=_nothing),
            train_step=SimpleNamespace(activity=SimpleNamespace(values=dict), close=_nothing),
            validator=SimpleNamespace(run=self._score),
        )  # fmt: skip
        self.events: list[Event] = []
        self.recorder = RunRecorder(
            self.run, writer, branch=0, revision=0, on_event=self.events.append, watch=list,
            frame_figures=FrameFigures(self.paths),
        )  # fmt: skip
        self.live_config = LiveConfig(self.paths, run_config, prepared.history, self.recorder, self.run.side_products)
        self.status = RunStatus(self.run, self.recorder, self.live_config, lambda _: None)
        cursor = ReplayCursor(prepared.line, started.seq, prepared.history, self.recorder, self.state)
        self.checkpoints = CheckpointManager(
            self.run, self.paths, self.recorder, self.live_config, cursor, at_step=None
        )
        self.rollback = Rollback(self.run, self.paths, self.recorder, self.live_config, self.checkpoints)
        self.probations = Probations(
            self.run, self.recorder, self.live_config, self.checkpoints, cursor, self.rollback, self.status
        )
        self.waits: list[Wait] = []
        writer.waits = True
        self.storage = StorageWait(
            self.run, self.recorder, self.status, self.live_config, self.checkpoints, "run", self.waits.append
        )
        self.ending = RunEnding(
            self.run,
            self.recorder,
            self.status,
            self.live_config,
            self.checkpoints,
            self.probations,
            self.storage,
            None,
        )
        self.commands = RunCommands(
            self.run, prepared, self.recorder, self.status, self.live_config, self.checkpoints, cursor, self.rollback,
            self.probations, self.ending, self.storage,
        )  # fmt: skip
        self.run.live, self.run.recorder, self.run.status = self.live_config.live, self.recorder, self.status
        self.run.checkpoints, self.run.commands, self.run.ending = self.checkpoints, self.commands, self.ending
        self.inbox = Inbox(self.paths.inbox_db)
        self.boundary()

    def boundary(self, result: StepResult | None = None) -> str | None:
        return between_steps(self.run, result)

    def step(self, **figures: float) -> str | None:
        """Make a step with these metrics (`l1`, `grad_norm` …) and run its boundary; returns how the run ended."""
        self.state.step += 1
        row = {"l1": 0.1, "ms": 0.1, "grad": 0.1, "grad_norm": 1.0, **figures}
        self.state.recent = [*self.state.recent[-19:], row]
        self.run.metrics = {"loss/total": row["l1"], "grad_clip": 1.0, "lr": 1e-4}
        self.checkpoints.save_if_due()
        return self.boundary(StepResult(row["l1"], row["grad_norm"], True, False, self.run.metrics))

    def ask(self, kind: str, **payload: Any) -> str:
        return self.inbox.put(kind, payload, origin="cli", author="anna")

    def edit(self, **changes: Any) -> str:
        return self.ask("edit", changes=changes)

    def answer(self, uid: str) -> Answer:
        """The answer to a command; waits for the thread that writes answers."""
        return self.inbox.wait(uid, 30.0)

    def types(self) -> list[str]:
        return [event.type for event in self.events]

    def close(self) -> None:
        self.ending.close()
        self.inbox.close()

    def _score(self, _model: Any, step: int, *, pictures: bool, between: Callable[[], None]) -> Scores:
        self.validated_at.append((step, pictures))
        psnr_y = self._psnr_y(step)
        return Scores(step, psnr_y / 100, 0.9, {"psnr_y": psnr_y, "quality": psnr_y / 100, "sharpness": 0.9})


def decision(turn: Turn) -> str:
    """A turn as ranks receive it, in a few words."""
    if turn.go_back_to is not None:
        return f"go back to {turn.go_back_to.step}"
    if turn.steps_until is not None:
        return f"go on to {turn.steps_until}"
    return turn.validate or turn.stop or "wait"
