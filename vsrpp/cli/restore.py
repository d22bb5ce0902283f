"""restore, promote and sync: what the tracking server has, brought here; what it has not, brought there."""

from __future__ import annotations

import contextlib
from pathlib import Path

from vsrpp import control, paths
from vsrpp.errors import NotFound, Refused, VsrppError
from vsrpp.launch.checkpoint_source import run_and_ref
from vsrpp.output import green, print_json
from vsrpp.tracking import uri_of


def restore(run: str, *, step: str, out: Path, run_dir: Path | None, as_json: bool) -> int:
    """Put a checkpoint and its config into the new folder `out`. Raises Refused, NotFound or ProofFailed."""
    from vsrpp.tracking.restore import restore as restore_checkpoint

    runs = paths.runs_dir(run_dir)
    restored = restore_checkpoint(run, step=step, out=out, uri=paths.tracking_uri(runs), runs=runs)
    if as_json:
        print_json(
            {"run_id": restored.run_id, "step": restored.step, "revision": restored.revision,
             "path": str(restored.path), "source": restored.source, "verified": restored.verified}
        )  # fmt: skip
        return 0
    print(green(f"✅ Config restored from step {restored.step}"))
    print(f"Run {restored.run_id}, revision {restored.revision}, from {restored.source}; every hash checked")
    print(f"{restored.path}")
    print(f"Train on from it: vsrpp train --from {restored.path}")
    return 0


def sync(run: str, *, run_dir: Path | None, as_json: bool) -> int:
    """Upload what the tracking server lacks. Raises Refused for a run that trains, VsrppError where something is left."""
    from vsrpp.tracking.sync import sync as deliver

    folder = control.find_run(run, paths.runs_dir(run_dir))
    if control.is_live(folder):
        raise Refused(f"run {folder.run_id} is training: it delivers by itself.")
    report = deliver(folder.root, uri_of(folder, paths.tracking_uri(folder.root.parent)))
    if as_json:
        print_json(report.to_json())
    elif report.delivered and report.why:
        print(f"⚠️  delivered, but: {report.why}")
    elif report.delivered:
        print(green(f"✅ everything of {folder.run_id} is delivered"))
    if not report.delivered:
        raise VsrppError(f"{report.rows_left} rows and {report.artifacts_left} artifacts are left: {report.why}.")
    return 0


def promote(source: str, *, alias: str, name: str, run_dir: Path | None, as_json: bool) -> int:
    """Register RUN or RUN@STEP as a version of the model `name` and point `alias` at it. Raises NotFound or Refused."""
    from vsrpp.tracking.registry import promote as register

    runs = paths.runs_dir(run_dir)
    run, ref = run_and_ref(source)
    uri = paths.tracking_uri(runs)
    with contextlib.suppress(NotFound):
        folder = control.find_run(run, runs)
        run, uri = folder.run_id, uri_of(folder, uri)
    version = register(run, ref, alias=alias, name=name, uri=uri)
    if as_json:
        print_json(version.to_json())
        return 0
    changed = version.previous_version not in (None, version.version)
    before = f" (was version {version.previous_version})" if changed else ""
    print(green(f"✅ {version.uri} is step {version.step} of run {version.run_id}, version {version.version}{before}"))
    print(f"Train on from it: vsrpp train --from {version.uri}")
    return 0
