"""restore, promote and sync: what the tracking server has, brought here; what it has not, brought there."""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from pathlib import Path

from vsrpp import control, paths
from vsrpp.cli.commands import runs_folder
from vsrpp.errors import NotFound, Refused, VsrppError
from vsrpp.output import green, print_json
from vsrpp.paths import CheckpointPaths
from vsrpp.store import RunReader
from vsrpp.tracking.process import uri_of


def restore(options: argparse.Namespace) -> int:
    from vsrpp.tracking.restore import restore as bring

    runs = runs_folder(options)
    found = bring(
        options.target, step=parse_step(options.step), out=Path(options.out), uri=paths.tracking_uri(runs), runs=runs
    )
    if options.json:
        print_json(
            {"run_id": found.run_id, "step": found.step, "revision": found.revision, "path": str(found.path),
             "source": found.source, "verified": found.verified}
        )  # fmt: skip
        return 0
    print(green(f"✅ Config restored from step {found.step}"))
    print(f"Run {found.run_id}, revision {found.revision}, from {found.source}; every hash checked")
    print(f"{found.path}")
    print(f"Train on from it: vsrpp train --from {found.path}")
    return 0


def sync(options: argparse.Namespace) -> int:
    from vsrpp.tracking import uri_of
    from vsrpp.tracking.sync import sync as deliver

    run = control.find_run(options.target, runs_folder(options))
    if control.is_live(run):
        raise Refused(f"run {run.run_id} is training: it delivers by itself.")
    report = deliver(run.root, uri_of(run, paths.tracking_uri(run.root.parent)))
    if options.json:
        print_json(report.to_json())
    elif report.delivered and report.why:
        print(f"⚠️  delivered, but: {report.why}")
    elif report.delivered:
        print(green(f"✅ everything of {run.run_id} is delivered"))
    if not report.delivered:
        raise VsrppError(f"{report.rows_left} rows and {report.artifacts_left} artifacts are left: {report.why}.")
    return 0


def promote(options: argparse.Namespace) -> int:
    from vsrpp.tracking import uri_of
    from vsrpp.tracking.registry import promote as point

    runs = runs_folder(options)
    name, step = _run_and_step(options.target)
    uri = paths.tracking_uri(runs)
    with contextlib.suppress(NotFound):
        run = control.find_run(name, runs)
        name, uri = run.run_id, uri_of(run, uri)
    done = point(name, step, alias=options.alias, name=options.name, uri=uri)
    if options.json:
        print_json(done.to_json())
        return 0
    before = f" (was version {done.previous_version})" if done.previous_version not in (None, done.version) else ""
    print(green(f"✅ {done.uri} is step {done.step} of run {done.run_id}, version {done.version}{before}"))
    print(f"Train on from it: vsrpp train --from {done.uri}")
    return 0


def _run_and_step(source: str) -> tuple[str, int | str]:
    """RUN or RUN@STEP; the newest step unless said."""
    name, _, wanted = source.partition("@")
    return name, parse_step(wanted or "latest")


def checkpoint_folder(source: str, runs: Path) -> CheckpointPaths:
    """The checkpoint that RUN, RUN@STEP, a folder or models:/… names, on disk; fetched from MLflow if it is not.

    Raises NotFound, naming the nearest step there is, or Refused.
    """
    folder = CheckpointPaths(Path(source).expanduser())
    if folder.manifest.is_file():
        return CheckpointPaths(folder.root.resolve())
    if source.startswith("models:/"):
        from vsrpp.tracking.registry import fetch

        return CheckpointPaths(fetch(source, _new_folder(), paths.tracking_uri(runs)).path)
    name, step = _run_and_step(source)
    try:
        run = control.find_run(name, runs)
    except NotFound:
        run = None
    uri = paths.tracking_uri(runs)
    if run is not None:
        try:
            return run.checkpoint(_local_step(run, step))
        except NotFound:
            uri = uri_of(run, uri)
            if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
                raise
    from vsrpp.tracking.restore import restore as bring

    return CheckpointPaths(bring(name, step=step, out=_new_folder(), uri=uri, runs=runs).path)


def _new_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="vsrpp-from-")) / "checkpoint"


def _local_step(run: paths.RunPaths, step: int | str) -> int:
    with RunReader(run.run_db) as reader:
        line = control.lineage(reader.events())
    manifests = {there: control.manifest_of(run, there) or {} for there in control.checkpoint_steps(run)}
    steps = [there for there, manifest in manifests.items() if line.holds(int(manifest.get("branch", 0)), there)]
    if not steps:
        raise NotFound(f"run {run.run_id} has no checkpoint yet.")
    if step == "latest":
        return steps[-1]
    if step == "best":
        best = control.status(run)["best"]
        if best is None or best["step"] not in steps:
            raise NotFound(f"no checkpoint of run {run.run_id} that has been validated is here.")
        return int(best["step"])
    assert isinstance(step, int)
    if step not in steps:
        nearest = min(steps, key=lambda there: abs(there - step))
        raise NotFound(f"run {run.run_id} has no checkpoint at step {step}; the nearest is {nearest}.")
    return step


def parse_step(text: str) -> int | str:
    """`best`, `latest` or a step. Raises Refused."""
    if text in ("best", "latest"):
        return text
    if text.isdecimal():
        return int(text)
    raise Refused(f"step {text} refused: must be a step, `best` or `latest`.")
