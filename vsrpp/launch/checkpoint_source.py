"""Finds the checkpoint a user names, locally or on the tracking server: RUN, RUN@STEP, a checkpoint folder or models:/…"""

from __future__ import annotations

import tempfile
from pathlib import Path

from vsrpp import control, paths
from vsrpp.errors import NotFound
from vsrpp.launch import messages
from vsrpp.paths import CheckpointPaths
from vsrpp.store import RunReader
from vsrpp.tracking import uri_of


def checkpoint_folder(source: str, runs: Path) -> CheckpointPaths:
    """The local folder of the checkpoint that RUN, RUN@STEP, a folder or models:/… names; downloaded if necessary.

    Raises NotFound, naming the nearest existing step, or Refused.
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
    """Split RUN or RUN@STEP into run and step; without a step, `latest`. Raises Refused for an invalid step."""
    name, _, step = source.partition("@")
    return name, parse_step(step or "latest")


def parse_step(text: str) -> int | str:
    """`best`, `latest` or a step. Raises Refused."""
    if text in ("best", "latest"):
        return text
    if text.isdecimal():
        return int(text)
    raise messages.NOT_A_STEP(text=text)


def _new_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="vsrpp-from-")) / "checkpoint"


def _local_step(run: paths.RunPaths, step: int | str) -> int:
    """The step to use, among the checkpoints on the run's current line. Raises NotFound."""
    with RunReader(run.run_db) as reader:
        line = control.lineage(reader.events())
    manifests = {saved: control.manifest_of(run, saved) or {} for saved in control.checkpoint_steps(run)}
    steps = [saved for saved, manifest in manifests.items() if line.holds(int(manifest.get("branch", 0)), saved)]
    if not steps:
        raise messages.NO_CHECKPOINT_YET(run_id=run.run_id)
    if step == "latest":
        return steps[-1]
    if step == "best":
        best = control.status(run)["best"]
        if best is None or best["step"] not in steps:
            raise messages.NO_BEST_CHECKPOINT(run_id=run.run_id)
        return int(best["step"])
    assert isinstance(step, int)
    if step not in steps:
        nearest = min(steps, key=lambda saved: abs(saved - step))
        raise messages.NO_CHECKPOINT_AT_STEP(run_id=run.run_id, step=step, nearest=nearest)
    return step
