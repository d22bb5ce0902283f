"""Checkpoint files: written atomically in the background, and verified when read."""

from __future__ import annotations

import errno
import json
import os
import pickle
import queue
import shutil
import threading
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
import yaml
from torch import Tensor

from vsrpp import __version__, config
from vsrpp import manifest as manifests
from vsrpp.checkpoints import messages
from vsrpp.checkpoints.documents import checkpoint_live_config, one_line, read_manifest
from vsrpp.checkpoints.snapshot import Snapshot
from vsrpp.digests import file_sha256
from vsrpp.errors import VsrppError
from vsrpp.paths import CheckpointPaths, checkpoint_step
from vsrpp.plugins import record as plugin_record

_STATE: dict[str, type | tuple[type, ...]] = {
    "step": int, "optimizer": dict, "controller": dict, "skipped_in_a_row": int, "recent": list, "random": dict
}  # fmt: skip
"""What a training state has at least, by type."""
_COPIES = 4
"""A checkpoint's size in copies of the weights: the weights, their EMA, and two moments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveRequest:
    """A checkpoint to write: the training state and the facts for its manifest."""

    folder: CheckpointPaths
    snapshot: Snapshot
    run_id: str
    branch: int
    revision: int
    run_config: dict[str, Any]
    chain: tuple[int, str]
    """(sequence number, hash) of the newest event when the state was copied."""
    metrics: dict[str, float]
    reason: str
    """due, best, asked, stop or end."""
    signed: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    """Returns a manifest with its signature, in a signed run."""


@dataclass(slots=True)
class Saved:
    """The outcome of a request: `files` {name: sha256}, or `error`."""

    request: SaveRequest
    files: dict[str, str] = field(default_factory=dict)
    size_bytes: int = 0
    error: str | None = None
    disk_full: bool = False


class Saver:
    """Writes checkpoints in a thread, one at a time, in order. The trainer collects the outcomes between steps."""

    def __init__(self, write: Callable[[SaveRequest], Saved] | None = None) -> None:
        self._write = write or write_checkpoint
        self._requests: queue.Queue[SaveRequest | None] = queue.Queue(maxsize=1)
        self._done: queue.SimpleQueue[Saved] = queue.SimpleQueue()
        self._pending = 0
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        return self._pending > 0

    def submit(self, request: SaveRequest) -> None:
        """Queue a captured state for writing. Blocks only while two earlier saves are pending."""
        self._pending += 1
        self._requests.put(request)

    def collect(self, *, wait: bool = False) -> list[Saved]:
        """The outcomes since the last call; with `wait`, of everything submitted."""
        outcomes: list[Saved] = []
        while self._pending and (wait or not self._done.empty()):
            outcomes.append(self._done.get())
            self._pending -= 1
        return outcomes

    def close(self) -> None:
        self._requests.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (request := self._requests.get()) is not None:
            self._done.put(self._write(request))


def write_checkpoint(request: SaveRequest) -> Saved:
    """Write a checkpoint atomically: to a temporary folder, with every file fsynced, then renamed.

    A failure is returned, not raised: it becomes an event, and training continues.
    """
    final = request.folder.root
    building = final.with_name(f".{final.name}.{os.getpid()}.part")
    try:
        shutil.rmtree(building, ignore_errors=True)
        final.parent.mkdir(exist_ok=True)  # never the run folder: one that was moved must not be made again here
        building.mkdir()
        files = _write_files(CheckpointPaths(building), request)
        size = sum(path.stat().st_size for path in building.iterdir())
        _set_aside(final)
        building.rename(final)
        _sync_folder(final.parent)
        return Saved(request, files, size)
    except Exception as error:  # noqa: BLE001 - any failure must become an event and must not end the thread
        shutil.rmtree(building, ignore_errors=True)
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = f"{type(error).__name__}: {error}"
        if not full and (free := _too_little_room(request)) is not None:  # torch's writer does not say so
            full, why = True, f"only {free} bytes are free for {final.parent} ({why})"
        return Saved(request, error=why, disk_full=full)


def _too_little_room(request: SaveRequest) -> int | None:
    """The bytes free for a checkpoint, if that is too little for this one; else None."""
    weights = sum(tensor.numel() * tensor.element_size() for tensor in request.snapshot.model.values())
    try:
        free = shutil.disk_usage(request.folder.root.parent).free
    except OSError:
        return None
    return free if free < _COPIES * weights else None


def _set_aside(final: Path) -> None:
    """Rename an older checkpoint of the same step, from an abandoned branch, to a name with its branch number."""
    if final.exists():
        try:
            label = f"b{read_manifest(CheckpointPaths(final)).get('branch', 0)}"
        except VsrppError:  # it is damaged and is being written again
            label = "damaged"
        old = final.with_name(f"{final.name}_{label}")
        discard(old)
        final.rename(old)


def discard(folder: Path) -> None:
    """Remove a checkpoint if it exists. It is renamed first, so that a kill cannot leave an incomplete one under its name."""
    going = folder.with_name(f".{folder.name}.{os.getpid()}.gone.part")
    try:
        folder.rename(going)
    except OSError:  # it does not exist
        return
    shutil.rmtree(going, ignore_errors=True)


def _write_files(folder: CheckpointPaths, request: SaveRequest) -> dict[str, str]:
    snapshot = request.snapshot
    safetensors.torch.save_file(snapshot.model, folder.model)
    safetensors.torch.save_file(snapshot.model_ema, folder.model_ema)
    torch.save({"step": snapshot.step, **snapshot.rest}, folder.training_state)
    folder.runtime_config.write_text(
        config.dump_runtime(snapshot.live, request.revision, request.run_config), encoding="utf-8"
    )
    folder.run_config.write_text(
        yaml.safe_dump(request.run_config, sort_keys=False, allow_unicode=True), encoding="utf-8"
    )
    plugin_record.write(plugin_record.sources(request.run_config), folder.root)
    files = {
        path.name: {"sha256": file_sha256(path), "bytes": path.stat().st_size} for path in sorted(folder.root.iterdir())
    }
    manifest = {
        "format": manifests.FORMAT,
        "run_id": request.run_id,
        "step": snapshot.step,
        "branch": request.branch,
        "revision": request.revision,
        "reason": request.reason,
        "chain": {"seq": request.chain[0], "hash": request.chain[1]},
        "metrics": request.metrics,
        "versions": versions(),
        "time": time.time(),
        "files": files,
    }
    if request.signed is not None:
        manifest = request.signed(manifest)
    folder.manifest.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    for path in folder.root.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    _sync_folder(folder.root)
    return {name: str(about["sha256"]) for name, about in files.items()}


def versions() -> dict[str, str]:
    """Versions that a bit-identical replay depends on. Pillow reads frames and applies JPEG degradation, PyAV reads
    videos, numpy draws for the degradations of plug-ins."""
    import platform

    import av
    import PIL

    return {
        "vsrpp": __version__, "torch": str(torch.__version__), "python": platform.python_version(),
        "pillow": PIL.__version__, "av": av.__version__, "numpy": np.__version__,
    }  # fmt: skip


def verify_files(folder: CheckpointPaths) -> dict[str, Any]:
    """Check every file against its SHA-256 in the manifest; returns the manifest.

    Raises ProofFailed, naming the file; also if the manifest does not name every file that a checkpoint needs.
    """
    manifest = read_manifest(folder)
    try:
        files = manifests.files_of(manifest, folder)
    except ValueError as error:
        raise messages.NOT_A_MANIFEST(file=folder.manifest, cause=error) from None
    for name, sha256 in files.items():
        path = folder.root / name
        if not path.is_file():
            raise messages.FILE_MISSING(folder=folder.root, name=name)
        if file_sha256(path) != sha256:
            raise messages.FILE_CHANGED(file=path)
    return manifest


def load_checkpoint(folder: CheckpointPaths) -> tuple[Snapshot, dict[str, Any]]:
    """A checkpoint's state and manifest, after verifying every hash. Raises NotFound, ProofFailed, or Refused if damaged."""
    manifest = verify_files(folder)
    live = checkpoint_live_config(folder)
    model, model_ema = load_weights(folder, folder.model), load_weights(folder, folder.model_ema)
    rest = _training_state(folder)
    step = rest.pop("step")
    if step != manifest["step"]:
        raise messages.NOT_LOADED(folder=folder.root, cause=f"{folder.training_state.name} is of step {step}")
    return Snapshot(step, live, model, model_ema, rest), manifest


def load_weights(folder: CheckpointPaths, file: Path) -> dict[str, Tensor]:
    """The weights in a file of a checkpoint, on the CPU. Raises Refused if it is damaged."""
    try:
        return safetensors.torch.load_file(file)
    except (OSError, ValueError, RuntimeError, KeyError, safetensors.SafetensorError) as error:
        raise messages.NOT_LOADED(folder=folder.root, cause=f"{file.name}: {one_line(error)}") from None


def _training_state(folder: CheckpointPaths) -> dict[str, Any]:
    """The rest of the state. Raises Refused for a file that is damaged, or holds anything but tensors and plain values."""
    file = folder.training_state
    try:
        with zipfile.ZipFile(file) as archive:  # torch stores without compression, so that nothing can inflate
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise ValueError("it is compressed, which torch.save does not do")
        state = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise messages.UNSAFE_STATE(file=file) from None
    except Exception as error:  # noqa: BLE001 - what a damaged pickle raises has no end
        raise messages.NOT_LOADED(folder=folder.root, cause=f"{file.name}: {one_line(error)}") from None
    kinds = _STATE if isinstance(state, dict) else {}
    wrong = [key for key, kind in kinds.items() if not isinstance(state.get(key), kind)]
    if not kinds or wrong:
        what = f"has no usable {', '.join(wrong)}" if kinds else f"contains a {type(state).__name__}, not a state"
        raise messages.NOT_LOADED(folder=folder.root, cause=f"{file.name} {what}")
    return dict(state)


def whole_checkpoints(checkpoints: Path) -> list[CheckpointPaths]:
    """The complete checkpoint folders, i.e. those with a manifest, ascending by step; leftovers of a killed save are not."""
    if not checkpoints.is_dir():
        return []
    folders = [folder for folder in checkpoints.iterdir() if checkpoint_step(folder) is not None]
    complete = [CheckpointPaths(folder) for folder in folders if (folder / "manifest.json").is_file()]
    return sorted(complete, key=lambda folder: checkpoint_step(folder.root) or 0)


def clear_torn(checkpoints: Path) -> None:
    """Remove temporary folders of killed saves and removals."""
    if checkpoints.is_dir():
        for folder in checkpoints.glob(".step_*.part"):
            shutil.rmtree(folder, ignore_errors=True)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
