"""Ranks above 0: the same loop, with null objects for the record, the status and the checkpoints."""

from __future__ import annotations

from collections.abc import Iterator

from vsrpp.controller.controller import Outcome
from vsrpp.distributed.heartbeat import LOST
from vsrpp.distributed.process_group import PeerLost, ProcessGroup, Rank0Failed
from vsrpp.errors import VsrppError, out_of_memory
from vsrpp.training.context import RunContext
from vsrpp.training.step import StepResult
from vsrpp.training.turn import Turn
from vsrpp.training.validation import Scores


class NullRecorder:
    """Only rank 0 records."""

    def step_made(self, result: StepResult) -> None: ...
    def validated(self, scores: Scores) -> None: ...
    def decided(self, outcome: Outcome) -> None: ...
    def step_row(self, outcome: Outcome, figures: list[dict[str, float]]) -> None: ...


class NullStatus:
    """Only rank 0 publishes the run's state."""

    def show(self, state: str | None = None, *, now: bool = False) -> None: ...


class NullCheckpoints:
    """Only rank 0 saves checkpoints."""

    def save_if_due(self) -> None: ...
    def collect(self, *, wait: bool = False) -> None: ...


class Rank0sCommands:
    """Receives rank 0's decisions."""

    def __init__(self, group: ProcessGroup) -> None:
        self._group = group

    def turns(self, *, after_step: bool) -> Iterator[Turn]:
        is_last = False
        while not is_last:
            turn: Turn = self._group.broadcast(None)  # type: ignore[assignment]
            is_last = turn.is_last
            yield turn


class RankGone(VsrppError):
    """This rank cannot continue; an empty line if rank 0 is alive and reports the cause."""


class RankEnding:
    """Reports why this rank ends, for rank 0 to record."""

    def __init__(self, run: RunContext) -> None:
        self._run = run

    def begin(self) -> None: ...

    def failed(self, error: Exception) -> Exception:
        """The line to show here; Rank0Failed, and errors without another rank to report to, are returned unchanged."""
        group, step = self._run.group, self._run.state.step
        if group.heartbeat is None or isinstance(error, Rank0Failed):
            return error
        if isinstance(error, PeerLost):
            group.heartbeat.leave(LOST)
            return RankGone("" if group.heartbeat.is_there(0) else f"rank {group.rank} lost rank 0 at step {step}.")
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        if out_of_memory(error):
            line = f"out of memory on {self._run.device}: {line}"
        group.heartbeat.leave(line)
        return RankGone(f"rank {group.rank} failed at step {step}: {line}")

    def close(self) -> None:
        self._run.close()
