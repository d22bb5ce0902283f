"""Protocols through which a training or a replay reports to its user interface. User interfaces implement them.

Re-exports the types of `vsrpp.training` that they receive, so that they need not import that package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from vsrpp.paths import RunPaths
from vsrpp.store import Event

if TYPE_CHECKING:
    from vsrpp.training.dry_run import DryRun
    from vsrpp.training.replay import ReplayVerdict
    from vsrpp.training.status import TrainingProgress

__all__ = ["DryRun", "RanksConsole", "ReplayConsole", "ReplayVerdict", "RunFacts", "TrainConsole", "TrainingProgress"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """Facts about a run, known before its first step."""

    paths: RunPaths
    run_config: Mapping[str, Any]
    windows: int
    """Training windows per epoch."""
    val_frames: int
    """Frames that a validation scores."""
    val_sample: str | None
    """Which frames of long footage these are, in one line; None if all that are held out are scored."""
    data_notes: Sequence[str]
    """The clips that are left out, and what else was noticed in the data, one line each."""
    parameters: int
    step_flops: float
    """Estimated floating-point operations per step."""
    step_memory_bytes: float
    """Estimated memory per step."""
    exact: bool
    """Whether every operation of the network has a deterministic backward on CUDA."""


class RanksConsole(Protocol):
    """Shows what several ranks do, in the process that supervises them."""

    def say(self, line: str) -> None:
        """Show one line."""

    def rank_line(self, line: str) -> None:
        """Show one line about the ranks, or from a rank's standard error, while rank 0 may be drawing its progress."""


class TrainConsole(RanksConsole, Protocol):
    """Shows a training from its preparation to its end."""

    silent: Callable[[], bool]
    """Whether the terminal UI currently occupies the terminal, so that nothing may be printed."""

    def begin(self, run: RunFacts) -> None:
        """The run is about to make its first step."""

    def event(self, event: Event) -> None:
        """An event was recorded."""

    def progress(self, progress: TrainingProgress) -> None:
        """A step was completed."""

    def end_progress(self) -> None:
        """No more steps follow."""

    def summary(self, run: RunPaths) -> None:
        """The run has ended: show its state."""

    def dry_run(self, report: DryRun, run_config: Mapping[str, Any], *, as_json: bool) -> None:
        """Show what `--check` found."""


class ReplayConsole(RanksConsole, Protocol):
    """Shows a replay."""

    def warn(self, line: str) -> None:
        """Show one line, separate from the result."""

    def progress(self, progress: TrainingProgress) -> None:
        """A step was completed."""

    def verdict(self, verdict: ReplayVerdict) -> None:
        """The replay has ended: show the result. If it differs, an error is raised as well."""
