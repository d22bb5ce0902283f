"""The commands backup and rebuild: copy a run, and rebuild a run folder from the tracking server."""

from __future__ import annotations

from pathlib import Path

from vsrpp import control, paths
from vsrpp.cli import early
from vsrpp.cli.json_output import print_json
from vsrpp.errors import NotFound
from vsrpp.formats import counted, size
from vsrpp.output import green, say, yellow
from vsrpp.paths import RunPaths
from vsrpp.safe_text import safe
from vsrpp.tracking import uri_of


def backup(run: str, *, file: Path, run_dir: Path | None, as_json: bool) -> int:
    """Copy a run, which may be training, to a new file. Raises Refused, NotFound or VsrppError."""
    made = control.backup(control.find_run(run, paths.runs_dir(run_dir)), file)
    if as_json:
        print_json(made.to_json())
        return 0
    steps = ", ".join(map(str, made.checkpoints))
    contents = f"{counted(made.events, 'event')} up to step {made.step}" + (f", checkpoints {steps}" if steps else "")
    say(green(f"✅ {safe(made.file)}: {contents}, {size(made.size_bytes)}"))
    for name in made.left_out:
        say(yellow(f"⚠️  left out, because it is damaged or was just changing: {safe(name)}"))
    if file.suffix == ".tar":
        say(f"Restore it: tar xf {safe(made.file)} -C RUNS, then vsrpp train --resume RUNS/{safe(made.run_id)}")
    return 0


def rebuild(run: str, *, run_dir: Path | None, as_json: bool) -> int:
    """Rebuild a damaged run folder from MLflow. Raises Refused, NotFound or ProofFailed."""
    runs = paths.runs_dir(run_dir)
    folder = _folder(run, runs)
    uri = paths.tracking_uri(runs) if folder is None else uri_of(folder, paths.tracking_uri(folder.root.parent))
    if early.has_server(uri):
        early.asking(uri)
    from vsrpp.tracking import rebuild as rebuilding

    made = rebuilding.rebuild(run, uri, runs) if folder is None else rebuilding.replace(folder, uri)
    if as_json:
        print_json(
            {"run_id": made.paths.run_id, "run_dir": str(made.paths.root.resolve()), "step": made.step,
             "last_step": made.last_step, "set_aside": str(made.set_aside) if made.set_aside else None}
        )  # fmt: skip
        return 0
    say(green(f"✅ {safe(made.summary)}"), hang=3)
    if made.set_aside:
        say(f"The damaged folder is now {safe(str(made.set_aside))}")
    return 0


def _folder(run: str, runs: Path) -> RunPaths | None:
    """The run's folder, even if it has no record; None if there is none on this host. Raises Refused."""
    try:
        return control.find_run(run, runs)
    except NotFound:
        if run == "latest":
            raise
        named = (Path(run).expanduser(), runs / run)
        return next((RunPaths(folder.resolve()) for folder in named if folder.is_dir()), None)
