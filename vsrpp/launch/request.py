"""Requests to `vsrpp train` and `vsrpp replay`, as typed values. The parser builds them; no other code sees its options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vsrpp.launch import messages


@dataclass(frozen=True, slots=True, kw_only=True)
class RankCommand:
    """The command every rank runs."""

    module: str
    """A module with `main(arguments) -> exit status`."""
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRequest:
    """A training to start, to continue (`resume`) or to try out (`check`). None means the option was not given."""

    rank_command: RankCommand
    """The same request as a command for each rank."""
    preset: str | None = None
    config: str | None = None
    """A YAML file, or the name of a recipe."""
    data: str | None = None
    """With `resume`: where the run's data is now."""
    settings: tuple[str, ...] = ()
    """KEY=VALUE pairs for either config, in the order given."""
    plugins: tuple[str, ...] = ()
    """Files or modules with other people's code."""
    trust_code: tuple[str, ...] = ()
    """SHA-256s of recorded plug-ins that may run although this account has not named them."""
    allow_changed_code: bool = False
    """With `resume`: use a plug-in's code although it differs from the record."""
    source: str | None = None
    """The checkpoint a new run starts from: RUN, RUN@STEP, a checkpoint folder or models:/…"""
    resume: str | None = None
    """The run to continue."""
    max_steps: int | None = None
    max_hours: str | None = None
    """As typed: a number, or `none` to remove a limit."""
    cost_per_hour: str | None = None
    """As typed, like `max_hours`."""
    deliver_to: str | None = None
    """The address of the tracking server; recorded, so that it applies whenever the run is resumed."""
    experiment: str | None = None
    """The name of the MLflow experiment; kept, so that it applies whenever the run is uploaded."""
    check: bool = False
    """Try three steps without starting a run."""
    as_json: bool = False
    panel: bool = True
    panel_token: bool = True
    """Whether the panel asks for the token of its link."""
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
    """A run to retrain from its record."""

    run: str
    """A run ID, a prefix of one, `latest`, or a run folder."""
    trust_code: tuple[str, ...] = ()
    """SHA-256s of recorded plug-ins that may run although this account has not named them."""
    allow_changed_code: bool = False
    """Use a plug-in's code although it differs from the record."""
    data: str | None = None
    """Where the run's data is now, if it has moved."""
    command_for: Callable[[str], RankCommand]
    """Returns the command with which each of several ranks replays a run."""
    devices: str | None = None
    """Processes on this host: a number, or `auto` for one per GPU; None for as many as trained it."""
    run_dir: Path | None = None
    """The folder of runs."""


def check_combination(request: TrainRequest) -> None:
    """Raises Refused for options that exclude each other, or have no effect together."""
    if request.check and request.resume:
        raise messages.CHECK_AND_RESUME()
    if request.as_json and not request.check:
        raise messages.JSON_WITHOUT_CHECK()
    if request.check and request.tui:
        raise messages.CHECK_AND_TUI()
    if request.check and request.experiment:
        raise messages.CHECK_AND_EXPERIMENT()
    if request.trust_code and not (request.source or request.resume):
        raise messages.TRUST_WITHOUT_RECORD()
    if request.resume and request.source:
        raise messages.RESUME_AND_FROM()
    if request.allow_changed_code and not request.resume:
        raise messages.CHANGED_CODE_WITHOUT_RESUME()
    if request.resume:
        _check_resume(request)


def _check_resume(request: TrainRequest) -> None:
    fixed = {
        "--preset": request.preset, "--config": request.config, "--plugin": request.plugins,
        "--experiment": request.experiment,
    }  # fmt: skip
    given = [name for name, value in fixed.items() if value]
    if given:
        raise messages.FIXED_ON_RESUME(options=", ".join(given), run=request.resume)
