"""The parts of a run on one rank, used by `vsrpp.training.loop`.

Rank 0 has the real recorder, status, checkpoints, commands and ending; the other ranks have null objects (`ranks`), so
that every rank runs the same loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from vsrpp.checkpoints.snapshot import Snapshot
from vsrpp.controller.controller import Outcome
from vsrpp.data import Data
from vsrpp.distributed.process_group import ProcessGroup
from vsrpp.frame_schedule import frames_at
from vsrpp.training.batches import BatchFeed
from vsrpp.training.cadence import out_of_patience
from vsrpp.training.side_products import SideProducts
from vsrpp.training.state import TrainingState
from vsrpp.training.step import StepResult, TrainStep
from vsrpp.training.system import SystemSampler
from vsrpp.training.throughput import Throughput
from vsrpp.training.turn import Turn
from vsrpp.training.validation import Scores, Validator


class Recorder(Protocol):
    """Records the results of a step."""

    def step_made(self, result: StepResult) -> None: ...
    def validated(self, scores: Scores) -> None: ...
    def decided(self, outcome: Outcome) -> None: ...
    def step_row(self, outcome: Outcome, figures: list[dict[str, float]]) -> None:
        """Write the row of the step; `figures` are those of every rank since the last row."""


class Status(Protocol):
    """Publishes the run's state for the panel, the terminal and the command line."""

    def show(self, state: str | None = None, *, now: bool = False) -> None: ...


class Checkpoints(Protocol):
    """Saves due checkpoints in the background."""

    def save_if_due(self) -> None: ...
    def collect(self, *, wait: bool = False) -> None: ...


class Commands(Protocol):
    """Source of the decisions at a step boundary."""

    def turns(self, *, after_step: bool) -> Iterator[Turn]:
        """Rank 0's decisions at this boundary, in order, as every rank receives them."""


class Ending(Protocol):
    """Ends a run on this rank."""

    def begin(self) -> None:
        """From now on, handle signals by an orderly end."""

    def failed(self, error: Exception) -> Exception:
        """Record the failure, or report it to rank 0; returns the error to raise instead."""

    def close(self) -> None:
        """Release threads, files and the process group without recording anything."""


@dataclass(slots=True, kw_only=True)
class RunContext:
    """One run on one rank. Created by `open_run`; pass it to `loop.train` once."""

    run_config: dict[str, Any]
    data: Data
    device: torch.device
    group: ProcessGroup
    state: TrainingState
    throughput: Throughput
    batches: BatchFeed
    train_step: TrainStep
    validator: Validator
    system: SystemSampler
    recorder: Recorder = field(init=False)
    status: Status = field(init=False)
    checkpoints: Checkpoints = field(init=False)
    commands: Commands = field(init=False)
    ending: Ending = field(init=False)
    live: dict[str, Any] = field(default_factory=dict)
    """The live config in force: rank 0's, as of the last turn."""
    next_turn: int = 0
    """The step after which the ranks meet again; a run of one process handles commands after every step."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Metrics of the newest step; empty before the first step and after a rollback."""
    scores: Scores | None = None
    """The newest validation, even if the run was rolled back since."""
    scored_at: int | None = None
    """The step whose weights `scores` belong to; None if the run was rolled back since."""
    between_steps: bool = True
    """Whether the state is that of a step boundary; False from the start of a step until its results are recorded."""
    side_products: SideProducts = field(default_factory=SideProducts)
    judged: Scores | None = None
    """The newest validation made only to judge a probation."""

    def turn_due(self, *, after_step: bool) -> bool:
        """Whether all ranks meet at this boundary; the same answer on every rank."""
        return (
            not self.group.many
            or self.state.step >= self.next_turn
            or (after_step and out_of_patience(self.state, self.run_config))
        )

    def take_on(self, snapshot: Snapshot) -> None:
        """Continue from another state, including its data position."""
        self.state.restore(snapshot)
        self.batches.go_back(snapshot.step)
        self.metrics = {}
        self.throughput.forget_step(self.state.step)

    def validate(self, *, pictures: bool) -> Scores:
        """Score the EMA weights on all ranks together; metrics, clips and pictures are on rank 0 only."""
        if pictures:
            self.status.show("validating", now=True)
        with self.throughput.doing("validation"):
            scores = self.validator.run(
                self.state.model_ema, self.state.step, pictures=pictures, between=lambda: self.status.show("validating")
            )
        if pictures:
            self.scores, self.scored_at = scores, self.state.step
        else:
            self.judged = scores
        return scores

    def close(self) -> None:
        """Stop workers, threads and DDP; the state stays valid."""
        self.batches.drop()
        self.train_step.close()
        self.system.close()

    def figures(self) -> dict[str, float]:
        """This rank's speed, activity and system metrics since the last row."""
        frames = int(self.run_config["batch_size"]) * frames_at(self.run_config, self.state.step - 1)
        speed = self.throughput.row(self.state.step, frames)
        return {**speed, **self.train_step.activity.values(), **self.system.latest}
