"""Restores a checkpoint by run ID, from the run folder or from MLflow alone, after verifying every hash."""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vsrpp import manifest as manifests
from vsrpp.control import find_run, run_config_of
from vsrpp.control.best import BestRule
from vsrpp.control.checkpoint_ref import CheckpointRef
from vsrpp.control.lineage import line_of
from vsrpp.control.local_checkpoints import local_checkpoints
from vsrpp.digests import file_sha256
from vsrpp.errors import NotFound
from vsrpp.paths import CheckpointPaths
from vsrpp.smallfiles import read_small
from vsrpp.store import RunReader
from vsrpp.tracking import messages
from vsrpp.tracking.candidates import Candidate, CandidateList


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredCheckpoint:
    """The restored checkpoint and where it is now."""

    run_id: str
    step: int
    revision: int
    path: Path
    """The folder that contains model.safetensors."""
    source: str
    """`local` or `mlflow`."""
    verified: bool
    """Every file matched the SHA-256 in the manifest; always true for a returned checkpoint."""


def restore(
    run: str, *, step: CheckpointRef | int | str = "latest", out: Path, uri: str, runs: Path
) -> RestoredCheckpoint:
    """Copy or download one checkpoint of a run into the folder `out` (created; may exist if empty).

    `step` is a `CheckpointRef` or its text. The run folder under `runs` is tried first, then MLflow at `uri`.
    Raises Refused if `out` is not empty or `step` is not a valid reference, NotFound for an unknown run or step (naming
    the nearest), ProofFailed if a file does not match its manifest; `out` is then unchanged.
    """
    ref = step if isinstance(step, CheckpointRef) else CheckpointRef.parse(step)
    out = out.expanduser().absolute()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise messages.OUT_NOT_EMPTY(out=out)
    missing: list[NotFound] = []
    for source, look in (("local", lambda: _local(run, runs)), ("mlflow", lambda: _in_mlflow(run, uri))):
        try:
            available = look()
            chosen = available.choose(ref)
        except NotFound as error:
            missing.append(error)
            continue
        return place(chosen, out, available.run_id, source)
    local_error, server_error = missing
    if str(local_error) == str(server_error):
        raise server_error
    raise NotFound(f"{local_error} {server_error}", reason_code=local_error.reason_code, fields=local_error.fields)


def verify(
    folder: Path, manifest_sha256: str | None = None, *, holds: str = messages.NOTHING_RESTORED
) -> dict[str, Any]:
    """Check all files of a checkpoint folder against its manifest; returns it.

    Raises ProofFailed, naming the file; `holds` ends the sentence.
    """
    files = CheckpointPaths(folder)
    try:
        text = read_small(files.manifest)
        manifest = manifests.parse(text)
        listed = manifests.files_of(manifest, files)
    except (OSError, ValueError) as error:
        raise messages.MANIFEST_UNREADABLE(cause=error, holds=holds) from None
    if manifest_sha256 and hashlib.sha256(text).hexdigest() != manifest_sha256:
        raise messages.MANIFEST_CHANGED(holds=holds)
    for name, expected in listed.items():
        path = folder / name
        if not path.is_file():
            raise messages.FILE_MISSING(file=name, holds=holds)
        if file_sha256(path) != expected:
            raise messages.FILE_CHANGED(file=name, holds=holds)
    return manifest


def place(
    chosen: Candidate, out: Path, run_id: str, source: str, *, holds: str = messages.NOTHING_RESTORED
) -> RestoredCheckpoint:
    """Fetch a checkpoint beside `out`, verify it, then rename it.

    Raises ProofFailed; `out` is then unchanged, and `holds` ends the sentence.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    building = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        anchor = chosen.fetch(building)
        manifest = verify(building, anchor, holds=holds)
        if manifest.get("step") != chosen.step:
            raise messages.OTHER_STEP(step=manifest.get("step"), wanted=chosen.step, holds=holds)
        if out.exists():
            out.rmdir()
        building.rename(out)
    except OSError as error:
        raise messages.OUT_NOT_WRITTEN(out=out, cause=error) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return RestoredCheckpoint(
        run_id=str(manifest.get("run_id") or run_id), step=chosen.step, revision=int(manifest.get("revision", 0)),
        path=out, source=source, verified=True,
    )  # fmt: skip


def _local(run: str, runs: Path) -> CandidateList:
    paths = find_run(run, runs)
    with RunReader(paths.run_db) as reader:
        line, best_by = line_of(reader), BestRule.of(run_config_of(reader))
    candidates = [
        Candidate(
            step=saved.step, branch=saved.branch, revision=saved.revision, on_line=saved.on_line, metrics=saved.metrics,
            fetch=_copier(saved.folder),
        )
        for saved in local_checkpoints(paths, line)
    ]  # fmt: skip
    return CandidateList(run_id=paths.run_id, candidates=candidates, best_by=best_by)


def _copier(folder: Path) -> Callable[[Path], None]:
    def copy(target: Path) -> None:
        shutil.copytree(folder, target)

    return copy


def _in_mlflow(run: str, uri: str) -> CandidateList:
    from vsrpp.tracking import remote

    return remote.candidates(run, uri)
