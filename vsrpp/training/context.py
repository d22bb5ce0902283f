"""What one rank of a run is made of. It knows no loop: `vsrpp.training.loop` goes round, and asks it for its parts.

Rank 0 holds the real recorder, status, checkpoints, commands and ending; the others hold null ones (`ranks`), so that
every rank runs the same loop.
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
from vsrpp.training.batches import BatchFeed
from vsrpp.training.cadence import out_of_patience
from vsrpp.training.state import TrainingState
from vsrpp.training.step import StepResult, TrainStep
from vsrpp.training.system import SystemSampler
from vsrpp.training.throughput import Throughput
from vsrpp.training.turn import Turn
from vsrpp.training.validation import Scores, Validator


class Recorder(Protocol):
    """Puts on record what a step made."""

    def step_made(self, result: StepResult) -> None: ...
    def validated(self, scores: Scores) -> None: ...
    def decided(self, outcome: Outcome) -> None: ...
    def step_row(self, outcome: Outcome, figures: list[dict[str, float]]) -> None:
        """`figures` are those of every rank since the last row."""


class Status(Protocol):
    """Tells the faces where the run stands."""

    def show(self, state: str | None = None, *, now: bool = False) -> None: ...


class Checkpoints(Protocol):
    """Saves what is due, in the background."""

    def save_if_due(self) -> None: ...
    def collect(self, *, wait: bool = False) -> None: ...


class Commands(Protocol):
    """Where the decisions at a step boundary come from."""

    def turns(self, *, after_step: bool) -> Iterator[Turn]:
        """Rank 0's decisions at this boundary, one after the other, as every rank hears them."""


class Ending(Protocol):
    """How a run ends on this rank."""

    def begin(self) -> None:
        """From here on signals mean an ordered end."""

    def failed(self, error: Exception) -> Exception:
        """Put the failure on record, or leave word for rank 0; the error to raise in its place."""

    def close(self) -> None:
        """Let go of threads, files and the other ranks, without a word on the record."""


@dataclass(slots=True, kw_only=True)
class RunContext:
    """One run on one rank. Made by `open_run`; call `loop.train` with it once."""

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
    """The live config in force: rank 0's, as the last turn said it."""
    next_turn: int = 0
    """The step after which the ranks meet again; a run of one process looks after every step."""
    metrics: dict[str, float] = field(default_factory=dict)
    """The newest step's figures; empty before the first step and after going back."""
    scores: Scores | None = None
    """The newest validation, whatever has been gone back to since."""
    scored_at: int | None = None
    """The step whose weights `scores` belong to, unless the run has gone back since."""
    judged: Scores | None = None
    """The newest validation for a probation's judgement alone."""

    def turn_due(self, *, after_step: bool) -> bool:
        """Whether all ranks meet at this boundary, which every rank knows by itself."""
        return (
            not self.group.many
            or self.state.step >= self.next_turn
            or (after_step and out_of_patience(self.state, self.run_config))
        )

    def take_on(self, snapshot: Snapshot) -> None:
        """Go on from another state, data position included."""
        self.state.restore(snapshot)
        self.batches.drop()
        self.metrics = {}
        self.throughput.forget_step(self.state.step)

    def validate(self, *, pictures: bool) -> Scores:
        """Score the EMA weights on all ranks together; figures, clips and pictures are rank 0's alone."""
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
        """Let go of workers, threads and DDP; the state stays."""
        self.batches.drop()
        self.train_step.close()
        self.system.close()

    def figures(self) -> dict[str, float]:
        """Speed, activity and system figures of this rank since the last row."""
        frames = int(self.run_config["batch_size"]) * int(self.run_config["num_frames"])
        speed = self.throughput.row(self.state.step, frames)
        return {**speed, **self.train_step.activity.values(), **self.system.latest}
