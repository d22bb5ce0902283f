"""Finds the checkpoint a user names, locally or on the tracking server: RUN, RUN@STEP, a checkpoint folder or models:/…"""

from __future__ import annotations

import tempfile
from pathlib import Path

from vsrpp import control, paths
from vsrpp.control.checkpoint_ref import CheckpointRef
from vsrpp.control.local_checkpoints import LocalCheckpoint
from vsrpp.errors import NotFound
from vsrpp.paths import CheckpointPaths, RunPaths
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
    name, ref = run_and_ref(source)
    try:
        run = control.find_run(name, runs)
    except NotFound:
        if name == "latest":  # a word of this host, not the name of a run on the server
            raise
        run = None
    uri = paths.tracking_uri(runs)
    if run is not None:
        try:
            return CheckpointPaths(choose_local(run, ref).folder)
        except NotFound:
            uri = uri_of(run, uri)
            if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
                raise
    from vsrpp.tracking.restore import restore

    return CheckpointPaths(restore(name, step=ref, out=_new_folder(), uri=uri, runs=runs).path)


def run_and_ref(source: str) -> tuple[str, CheckpointRef]:
    """RUN or RUN@REF; the newest checkpoint unless REF says another. Raises Refused for what names no checkpoint."""
    name, _, ref = source.partition("@")
    return name, CheckpointRef.parse(ref or "latest")


def choose_local(run: RunPaths, ref: CheckpointRef) -> LocalCheckpoint:
    """The checkpoint meant, among those of the run folder that lie on its present line. Raises NotFound."""
    with RunReader(run.run_db) as reader:
        line, best_by = control.line_of(reader), control.BestRule.of(control.run_config_of(reader))
    on_line = [saved for saved in control.local_checkpoints(run, line) if saved.on_line]
    chosen: LocalCheckpoint = ref.choose(on_line, run=run.run_id, best_by=best_by)
    return chosen


def _new_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="vsrpp-from-")) / "checkpoint"
