"""Checks that only look at the disk: made before torch or MLflow is imported, and before a server is contacted."""

from __future__ import annotations

from pathlib import Path

from vsrpp import control, paths
from vsrpp.cli import messages
from vsrpp.control.checkpoint_ref import CheckpointRef, KnownCheckpoint
from vsrpp.errors import NotFound
from vsrpp.output import say
from vsrpp.paths import CheckpointPaths, RunPaths
from vsrpp.safe_text import redact
from vsrpp.store import RunReader
from vsrpp.tracking import uri_of


def asking(uri: str) -> None:
    """Announce on standard error that a tracking server is being contacted, which can take a while."""
    say(f"asking the tracking server {redact(uri, path=True)} …", stderr=True)


def has_server(uri: str) -> bool:
    """Whether there is a server to contact; contacting a missing SQLite store would create it."""
    return not uri.startswith("sqlite:///") or Path(uri.removeprefix("sqlite:///")).is_file()


def find_or_ask(name: str, runs: Path) -> RunPaths | None:
    """The run folder; None, with a notice on standard error, if the tracking server must be asked.

    Raises NotFound if the server cannot help (`latest` without a local run, what is no run ID, no tracking store),
    Refused for an ambiguous prefix.
    """
    try:
        return control.find_run(name, runs)
    except NotFound:
        uri = paths.tracking_uri(runs)
        if name == "latest" or not is_run_id(name) or not has_server(uri):
            raise
        asking(uri)
        return None


def is_run_id(name: str) -> bool:
    """Whether a name can be a run ID or a prefix of one, on this host or on the server; `latest@40` and paths cannot."""
    return bool(name) and all(letter.isalnum() or letter in "-_" for letter in name)


def check_checkpoint(source: str, runs: Path) -> bool:
    """Check that RUN, RUN@STEP or a folder can name a checkpoint. Raises NotFound or Refused otherwise.

    Returns whether the tracking server will be asked, which was then announced.
    """
    if CheckpointPaths(Path(source).expanduser()).manifest.is_file():
        return False
    if source.startswith("models:/"):
        uri = paths.tracking_uri(runs)
        if has_server(uri):
            asking(uri)
        return has_server(uri)
    name, _, text = source.partition("@")
    ref = CheckpointRef.parse(text or "latest")
    run = find_or_ask(name, runs)
    return run is None or check_step(run, ref)


def check_step(run: RunPaths, ref: CheckpointRef) -> bool:
    """Check that a run has, or ever had, the checkpoint. Raises NotFound, naming the nearest.

    Returns whether the tracking server will be asked for it, which was then announced.
    """
    with RunReader(run.run_db) as reader:
        line, best_by = control.line_of(reader), control.BestRule.of(control.run_config_of(reader))
        saved = list(reader.events(types=("checkpoint_saved",)))
    on_disk = control.local_checkpoints(run, line)
    recorded = [
        KnownCheckpoint(
            step=event.step, branch=event.branch, revision=int(event.data.get("revision", event.revision)),
            on_line=line.holds(event.branch, event.step), values=control.checkpoint_metrics(line, event),
        )
        for event in saved
    ]  # fmt: skip
    chosen = ref.choose([*on_disk, *recorded], run=run.run_id, best_by=best_by)
    uri = uri_of(run, paths.tracking_uri(run.root.parent))
    if any((local.step, local.branch) == (chosen.step, chosen.branch) for local in on_disk) or not has_server(uri):
        return False
    asking(uri)
    return True


def check_input(path: str | Path) -> None:
    """Raises NotFound if the path does not exist."""
    if str(path) != "sample" and not Path(path).expanduser().exists():
        raise messages.NOTHING_AT(path=path)


def check_new_file(path: Path, *, overwrite: bool = False) -> None:
    """Raises Refused for an existing file, unless it may be overwritten."""
    if path.expanduser().exists() and not overwrite:
        raise messages.EXISTS(path=path)


def check_folder_of(path: Path) -> None:
    """Raises VsrppError if a file cannot be written because its folder is missing."""
    folder = path.expanduser().absolute().parent
    if not folder.is_dir():
        raise messages.NO_FOLDER_FOR(path=path, folder=folder)


def check_empty(folder: Path) -> None:
    """Raises Refused for anything but a new or empty folder."""
    folder = folder.expanduser()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise messages.NOT_EMPTY(path=folder)
