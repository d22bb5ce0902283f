"""Runs a training, from request to exit status: resolve, start delivery, prepare, train, report.

torch, behind `vsrpp.training`, is imported only where it is needed, so that a request can be refused without that delay
and the delivery process starts meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsrpp import control, paths
from vsrpp.control import alerts
from vsrpp.errors import START_AGAIN, NotFound
from vsrpp.formats import duration
from vsrpp.launch import elastic, messages, supervisor, tracked_run, world
from vsrpp.launch import plan as launch
from vsrpp.launch.console import RunFacts, TrainConsole
from vsrpp.launch.dry_run_job import dry_run
from vsrpp.launch.ranks import follow, joined
from vsrpp.launch.request import TrainRequest, check_combination
from vsrpp.launch.run_configs import StartSource, check_data, on_resume, resolve
from vsrpp.launch.sidecars import Sidecars
from vsrpp.paths import RunPaths
from vsrpp.plugins import trust
from vsrpp.store import RunReader, into_one_file, signing
from vsrpp.tracking import Delivery, environment, uri_of
from vsrpp.tracking.tag_rights import who_steers
from vsrpp.tracking.wait_alerts import WaitAlerts

if TYPE_CHECKING:
    from vsrpp.training.preflight import Preflight
    from vsrpp.training.prepared import Prepared
    from vsrpp.training.storage_wait import Wait

DRAIN_S = 120.0
"""How long the end of a run waits for pending uploads; `vsrpp sync` uploads the rest."""


def train(request: TrainRequest, console: TrainConsole, *, has_terminal: bool) -> int:
    """Train in this process, alone or as one of several ranks, or start those ranks; returns the exit status.

    `has_terminal`: whether there is a terminal, which the terminal UI needs. Raises VsrppError.
    """
    plan = launch.plan(request, world.adopt_slurm())
    if plan is not None:
        return _start_ranks(plan, request, console)
    with joined() as preflight:
        if preflight is not None and not preflight.group.is_rank_0:
            return follow(preflight, lambda: _asked(request))
        with preflight or contextlib.nullcontext():
            return _lead(request, console, preflight, has_terminal)


def _start_ranks(plan: launch.Plan, request: TrainRequest, console: TrainConsole) -> int:
    """Start several processes, after all checks that can be made before any of them starts."""
    check_combination(request)
    run_config = None
    if request.resume:
        runs = paths.runs_dir(request.run_dir)
        with contextlib.suppress(NotFound), RunReader(control.find_run(request.resume, runs).run_db) as reader:
            run_config = control.run_config_of(
                reader
            )  # if it is not found, rank 0 may rebuild it from the tracking server
    elif not request.source:
        run_config, _ = resolve(request, None)
        signing.take_up(run_config)
        check_data(run_config)
    launch.check(plan, run_config)
    return supervisor.run(plan, request.rank_command, console)


def _asked(request: TrainRequest) -> dict[str, Any] | None:
    """This rank's resolved configs, to compare with rank 0's; None if they come from a checkpoint. Raises Refused."""
    check_combination(request)
    if request.source or request.resume:
        return None
    run_config, live = resolve(request, None)
    return {**run_config, **live}


def _lead(request: TrainRequest, console: TrainConsole, preflight: Preflight | None, has_terminal: bool) -> int:
    """The training on rank 0, or in the only process."""
    check_combination(request)
    if request.tui and not has_terminal:
        raise messages.TUI_WITHOUT_TERMINAL()
    runs = paths.runs_dir(request.run_dir)
    if request.check:
        return _check(request, runs, console)
    begun = elastic.begun()
    if begun is not None:
        request = replace(  # the settings are on record since the first start
            request, resume=str(begun), settings=(), max_steps=None, data=request.data if request.resume else None
        )
    if request.resume:
        return _resume(request, request.resume, runs, console, preflight)
    return _start(request, runs, console, preflight)


def _check(request: TrainRequest, runs: Path, console: TrainConsole) -> int:
    source = StartSource.of(request.source, runs) if request.source else None
    run_config, live = resolve(request, source, console.say)
    signing.take_up(run_config)
    uri = request.deliver_to or paths.tracking_uri(runs)
    parent = source.folder if source else None
    return dry_run(run_config, live, runs=runs, uri=uri, parent=parent, console=console, as_json=request.as_json)


def _start(request: TrainRequest, runs: Path, console: TrainConsole, preflight: Preflight | None) -> int:
    source = StartSource.of(request.source, runs) if request.source else None
    run_config, live = resolve(request, source, console.say)
    if preflight is not None and source is None:
        preflight.asked = {**run_config, **live}
    signing.take_up(run_config)
    webhook = alerts.take_out(run_config, RunPaths(source.folder.root.parent.parent) if source else None)
    check_data(run_config)
    uri = request.deliver_to or paths.tracking_uri(runs)
    experiment, experiment_id = (request.experiment, None) if request.experiment else environment.experiment()
    delivery = Delivery.start(
        uri=uri, mlflow_run_id=None if request.deliver_to else os.environ.get("MLFLOW_RUN_ID"), is_ours=False,
        run_name=run_config["name"], experiment=experiment, experiment_id=None if request.deliver_to else experiment_id,
        tensorboard=True, pinned=bool(request.deliver_to),
    )  # fmt: skip
    try:
        from vsrpp.training.forecast import schedule_oddities
        from vsrpp.training.start import prepare_new

        for line in schedule_oddities(run_config, live):
            console.say(f"⚠️  {line}")
        prepared = prepare_new(
            run_config, live, runs=runs, run_id=lambda: tracked_run.run_id(delivery, uri, console.say),
            say=console.say, parent=source.folder if source else None, lineage=source.lineage if source else None,
            preflight=preflight,
        )  # fmt: skip
    except BaseException:
        delivery.finish(1.0)
        raise
    alerts.keep(prepared.paths, webhook)
    elastic.remember(prepared.paths.root)
    return _train(prepared, delivery, uri, request, console)


def _resume(
    request: TrainRequest, run: str, runs: Path, console: TrainConsole, preflight: Preflight | None
) -> int:  # fmt: skip
    trust.allow(request.trust_code)
    folder = tracked_run.found_or_rebuilt(run, runs, request.deliver_to or paths.tracking_uri(runs), console.say)
    if control.is_live(folder):
        raise messages.ALREADY_TRAINING(run_id=folder.run_id)
    limits, edit = on_resume(request, control.run_config(folder))
    uri = request.deliver_to or uri_of(folder, paths.tracking_uri(folder.root.parent))
    delivery = Delivery.start(
        uri=uri, mlflow_run_id=tracked_run.mlflow_run_id(folder), run_name=None, experiment=None, tensorboard=True,
        pinned=bool(request.deliver_to),
    )  # fmt: skip
    try:
        from vsrpp.training.resume import prepare_resume

        prepared = prepare_resume(
            folder,
            say=console.say,
            limits=limits,
            edit=edit,
            preflight=preflight,
            allow_changed_code=request.allow_changed_code,
            moved_to=request.data,
        )
    except BaseException:
        delivery.finish(1.0)
        raise
    elastic.remember(folder.root)
    return _train(prepared, delivery, uri, request, console)


def _train(
    prepared: Prepared, delivery: Delivery, uri: str, request: TrainRequest, console: TrainConsole
) -> int:  # fmt: skip
    from vsrpp.training.loop import train as run_loop
    from vsrpp.training.open_run import open_run

    delivery.follow(prepared.paths.root)
    console.begin(_facts(prepared))
    console.say(who_steers(prepared.run_config, uri))
    sidecars = Sidecars(
        prepared.paths, panel=request.panel, panel_token=request.panel_token, tensorboard=request.tensorboard,
        say=console.say, tui=request.tui,
    )  # fmt: skip
    console.silent = sidecars.holds_terminal
    wait_alerts = WaitAlerts(alerts.read(prepared.paths), prepared.paths.run_id, prepared.run_config)

    def told(wait: Wait) -> None:
        """On standard error, and to the webhook: both work where the run folder cannot be written."""
        event = "waiting" if not wait.over else "waited" if wait.saved else "not_saved"
        line = wait_line(wait)
        if event != "not_saved":  # the command's last line says that
            console.rank_line(f"vsrpp: {line}")
        wait_alerts.tell(event, wait.step, wait.because, line)

    ended = "failed"
    try:
        run = open_run(
            prepared, on_event=console.event, on_progress=console.progress,
            watch=lambda: [*tracked_run.news(delivery), *sidecars.failures()], on_wait=told,
        )  # fmt: skip
        ended = run_loop(run)
    finally:
        console.end_progress()
        wait_alerts.close()
        report = delivery.finish(DRAIN_S)
        sidecars.close(wait_for_person=ended == "finished")
        into_one_file(*prepared.paths.databases)
        for line in tracked_run.report_lines(report, prepared.paths):
            console.say(line)
    console.summary(prepared.paths)
    return START_AGAIN if ended == "SIGTERM" else 0


def wait_line(wait: Wait) -> str:
    """One line for people: that the run waits, and what it does then; or that this is over."""
    why, span = wait.because["message"], duration(time.time() - wait.since)
    if not wait.over:
        return messages.WAITS.sentence(step=wait.step, why=why)
    reason = messages.WAIT_OVER if wait.saved else messages.WAIT_GIVEN_UP
    return reason.sentence(step=wait.step, why=why, span=span)


def _facts(run: Prepared) -> RunFacts:
    from vsrpp import models
    from vsrpp.data import sample_line, val_sample_of

    cost = models.step_cost(run.run_config)
    return RunFacts(
        paths=run.paths, run_config=run.run_config, windows=run.data.samples_per_epoch,
        val_frames=run.data.val_frames[0], val_sample=sample_line(val_sample_of(run.data)),
        data_notes=run.data.survey.lines(),
        parameters=cost.parameters, step_flops=cost.flops,
        step_memory_bytes=cost.memory_bytes, exact=models.exact(run.run_config),
    )  # fmt: skip
