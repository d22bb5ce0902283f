"""The commands restore, promote and sync, which exchange data with the tracking server."""

from __future__ import annotations

import contextlib
from pathlib import Path

from vsrpp import control, paths
from vsrpp.cli import early, messages
from vsrpp.cli.json_output import print_json
from vsrpp.cli.own_document import keep_document
from vsrpp.control import CheckpointRef
from vsrpp.errors import NotFound, ProofFailed
from vsrpp.formats import counted
from vsrpp.launch.checkpoint_source import run_and_ref
from vsrpp.output import green, say, yellow
from vsrpp.safe_text import safe
from vsrpp.tracking import uri_of


def restore(run: str, *, step: str, out: Path, run_dir: Path | None, as_json: bool) -> int:
    """Restore a checkpoint and its config into the new folder `out`. Raises Refused, NotFound or ProofFailed."""
    early.check_empty(out)
    ref = CheckpointRef.parse(step)
    runs = paths.runs_dir(run_dir)
    folder = early.find_or_ask(run, runs)
    if folder is not None:
        early.check_step(folder, ref)
    from vsrpp.tracking.restore import restore as restore_checkpoint

    restored = restore_checkpoint(run, step=ref, out=out, uri=paths.tracking_uri(runs), runs=runs)
    if as_json:
        print_json(
            {"run_id": restored.run_id, "step": restored.step, "revision": restored.revision,
             "path": str(restored.path), "source": restored.source, "verified": restored.verified}
        )  # fmt: skip
        return 0
    say(green(f"✅ Config restored from step {restored.step}"))
    say(f"Run {restored.run_id}, revision {restored.revision}, from {restored.source}; all hashes verified")
    say(safe(str(restored.path)))
    say(f"Continue from it: vsrpp train --from {safe(str(restored.path))}")
    return 0


def sync(run: str, *, run_dir: Path | None, as_json: bool) -> int:
    """Upload pending records. Raises Refused for a run that is training, VsrppError if any could not be uploaded."""
    folder = control.find_run(run, paths.runs_dir(run_dir))
    if control.is_live(folder):
        raise messages.SYNC_LIVE(run=folder.run_id)
    uri = uri_of(folder, paths.tracking_uri(folder.root.parent))
    early.asking(uri)
    from vsrpp.tracking.sync import sync as deliver

    report = deliver(folder.root, uri)
    if as_json:
        print_json(report.to_json())
    elif report.delivered and report.why:
        say(yellow(f"⚠️  uploaded, but: {report.why}"))
    elif report.delivered:
        say(green(f"✅ all records of {folder.run_id} are uploaded"))
    if not report.delivered:
        rows, artifacts = report.rows_left, report.artifacts_left
        left = f"{counted(rows, 'row')} and {counted(artifacts, 'artifact')}"
        raise messages.NOT_DELIVERED(rows=rows, artifacts=artifacts, left=left, why=report.why)
    return 0


def promote(source: str, *, alias: str, name: str, run_dir: Path | None, as_json: bool) -> int:
    """Register RUN or RUN@STEP as a version of the model `name` and point `alias` to it.

    Raises NotFound, Refused, or ProofFailed if the uploaded checkpoint does not verify.
    """
    runs = paths.runs_dir(run_dir)
    announced = early.check_checkpoint(source, runs)
    from vsrpp.tracking.registry import promote as register

    run, ref = run_and_ref(source)
    uri = paths.tracking_uri(runs)
    with contextlib.suppress(NotFound):
        folder = control.find_run(run, runs)
        run, uri = folder.run_id, uri_of(folder, uri)
    if not announced and early.has_server(uri):
        early.asking(uri)
    asked = {"run_id": None, "step": None, "name": name, "version": None, "alias": alias, "model_id": None, "uri": None,
             "previous_version": None}  # fmt: skip
    with keep_document(asked, ProofFailed, as_json=as_json, verified=False):
        version = register(run, ref, alias=alias, name=name, uri=uri)
    if as_json:
        print_json(version.to_json())
        return 0
    changed = version.previous_version not in (None, version.version)
    before = f" (was version {version.previous_version})" if changed else ""
    say(green(f"✅ {version.uri} is step {version.step} of run {version.run_id}, version {version.version}{before}"))
    say(f"Continue from it: vsrpp train --from {version.uri}")
    return 0
