"""What a person asked `vsrpp train` and `vsrpp replay` for. The parser makes these; nothing behind it sees its options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vsrpp.errors import Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class RankCommand:
    """What every rank of a world runs."""

    module: str
    """A module with `main(arguments) -> exit status`."""
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRequest:
    """A training to start, to continue (`resume`) or only to try (`check`). None: not given."""

    rank_command: RankCommand
    """The same request as a command, for each of several ranks."""
    preset: str | None = None
    config: str | None = None
    """A YAML file, or the name of a recipe."""
    data: str | None = None
    settings: tuple[str, ...] = ()
    """KEY=VALUE of either config, in the order given."""
    source: str | None = None
    """RUN, RUN@STEP, a checkpoint folder or models:/…: where a new run starts from."""
    resume: str | None = None
    """The run to continue."""
    max_steps: int | None = None
    max_hours: str | None = None
    """As typed: a number, or `none` to take a limit away."""
    cost_per_hour: str | None = None
    """As typed, like `max_hours`."""
    deliver_to: str | None = None
    """The address of the tracking server, kept for the run's whole life."""
    check: bool = False
    """Try three steps, and start nothing."""
    as_json: bool = False
    panel: bool = True
    tensorboard: bool = True
    tui: bool = False
    devices: str | None = None
    """Processes on this host: a number, or `auto` for one per GPU."""
    nodes: int | None = None
    """Hosts that train together."""
    rendezvous: str | None = None
    """HOST:PORT where the hosts meet."""
    node_rank: int | None = None
    max_restarts: int | None = None
    run_dir: Path | None = None
    """The folder of runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRequest:
    """A run to train again from its record."""

    run: str
    """A run ID, a prefix of one, `latest`, or a run folder."""
    command_for: Callable[[str], RankCommand]
    """The command that replays a run as one of several ranks."""
    devices: str | None = None
    """Processes on this host: a number, or `auto` for one per GPU; None: as many as trained it."""
    run_dir: Path | None = None
    """The folder of runs."""


def check_combination(request: TrainRequest) -> None:
    """Raises Refused for options that exclude each other."""
    if request.check and request.resume:
        raise Refused("--check tries a run that is to be started, and --resume continues one: give one of them.")
    if request.as_json and not request.check:
        raise Refused("--json goes with --check; of a run that trains: vsrpp status RUN --json")
    if request.resume and request.source:
        raise Refused("--resume continues a run and --from starts a new one: give one of them.")
    if request.resume:
        _check_resume(request)


def _check_resume(request: TrainRequest) -> None:
    fixed = {
        "--preset": request.preset, "--config": request.config, "--data": request.data, "--set": request.settings,
        "--max-steps": request.max_steps,
    }  # fmt: skip
    given = [name for name, value in fixed.items() if value]
    if given:
        raise Refused(
            f"{', '.join(given)} cannot change a run that is resumed: its config is on record."
            f" Change it while it trains (vsrpp set), or start a new run: vsrpp train --from {request.resume}"
        )
