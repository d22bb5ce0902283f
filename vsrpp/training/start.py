"""Before the first step of a new run: runs all possible checks, and creates the run folder."""

from __future__ import annotations

import shutil
import socket
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml

from vsrpp import control, formats, losses, models, paths, schedule
from vsrpp.checkpoints import messages as checkpoint_messages
from vsrpp.checkpoints.documents import checkpoint_run_config
from vsrpp.checkpoints.files import load_checkpoint, versions
from vsrpp.checkpoints.snapshot import Snapshot
from vsrpp.control import ConfigHistory
from vsrpp.controller import plateau
from vsrpp.data import Data, added, datasets, moved, note_lines, open_data, val_sample_of
from vsrpp.paths import CheckpointPaths, RunPaths
from vsrpp.plugins import record as plugin_record
from vsrpp.plugins import trust
from vsrpp.private_files import make_folder
from vsrpp.store import RunWriter, signing
from vsrpp.store.db import on_network_file_system
from vsrpp.training import foreign_metrics, messages, optimizers
from vsrpp.training.machine import resolve_machine
from vsrpp.training.optimizers import optimizer_name
from vsrpp.training.preflight import Preflight
from vsrpp.training.prepared import Prepared, check_scoring, code_version, decoding, lock_run, pretrained_sha256
from vsrpp.training.state import check_restores

_BYTES_PER_WEIGHT = 4 * 4
"""Bytes per parameter in a checkpoint: weights, EMA and two moments in fp32."""


def prepare_new(
    run_config: dict[str, Any], live: dict[str, Any], *, runs: Path, run_id: Callable[[], str | None],
    say: Callable[[str], None], parent: CheckpointPaths | None = None, lineage: dict[str, Any] | None = None,
    preflight: Preflight | None = None,
) -> Prepared:  # fmt: skip
    """Prepare a new run, from fresh weights or from a checkpoint. Raises Refused or NotFound before writing anything.

    `preflight`: the comparison of the ranks, if several processes train. `run_id` returns the tracking server's ID for
    the run; it is called last, after all other checks have passed.
    """
    preflight = preflight or Preflight()
    signer = signing.read_signer(Path(run_config[signing.KEY])) if run_config.get(signing.KEY) else None
    device = resolve_machine(run_config, preflight.group.local_rank)
    _check_plugins(run_config)
    snapshot, fresh_moments, loaded = None, None, None
    if parent is not None:
        snapshot, _ = load_checkpoint(parent)
        snapshot.rest.pop("unfinished", None)
        parents_config = checkpoint_run_config(parent)
        _same_network(run_config, parent)
        _check_finite(snapshot, parent)
        if snapshot.step >= live["max_steps"]:
            raise messages.NOTHING_TO_TRAIN(step=snapshot.step, max_steps=live["max_steps"], more=snapshot.step + 1000)
        fresh_moments = _drop_foreign_moments(snapshot, run_config, parents_config, say)
        check_restores(snapshot, run_config, parent)
    elif run_config["pretrained"]:
        loaded = _check_pretrained(run_config, say)
    data = open_data(run_config, cache_dir=paths.cache_dir(), progress=decoding(say))
    for line in note_lines((clip.name, clip.notes) for clip in data.clips):
        say(f"⚠️  {line}")
    _check_disk(runs, run_config)
    check_scoring(run_config, data, device)
    preflight.hold(run_config, data, device)
    folder = RunPaths(runs / (run_id() or uuid.uuid4().hex))
    if folder.run_db.exists():
        raise messages.FOLDER_HAS_RUN(folder=str(folder.root), run=folder.run_id)
    make_folder(folder.root, shared=bool(run_config.get("shared_runs")))
    folder.checkpoints.mkdir(exist_ok=True)
    lock = lock_run(folder)
    if on_network_file_system(folder.root):
        say(f"⚠️  {folder.root} is on a network file system: SQLite runs without WAL there, which is safe but slower.")
    folder.run_config.write_text(yaml.safe_dump(run_config, sort_keys=False, allow_unicode=True), encoding="utf-8")
    plugin_record.write(plugin_record.sources(run_config), folder.root)
    for record in run_config.get("plugins") or ():  # --trust-code named it: this account may run its own run again
        trust.remember(record["sha256"], f"run {folder.run_id}")
    writer = RunWriter(folder.run_db, folder.run_id, signer=signer)
    writer.set_meta("created", time.time())
    step = snapshot.step if snapshot else 0
    event = writer.append(
        "started", step=step, branch=0, revision=0,
        data={
            **_started(run_config, live, data, device, lineage),
            **({"fresh_moments": fresh_moments} if fresh_moments else {}),
            **({"pretrained_partial": loaded.to_json()} if loaded and run_config.get("pretrained_partial") else {}),
            "ranks": preflight.group.world_size,
            **({"signing": {"public_key": signer.public_key}} if signer else {}),
        },
    )  # fmt: skip
    if snapshot is not None:
        snapshot.live = dict(live)
    return Prepared(
        folder, writer, run_config, data, device, ConfigHistory.of([event]), control.lineage([event]), snapshot,
        base_seq=event.seq, lock=lock, group=preflight.group,
    )  # fmt: skip


def _started(
    run_config: dict[str, Any], live: dict[str, Any], data: Data, device: torch.device, lineage: dict[str, Any] | None
) -> dict[str, Any]:
    return {
        "run_config": run_config,
        "config": live,
        "versions": versions(),
        "host": socket.gethostname(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "data_fingerprint": data.fingerprint,
        "data_clips": moved.clip_digests(data),
        **data.survey.record(),
        "datasets": datasets(data, run_config),
        **({"validation_sample": sample} if (sample := val_sample_of(data)) else {}),
        "parent": lineage,
        "code_version": code_version(),
        "pretrained_sha256": pretrained_sha256(run_config) if lineage is None else None,
        **({"plugin_sources": plugin_record.sources(run_config)} if run_config.get("plugins") else {}),
    }


def _same_network(run_config: dict[str, Any], parent: CheckpointPaths) -> None:
    differences = [
        f"{key} is {other} there and {ours} here"
        for key, ours, other in models.differing_keys(run_config, checkpoint_run_config(parent))
    ]
    if differences:
        raise messages.CHECKPOINT_DOES_NOT_FIT(differences=", ".join(differences), file=parent.model_ema)


def _check_finite(snapshot: Snapshot, folder: CheckpointPaths) -> None:
    for file, weights in ((folder.model, snapshot.model), (folder.model_ema, snapshot.model_ema)):
        for name, tensor in weights.items():
            if not bool(tensor.isfinite().all()):
                raise checkpoint_messages.NOT_FINITE(file=file, tensor=name)


def _check_plugins(run_config: dict[str, Any]) -> None:
    """Try what the plug-ins provide on small inputs. Raises Refused, with file and line, for what does not fit."""
    models.check(run_config)
    losses.check(run_config)
    optimizers.check(run_config)
    foreign_metrics.check(run_config)
    plateau.check(run_config)
    added.check(run_config)
    schedule.with_points(run_config)


def _drop_foreign_moments(
    snapshot: Snapshot, run_config: dict[str, Any], parents_config: dict[str, Any], say: Callable[[str], None]
) -> dict[str, str] | None:  # fmt: skip
    """Drop the moments of a checkpoint made with another optimizer, and say so: {checkpoint, run} with both names."""
    theirs, ours = optimizer_name(parents_config), optimizer_name(run_config)
    if theirs == ours:
        return None
    snapshot.rest["optimizer"] = {}
    say(f"The checkpoint's optimizer is {theirs}, this run's is {ours}: its moments start fresh.")
    return {"checkpoint": theirs, "run": ours}


def _check_pretrained(run_config: dict[str, Any], say: Callable[[str], None]) -> models.Loaded:
    """Report weights that do not fit before anything is written. Raises NotFound or Refused."""
    partial = bool(run_config.get("pretrained_partial"))
    with torch.random.fork_rng(devices=[]):
        loaded = models.load_pretrained(models.build(run_config), run_config["pretrained"], partial=partial)
    say(f"Starting from pretrained weights: {loaded.line}")
    if note := _other_arithmetic(run_config):
        say(f"⚠️  {note}")
    return loaded


def _other_arithmetic(run_config: dict[str, Any]) -> str | None:
    """A line if the weights of network vsrpp were, or may have been, trained under another `network_version`."""
    if run_config.get("network") != "vsrpp":
        return None
    file, ours = Path(run_config["pretrained"]), int(run_config.get("network_version", 1))
    folder = CheckpointPaths(file.absolute().parent)
    if not folder.run_config.is_file():
        return messages.WEIGHTS_OF_UNKNOWN_VERSION.sentence(file=file.name, ours=ours)
    theirs = checkpoint_run_config(folder)
    version = int(theirs.get("network_version", 1))
    if theirs.get("network") != "vsrpp" or version == ours:
        return None
    return messages.WEIGHTS_OF_OTHER_VERSION.sentence(file=file.name, theirs=version, ours=ours)


def _check_disk(runs: Path, run_config: dict[str, Any]) -> None:
    """Check the space for the checkpoints that retention keeps, plus one being written and one awaiting its upload."""
    runs.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        weights = sum(parameter.numel() for parameter in models.build(run_config).parameters())
    needed = weights * _BYTES_PER_WEIGHT * (int(run_config["keep_last"]) + 3)
    free = shutil.disk_usage(runs).free
    if free < needed:
        raise messages.DISK_TOO_SMALL(
            folder=str(runs), free=formats.size(free), count=run_config["keep_last"], needed=formats.size(needed)
        )
