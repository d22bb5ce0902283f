"""A consistent copy of a run, which may be training: its record alone, or the run folder as a tar archive."""

from __future__ import annotations

import io
import os
import sqlite3
import tarfile
import tempfile
import time
import uuid
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from vsrpp import manifest as manifests
from vsrpp.control import messages
from vsrpp.digests import rest_sha256
from vsrpp.errors import NotFound, VsrppError
from vsrpp.paths import CheckpointPaths, RunPaths
from vsrpp.store import RunReader, StoreDamaged, copy_database

SUFFIXES = (".tar", ".db")


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """What a backup contains."""

    run_id: str
    file: str
    """Absolute path."""
    size_bytes: int
    events: int
    step: int
    """The run's step at that moment."""
    checkpoints: list[int] = field(default_factory=list)
    """Steps of the checkpoints in it, each with every hash verified; empty for the record alone."""
    left_out: list[str] = field(default_factory=list)
    """Files and checkpoints that are damaged, or were being removed."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def backup(paths: RunPaths, file: Path) -> Backup:
    """Copy a run to `file`: the record alone (.db), or everything that a resume needs (.tar).

    The file appears whole or not at all, and never replaces another. Raises Refused for its name, NotFound without a
    record, StoreDamaged for a damaged one, VsrppError if the file cannot be written.
    """
    file = file.expanduser().absolute()
    if file.suffix not in SUFFIXES:
        raise messages.BACKUP_SUFFIX(file=str(file))
    if file.exists() or file.is_symlink():
        raise messages.BACKUP_EXISTS(file=str(file))
    building = file.with_name(f".{file.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        made = _record(paths, building) if file.suffix == ".db" else _folder(paths, building)
        building.chmod(0o600)
        with building.open("rb") as written:
            os.fsync(written.fileno())
        os.link(building, file)  # unlike a rename, it never replaces
    except FileExistsError:
        raise messages.BACKUP_EXISTS(file=str(file)) from None
    except VsrppError:
        raise
    except (OSError, sqlite3.Error) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise messages.BACKUP_UNWRITTEN(file=str(file), why=why) from error
    finally:
        building.unlink(missing_ok=True)
    return Backup(file=str(file), size_bytes=file.stat().st_size, **made)


def _record(paths: RunPaths, target: Path) -> dict[str, Any]:
    copy_database(paths.run_db, target)
    return _facts(target)


def _facts(record: Path) -> dict[str, Any]:
    with RunReader(record) as reader:
        return {
            "run_id": reader.run_id,
            "events": reader.head()[0],
            "step": int(reader.state().get("step", 0)),
        }


def _folder(paths: RunPaths, target: Path) -> dict[str, Any]:
    """The run folder with consistent databases. The record is copied last: the others then refer to nothing beyond it."""
    left_out: list[str] = []
    with tempfile.TemporaryDirectory(prefix=".vsrpp-backup-", dir=target.parent) as folder:
        copies = RunPaths(Path(folder) / paths.run_id)
        copies.root.mkdir()
        for source, copy in zip(reversed(paths.databases), reversed(copies.databases), strict=True):
            try:
                copy_database(source, copy)
            except NotFound:
                if source == paths.run_db:
                    raise
            except StoreDamaged:
                if source == paths.run_db:
                    raise
                left_out.append(source.name)
        made, checkpoints = _facts(copies.run_db), []
        with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive, RunReader(copies.run_db) as record:
            hashes = {event.seq: event.hash for event in record.events()}
            for copy in filter(Path.is_file, copies.databases):
                archive.add(copy, f"{paths.run_id}/{copy.name}")
            for file in (paths.run_config, paths.runtime_config, paths.root / "plugins.json"):
                _add(archive, paths, file, left_out if file.exists() else [])
            for file in [*sorted(paths.images.rglob("*.png")), *sorted(paths.validations.glob("*.json"))]:
                _add(archive, paths, file, left_out)
            for checkpoint in _checkpoints(paths):
                step = _add_checkpoint(archive, paths, checkpoint, hashes)
                if step is None:
                    left_out.append(str(checkpoint.root.relative_to(paths.root)))
                else:
                    checkpoints.append(step)
    return {**made, "checkpoints": sorted(checkpoints), "left_out": left_out}


def _checkpoints(paths: RunPaths) -> list[CheckpointPaths]:
    """Oldest first; those that are being written or removed have other names."""
    if not paths.checkpoints.is_dir():
        return []
    return [CheckpointPaths(folder) for folder in sorted(paths.checkpoints.glob("step_*")) if folder.is_dir()]


def _add_checkpoint(
    archive: tarfile.TarFile, paths: RunPaths, folder: CheckpointPaths, hashes: dict[int, str]
) -> int | None:  # fmt: skip
    """Add a checkpoint if it is whole and belongs to the record; returns its step, or None.

    All its files are opened first, so that a removal meanwhile changes nothing.
    """
    with ExitStack() as opened:
        try:
            text = folder.manifest.read_bytes()
            manifest = manifests.parse(text)
            chain = manifest.get("chain") or {"seq": 0}
            if chain["seq"] and hashes.get(chain["seq"]) != chain["hash"]:
                return None
            listed = manifests.files_of(manifest, folder)
            files = {name: opened.enter_context((folder.root / name).open("rb")) for name in listed}
            if any(rest_sha256(files[name]) != sha256 for name, sha256 in listed.items()):
                return None
        except (OSError, ValueError):
            return None
        name = folder.root.relative_to(paths.root)
        contents: dict[str, IO[bytes]] = {**files, folder.manifest.name: io.BytesIO(text)}
        for file, content in contents.items():
            _add_content(archive, f"{paths.run_id}/{name}/{file}", content)
        return int(manifest["step"])


def _add(archive: tarfile.TarFile, paths: RunPaths, file: Path, left_out: list[str]) -> None:
    try:
        content = io.BytesIO(file.read_bytes())
    except OSError:
        left_out.append(str(file.relative_to(paths.root)))
        return
    _add_content(archive, f"{paths.run_id}/{file.relative_to(paths.root)}", content)


def _add_content(archive: tarfile.TarFile, name: str, content: IO[bytes]) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = content.seek(0, os.SEEK_END)
    entry.mode, entry.mtime = 0o600, int(time.time())
    content.seek(0)
    archive.addfile(entry, content)
