"""The checkpoint that a person names: RUN, RUN@STEP, a checkpoint folder or models:/…, here or on the tracking server."""

from __future__ import annotations

import tempfile
from pathlib import Path

from vsrpp import control, paths
from vsrpp.errors import NotFound, Refused
from vsrpp.paths import CheckpointPaths
from vsrpp.store import RunReader
from vsrpp.tracking import uri_of


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
    name, step = run_and_step(source)
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
    from vsrpp.tracking.restore import restore

    return CheckpointPaths(restore(name, step=step, out=_new_folder(), uri=uri, runs=runs).path)


def run_and_step(source: str) -> tuple[str, int | str]:
    """RUN or RUN@STEP; the newest step unless given. Raises Refused for what is no step."""
    name, _, step = source.partition("@")
    return name, parse_step(step or "latest")


def parse_step(text: str) -> int | str:
    """`best`, `latest` or a step. Raises Refused."""
    if text in ("best", "latest"):
        return text
    if text.isdecimal():
        return int(text)
    raise Refused(f"step {text} refused: must be a step, `best` or `latest`.")


def _new_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="vsrpp-from-")) / "checkpoint"


def _local_step(run: paths.RunPaths, step: int | str) -> int:
    """The step meant, among those of the run folder that lie on its present line. Raises NotFound."""
    with RunReader(run.run_db) as reader:
        line = control.lineage(reader.events())
    manifests = {saved: control.manifest_of(run, saved) or {} for saved in control.checkpoint_steps(run)}
    steps = [saved for saved, manifest in manifests.items() if line.holds(int(manifest.get("branch", 0)), saved)]
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
        nearest = min(steps, key=lambda saved: abs(saved - step))
        raise NotFound(f"run {run.run_id} has no checkpoint at step {step}; the nearest is {nearest}.")
    return step
