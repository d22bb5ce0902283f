"""What a training or a replay shows to whoever started it, as Protocols: faces implement them, this room calls them.

The types of `vsrpp.training` that a face meets are named here, so that a face needs to know no other room for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from vsrpp.paths import RunPaths
from vsrpp.store import Event

if TYPE_CHECKING:
    from vsrpp.training.dry_run import DryRun
    from vsrpp.training.replay import ReplayVerdict
    from vsrpp.training.status import TrainingProgress

__all__ = ["DryRun", "ReplayConsole", "ReplayVerdict", "RunFacts", "TrainConsole", "TrainingProgress"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What is known of a run before its first step."""

    paths: RunPaths
    run_config: Mapping[str, Any]
    windows: int
    """Training windows of an epoch."""
    val_frames: int
    parameters: int
    step_flops: float
    """Floating-point operations of a step, estimated."""
    step_memory_bytes: float
    """Memory of a step, estimated."""
    exact: bool
    """Whether every operation of the network has a deterministic backward on CUDA."""


class TrainConsole(Protocol):
    """Follows a training from its preparation to its end."""

    silent: Callable[[], bool]
    """Whether the terminal UI has the terminal now, so that nothing may be printed."""

    def say(self, line: str) -> None:
        """Show one line."""

    def begin(self, run: RunFacts) -> None:
        """The run is about to make its first step."""

    def event(self, event: Event) -> None:
        """Something has gone on record."""

    def progress(self, progress: TrainingProgress) -> None:
        """A step was made."""

    def end_progress(self) -> None:
        """No step follows."""

    def summary(self, run: RunPaths) -> None:
        """The run has ended: show where it stands."""

    def dry_run(self, report: DryRun, run_config: Mapping[str, Any], *, as_json: bool) -> None:
        """Show what `--check` found."""


class ReplayConsole(Protocol):
    """Follows a replay."""

    def warn(self, line: str) -> None:
        """Show one line where it cannot be taken for the result."""

    def say(self, line: str) -> None:
        """Show one line."""

    def progress(self, progress: TrainingProgress) -> None:
        """A step was made."""

    def verdict(self, verdict: ReplayVerdict) -> None:
        """The replay is over: show the result; that of a replay that differs is raised, too."""
