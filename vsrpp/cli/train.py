"""train: resolve the config, start delivery, prepare the run, train, say how it ended."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsrpp import config, control, paths
from vsrpp.cli.console import Console
from vsrpp.control import alerts
from vsrpp.control.numbers import LIMITS
from vsrpp.errors import START_AGAIN, NotFound, Refused
from vsrpp.launch import elastic, world
from vsrpp.launch import plan as launch
from vsrpp.launch.ranks import follow, joined
from vsrpp.launch.sidecars import Sidecars
from vsrpp.paths import CheckpointPaths, RunPaths
from vsrpp.store import RunReader
from vsrpp.tracking import Delivery, uri_of
from vsrpp.tracking.environment import without_password

if TYPE_CHECKING:
    from vsrpp.training.preflight import Meeting

DRAIN_S = 120.0
"""How long the end of a run waits for what the tracking server has not got yet; the rest is for `vsrpp sync`."""


def train(options: argparse.Namespace) -> int:
    """Train, as the one process of a run or as one rank of several, or start those; the exit status."""
    plan = launch.plan(options, world.adopt_slurm())
    if plan is not None:
        return _launch(plan, options)
    with joined() as meeting:
        if meeting is not None and not meeting.group.leads:
            return follow(meeting, lambda: _asked(options))
        with meeting or contextlib.nullcontext():
            return _lead(options, meeting)


def _lead(options: argparse.Namespace, meeting: Meeting | None) -> int:
    _check_combination(options)
    if options.tui and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Refused("--tui needs a terminal; without one, leave it out: progress is printed line by line.")
    runs = paths.runs_dir(options.run_dir)
    if options.check:
        return _check(options, runs)
    console = Console()
    begun = elastic.begun()
    if begun is not None:
        options.resume = str(begun)
    if options.resume:
        return _resume(options, runs, console, meeting)
    return _start(options, runs, console, meeting)


def _launch(plan: launch.Plan, options: argparse.Namespace) -> int:
    """Several processes: what can be refused is refused here, before any of them starts."""
    _check_combination(options)
    run_config = None
    if options.resume:
        runs = paths.runs_dir(options.run_dir)
        with contextlib.suppress(NotFound), RunReader(control.find_run(options.resume, runs).run_db) as reader:
            run_config = control.run_config_of(reader)  # not found: rank 0 may bring it from the tracking server
    elif not options.source:
        run_config, _ = _resolve(options, None)
        _look_at_data(run_config)
    launch.check(plan, run_config)
    from vsrpp.launch import supervisor

    return supervisor.run(plan, options.words)


def _asked(options: argparse.Namespace) -> dict[str, Any] | None:
    """What a rank's command line asks for, to be compared; None where a checkpoint says most of it. Raises Refused."""
    _check_combination(options)
    if options.source or options.resume:
        return None
    run_config, live = _resolve(options, None)
    return {**run_config, **live}


def _start(options: argparse.Namespace, runs: Path, console: Console, meeting: Meeting | None) -> int:
    source = _Source.of(options, runs) if options.source else None
    run_config, live = _resolve(options, source)
    if meeting is not None and source is None:
        meeting.asked = {**run_config, **live}
    webhook = alerts.take_out(run_config, RunPaths(source.folder.root.parent.parent) if source else None)
    _look_at_data(run_config)
    uri = options.deliver_to or paths.tracking_uri(runs)
    delivery = Delivery.start(
        uri=uri, mlflow_run_id=None if options.deliver_to else os.environ.get("MLFLOW_RUN_ID"),
        run_name=run_config["name"], experiment=os.environ.get("MLFLOW_EXPERIMENT_NAME"), tensorboard=True,
        pinned=bool(options.deliver_to),
    )  # fmt: skip
    try:
        from vsrpp.training.start import prepare_new

        prepared = prepare_new(
            run_config, live, runs=runs, run_id=lambda: _run_id(delivery, uri, console), say=console.say,
            parent=source.folder if source else None, lineage=source.lineage if source else None,
            meeting=meeting,
        )  # fmt: skip
    except BaseException:
        delivery.finish(1.0)
        raise
    alerts.keep(prepared.paths, webhook)
    elastic.remember(prepared.paths.root)
    return _train(prepared, delivery, options, console)


def _check(options: argparse.Namespace, runs: Path) -> int:
    """Try the run that would be started, and start none."""
    from vsrpp.cli.dry_run import check

    source = _Source.of(options, runs) if options.source else None
    run_config, live = _resolve(options, source)
    uri = options.deliver_to or paths.tracking_uri(runs)
    return check(run_config, live, runs=runs, uri=uri, parent=source.folder if source else None, as_json=options.json)


def _resume(options: argparse.Namespace, runs: Path, console: Console, meeting: Meeting | None) -> int:
    limits = _limits(options)
    folder = _found_or_rebuilt(options.resume, runs, options.deliver_to or paths.tracking_uri(runs), console)
    if control.is_live(folder):
        raise Refused(f"run {folder.run_id} is training already; only one process may train it.")
    uri = options.deliver_to or uri_of(folder, paths.tracking_uri(folder.root.parent))
    delivery = Delivery.start(
        uri=uri, mlflow_run_id=_mlflow_run_of(folder), run_name=None, experiment=None, tensorboard=True,
        pinned=bool(options.deliver_to),
    )  # fmt: skip
    try:
        from vsrpp.training.start import prepare_resume

        prepared = prepare_resume(folder, say=console.say, limits=limits, meeting=meeting)
    except BaseException:
        delivery.finish(1.0)
        raise
    elastic.remember(folder.root)
    return _train(prepared, delivery, options, console)


def _found_or_rebuilt(name: str, runs: Path, uri: str, console: Console) -> RunPaths:
    """The run folder; made again from the tracking server where it is not on this host."""
    try:
        return control.find_run(name, runs)
    except NotFound as not_here:
        from vsrpp.tracking.rebuild import rebuild

        try:
            rebuilt = rebuild(name, uri, runs)
        except NotFound as not_there:
            raise NotFound(f"{not_here} {not_there}") from None
    console.say(rebuilt.summary)
    return rebuilt.paths


def _train(prepared: Any, delivery: Delivery, options: argparse.Namespace, console: Console) -> int:
    from vsrpp.training.trainer import Trainer

    delivery.follow(prepared.paths.root)
    console.begin(prepared)
    sidecars = Sidecars(
        prepared.paths, panel=not options.no_panel, tensorboard=not options.no_tensorboard, say=console.say,
        tui=options.tui,
    )  # fmt: skip
    console.silent = sidecars.holds_terminal
    ended = "failed"
    try:
        trainer = Trainer(
            prepared, on_event=console.event, on_progress=console.progress,
            watch=lambda: [*_news(delivery), *sidecars.failures()],
        )  # fmt: skip
        ended = trainer.train()
    finally:
        console.end_progress()
        report = delivery.finish(DRAIN_S)
        sidecars.close(wait_for_person=ended == "finished")
        _say_report(report, prepared.paths, console)
    console.summary(prepared.paths)
    return START_AGAIN if ended == "SIGTERM" else 0


# ---- config and source
class _Source:
    """What `--from` names, found on disk or brought from the tracking server."""

    def __init__(self, folder: CheckpointPaths, lineage: dict[str, Any]) -> None:
        self.folder = folder
        self.lineage = lineage

    @classmethod
    def of(cls, options: argparse.Namespace, runs: Path) -> _Source:
        """Raises NotFound if there is no such checkpoint."""
        from vsrpp.cli.restore import checkpoint_folder

        folder = checkpoint_folder(options.source, runs)
        manifest = json.loads(folder.manifest.read_text(encoding="utf-8"))
        return cls(folder, {"run_id": manifest["run_id"], "step": manifest["step"], "source": options.source})


def _resolve(options: argparse.Namespace, source: _Source | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two configs: of the source if there is one, else of the preset; then the file, then --set, then options."""
    sets = config.parse_assignments(options.set)
    overrides = {"data": options.data, "max_steps": options.max_steps, **_limits(options)}
    file = config.config_file(options.config) if options.config else None
    if source is not None:
        import yaml

        theirs = yaml.safe_load(source.folder.run_config.read_text(encoding="utf-8"))
        live = json.loads(source.folder.runtime_config.read_text(encoding="utf-8"))
        live.pop("revision", None)
        theirs.pop("preset", None)
        theirs.pop("max_hours", None)  # it was that run's budget
        theirs.pop("pretrained", None)  # the weights are the checkpoint's
        known = config.parameters()
        inherited = {key: value for key, value in {**theirs, **live}.items() if key in known}
        sets = {**inherited, "device": "auto", **sets}
    run_config, live_config = config.resolve(options.preset, file, sets, **overrides)
    from vsrpp.data import with_absolute_paths

    for key in ("data", "val_data", "perceptual_weights", "pretrained"):
        run_config[key] = with_absolute_paths(run_config.get(key))
    return run_config, live_config


def _limits(options: argparse.Namespace) -> dict[str, Any]:
    """max_hours and cost_per_hour as far as they were given, checked. `none` takes one away. Raises Refused."""
    given = {key: getattr(options, key) for key in LIMITS}
    said = config.parse_assignments(f"{key}={value}" for key, value in given.items() if value is not None)
    return {key: value for key, value in config.resolve(None, None, said)[0].items() if key in said}


def _look_at_data(run_config: dict[str, Any]) -> None:
    """A path that holds nothing is found now, before anything is started."""
    from vsrpp.data import find_all

    find_all(run_config)


def _check_combination(options: argparse.Namespace) -> None:
    if options.check and options.resume:
        raise Refused("--check tries a run that is to be started, and --resume continues one: give one of them.")
    if options.json and not options.check:
        raise Refused("--json goes with --check; of a run that trains: vsrpp status RUN --json")
    if options.resume and options.source:
        raise Refused("--resume continues a run and --from starts a new one: give one of them.")
    if options.resume:
        extra = [
            name
            for name, value in (
                ("--preset", options.preset), ("--config", options.config), ("--data", options.data),
                ("--set", options.set), ("--max-steps", options.max_steps),
            )
            if value
        ]  # fmt: skip
        if extra:
            raise Refused(
                f"{', '.join(extra)} cannot change a run that is resumed: its config is on record."
                f" Change it while it trains (vsrpp set), or start a new run: vsrpp train --from {options.resume}"
            )


# ---- tracking
def _run_id(delivery: Delivery, uri: str, console: Console) -> str | None:
    """The MLflow run's ID, which names the run; None if the server cannot be had, and training starts all the same."""
    found = delivery.run_id()
    if found is None:
        console.say(
            f"⚠️  The tracking server at {without_password(uri)} cannot be reached ({delivery.why})."
            " Training starts; it gets everything later."
        )
    return found


def _mlflow_run_of(folder: RunPaths) -> str | None:
    from vsrpp.store import Marks

    try:
        marks = Marks(folder.delivery_db, readonly=True)
    except NotFound:
        return folder.run_id
    try:
        fact = marks.fact("mlflow_run")
        return fact["run_id"] if isinstance(fact, dict) else folder.run_id
    finally:
        marks.close()


def _news(delivery: Delivery) -> list[tuple[str, dict[str, Any]]]:
    news = [(item.type, dict(item.data)) for item in delivery.news()]
    trouble = delivery.check()
    return [*news, ("face_failed", {"face": "delivery", "error": trouble})] if trouble else news


def _say_report(report: Any, run: RunPaths, console: Console) -> None:
    if not report.delivered:
        console.say(
            f"⚠️  Not delivered yet: {report.rows_left} rows, {report.artifacts_left} artifacts ({report.why})."
            f" Later: vsrpp sync {run.root}"
        )
    elif report.why:
        console.say(f"⚠️  Delivered, but: {report.why}")
    sys.stdout.flush()
