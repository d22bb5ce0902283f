"""Runs a replay, from request to exit status: choose the processes, retrain from the record, compare, report."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from vsrpp import control, paths
from vsrpp.errors import NotFound, VsrppError
from vsrpp.launch import messages, replay_plan, supervisor, world
from vsrpp.launch import plan as launch
from vsrpp.launch.console import ReplayConsole
from vsrpp.launch.ranks import follow, joined
from vsrpp.launch.request import ReplayRequest
from vsrpp.plugins import trust

if TYPE_CHECKING:
    from vsrpp.training.preflight import Preflight
    from vsrpp.training.replay import Original, ReplayVerdict


def replay(request: ReplayRequest, console: ReplayConsole) -> int:
    """Replay with as many processes as trained the run, starting them unless this is one of them; returns the exit status.

    Raises ProofFailed, naming the first step that differs and the likely cause; Refused or NotFound.
    """
    trust.allow(request.trust_code)
    surroundings = world.adopt_slurm()
    if surroundings is None:
        record = replay_plan.ReplayRecord.of(request.run, paths.runs_dir(request.run_dir))
        plan = replay_plan.plan(request, record, console.warn)
        if plan is not None:
            return supervisor.run(plan, request.command_for(record.run), console)
    elif request.devices is not None:
        raise launch.inside_a_world(["--devices"], surroundings)
    with joined() as preflight:
        if preflight is not None and not preflight.group.is_rank_0:
            return follow(preflight)
        with preflight or contextlib.nullcontext():
            return _lead(request, console, preflight)


def _lead(request: ReplayRequest, console: ReplayConsole, preflight: Preflight | None) -> int:
    """The replay on rank 0, or in the only process."""
    from vsrpp.training.replay import replay as train_again

    with tempfile.TemporaryDirectory(prefix="vsrpp-replay-") as scratch:
        original = _original(request, Path(scratch) / "start")
        console.say(f"Replaying {original.run_id} from its record …")
        verdict = train_again(
            original, Path(scratch), say=console.say, on_progress=console.progress, preflight=preflight,
            allow_changed_code=request.allow_changed_code, moved_to=request.data,
        )  # fmt: skip
    console.verdict(verdict)
    if not verdict.identical:
        raise _difference(verdict)
    return 0


def _original(request: ReplayRequest, start_folder: Path) -> Original:
    """The record, from the run folder or else from the tracking server. Raises NotFound or ProofFailed."""
    from vsrpp.training.replay import COMPARED, Original

    runs = paths.runs_dir(request.run_dir)
    try:
        return Original.of(control.find_run(request.run, runs))
    except NotFound:
        from vsrpp.tracking.record import fetch

        return Original(*fetch(request.run, paths.tracking_uri(runs), start_folder, COMPARED))


def _difference(verdict: ReplayVerdict) -> VsrppError:
    difference = verdict.first_difference or {"step": verdict.step, "what": "the weights"}
    causes = f" Likely cause: {'; '.join(verdict.causes)}." if verdict.causes else ""
    return messages.REPLAY_DIFFERS(
        run_id=verdict.run_id, step=difference["step"], what=difference["what"], likely=causes
    )
