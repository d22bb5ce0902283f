"""Before the first step: runs all possible checks, and creates or opens the run folder."""

from __future__ import annotations

import fcntl
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import torch
import yaml

from vsrpp import config, control, formats, losses, models, paths, schedule
from vsrpp.checkpoints import messages as checkpoint_messages
from vsrpp.checkpoints.documents import checkpoint_run_config, read_manifest
from vsrpp.checkpoints.files import clear_torn, file_sha256, load_checkpoint, verify_files, versions, whole_checkpoints
from vsrpp.checkpoints.snapshot import Snapshot
from vsrpp.control import ConfigHistory, Lineage
from vsrpp.control.world_sizes import STARTS, world_sizes
from vsrpp.controller import plateau
from vsrpp.data import Data, added, datasets, moved, open_data, val_sample_of
from vsrpp.data.build import ProgressCallback
from vsrpp.data.unreadable import BadFrames
from vsrpp.distributed.process_group import ProcessGroup
from vsrpp.errors import NotFound, VsrppError
from vsrpp.paths import CheckpointPaths, RunPaths
from vsrpp.plugins import record as plugin_record
from vsrpp.plugins import trust
from vsrpp.private_files import make_folder, open_lock
from vsrpp.store import RunReader, RunWriter, set_aside_if_damaged, signing
from vsrpp.store.db import on_network_file_system
from vsrpp.training import bad_samples, foreign_metrics, memory, messages, optimizers
from vsrpp.training.machine import resolve_machine
from vsrpp.training.optimizers import optimizer_name
from vsrpp.training.preflight import Preflight
from vsrpp.training.state import check_restores
from vsrpp.training.validation import largest_chunk

_BYTES_PER_WEIGHT = 4 * 4
"""Bytes per parameter in a checkpoint: weights, EMA and two moments in fp32."""


@dataclass(slots=True)
class Prepared:
    """A run ready to train: folder locked, record open, data checked."""

    paths: RunPaths
    writer: RunWriter
    run_config: dict[str, Any]
    data: Data
    device: torch.device
    history: ConfigHistory
    line: Lineage
    """The events that lead to the current state; those after `base_seq` are repeated."""
    snapshot: Snapshot | None = None
    """The start state; None means fresh weights from the seed."""
    branch: int = 0
    """The branch of that state."""
    base_seq: int = 0
    """The newest event included in the start state."""
    fresh: bool = True
    changed_code: bool = False
    """Whether plug-ins differ from the record, which a person allowed."""
    set_aside: tuple[str, ...] = ()
    """New names of damaged databases, which new ones replace."""
    replay: bool = False
    """Whether the line comes from another record: its events are repeated and recorded again."""
    bad_frames: BadFrames = field(default_factory=BadFrames)
    """The frames on record as unreadable."""
    lock: IO[str] | None = None
    group: ProcessGroup = field(default_factory=ProcessGroup.single)
    """The processes that train the run, this one first."""


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
    data = open_data(run_config, cache_dir=paths.cache_dir(), progress=_decoding(say))
    _check_disk(runs, run_config)
    _check_scoring(run_config, data, device)
    preflight.hold(run_config, data, device)
    folder = RunPaths(runs / (run_id() or uuid.uuid4().hex))
    if folder.run_db.exists():
        raise messages.FOLDER_HAS_RUN(folder=str(folder.root), run=folder.run_id)
    make_folder(folder.root, shared=bool(run_config.get("shared_runs")))
    folder.checkpoints.mkdir(exist_ok=True)
    lock = _lock(folder)
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


def prepare_resume(
    folder: RunPaths, *, say: Callable[[str], None], limits: dict[str, float] | None = None,
    edit: dict[str, Any] | None = None, preflight: Preflight | None = None, allow_changed_code: bool = False,
    moved_to: str | None = None,
) -> Prepared:  # fmt: skip
    """Prepare a run that has ended, from its newest complete checkpoint and its record. Raises Refused if active.

    `limits` (see `control.numbers.LIMITS`) replace those on record; `edit` changes the live config at the end of the
    record, like any other edit: a finished run trains on if it raises `max_steps`. `allow_changed_code`: use plug-ins as
    they are now. `moved_to`: where the data is now. Raises Refused if it is other data.
    """
    lock = _lock(folder)
    try:
        prepared = _prepared_resume(
            folder, lock, say, limits or {}, edit or {}, preflight or Preflight(), allow_changed_code, moved_to
        )
        if edit:
            control.leave_edit(folder, edit, origin="cli")
        return prepared
    except BaseException:
        lock.close()
        raise


def _prepared_resume(
    folder: RunPaths, lock: IO[str], say: Callable[[str], None], limits: dict[str, float], edit: dict[str, Any],
    preflight: Preflight, allow_changed_code: bool, moved_to: str | None,
) -> Prepared:  # fmt: skip
    with RunReader(folder.run_db) as reader:
        reader.check_writable()
        aside = _set_aside(folder, say)
        started = reader.last_event("started")
        if started is None:
            raise messages.NEVER_STARTED(folder=str(folder.root))
        ended = reader.last_event("started", "restored", *control.FINAL_STATES)
        restored = reader.last_event("restored")
        run_config = {**control.run_config_of(reader), **limits}
        last_step = _edited(control.current_config(reader).live, edit, run_config)["max_steps"]
        line = control.lineage(reader.events())
        spent_s = spent_before(reader)
        ranks = world_sizes(reader.events(types=STARTS))
        last_saved = ended is not None and _is_whole(folder.checkpoint(ended.step), control.line_of(reader))
    if ended and ended.type == "finished" and ended.step >= last_step:
        if not last_saved:
            say(f"⚠️  Checkpoint {ended.step}, the run's last, is missing or damaged: training its last steps again.")
        else:
            raise messages.ALREADY_FINISHED(run=folder.run_id, step=ended.step, more=ended.step + 1000)
    elif edit and last_step <= line.last_step():
        step = line.last_step()
        raise messages.NOTHING_TO_TRAIN(step=step, max_steps=last_step, more=step + 1000)
    _check_hours(folder, run_config["max_hours"], spent_s)
    signer = signing.signer_again(folder.run_id, run_config, (started.data.get("signing") or {}).get("public_key"))
    recorded = run_config.get("plugins") or []
    if recorded:
        texts = plugin_record.texts_of(started.data, restored.data if restored else {}, folder.root)
        run_config["plugins"] = plugin_record.reopen(
            run_config, texts, folder.root, say=say, exact=True, allow_changed=allow_changed_code
        )
    device = resolve_machine(run_config, preflight.group.local_rank)
    resume = f"vsrpp train --resume {folder.run_id}"
    data = open_recorded(run_config, started.data, moved_to, resume, run_id=folder.run_id, progress=_decoding(say))
    _check_scoring(run_config, data, device)
    preflight.hold(run_config, data, device)
    if ranks[-1] != preflight.group.world_size:
        say(
            f"⚠️  The run was trained by {_processes(ranks[-1])} and continues with"
            f" {_processes(preflight.group.world_size)}: samples are the same, but sums over them are rounded"
            " differently, so it will not replay bit for bit."
        )
    if data.fingerprint != started.data.get("data_fingerprint"):
        say("⚠️  The data has changed since the run started: it continues, but will not replay bit for bit.")
    clear_torn(folder.checkpoints)
    writer = RunWriter(folder.run_db, signer=signer)
    snapshot, base_seq, branch = _resume_point(folder, run_config, line, say)
    if snapshot is None and pretrained_sha256(run_config) != started.data.get("pretrained_sha256"):
        say("⚠️  The pretrained weight file has changed since the run started: it will not replay bit for bit.")
    base = ConfigHistory.of(event for event in line.events if event.seq <= base_seq)
    history = control.current_config(writer)
    history.rewind(snapshot.live if snapshot else base.live, base.revision)
    return Prepared(
        folder, writer, run_config, data, device, history, line, snapshot, branch, base_seq, fresh=False, lock=lock,
        group=preflight.group, changed_code=recorded != (run_config.get("plugins") or []),
        bad_frames=bad_samples.on_record(writer.events(types=bad_samples.RECORDED), int(run_config["batch_size"])),
        set_aside=aside,
    )  # fmt: skip


def _edited(live: dict[str, Any], edit: dict[str, Any], run_config: dict[str, Any]) -> dict[str, Any]:
    """The live config after an edit. Raises Refused for one that the run would refuse."""
    problems = config.check_changes(live, edit, run_config) if edit else []
    if problems:
        raise config.refused(problems)
    return {**live, **edit}


def open_recorded(
    run_config: dict[str, Any], started: Mapping[str, Any], moved_to: str | None, command: str, *, run_id: str,
    progress: ProgressCallback | None = None,
) -> Data:  # fmt: skip
    """The data of a run on record; `moved_to` says where it is now, which `run_config` then names.

    Raises NotFound, with the option that tells `command` where the data is, and Refused if it is other data there.
    """
    if moved_to is not None:
        run_config |= moved.moved(run_config, moved_to)
    try:
        data = open_data(run_config, cache_dir=paths.cache_dir(), progress=progress)
    except NotFound as error:
        raise messages.DATA_GONE(error=error, command=command) from error
    difference = moved.difference(started, data, run_config) if moved_to is not None else None
    if difference is not None:
        raise messages.OTHER_DATA(path=moved_to, run=run_id, difference=difference)
    return data


def _set_aside(folder: RunPaths, say: Callable[[str], None]) -> tuple[str, ...]:
    """Rename a damaged inbox.db or delivery.db, without which the run can continue; returns the new names."""
    lost = {folder.inbox_db: "commands that waited in it are lost", folder.delivery_db: "everything is uploaded again"}
    aside = []
    for path, consequence in lost.items():
        renamed = set_aside_if_damaged(path)
        if renamed is not None:
            aside.append(renamed.name)
            say(f"⚠️  {path} is damaged and is now {renamed.name}: {consequence}.")
    return tuple(aside)


def _is_whole(checkpoint: CheckpointPaths, line: Lineage) -> bool:
    """Whether a checkpoint of the current line is complete and undamaged."""
    try:
        manifest = verify_files(checkpoint)
        return line.holds(int(manifest["branch"]), int(manifest["step"]))
    except (VsrppError, KeyError, TypeError, ValueError):
        return False


def _processes(count: int) -> str:
    return "one process" if count == 1 else f"{count} processes"


def spent_before(reader: RunReader) -> float:
    """Seconds of machine time the run has used so far, by its last status or its last record."""
    published, row = reader.state().get("spent_s", 0.0), reader.latest("progress/spent_s").get("progress/spent_s")
    return max(float(published), row.value if row else 0.0)


def _check_hours(folder: RunPaths, max_hours: float | None, spent_s: float) -> None:
    if max_hours is not None and spent_s >= 3600 * max_hours:
        raise messages.OUT_OF_HOURS(
            run=folder.run_id, spent_h=f"{spent_s / 3600:.4g}", max_h=f"{max_hours:g}", more_h=f"{2 * max_hours:g}"
        )


def _resume_point(
    folder: RunPaths, run_config: dict[str, Any], line: Lineage, say: Callable[[str], None]
) -> tuple[Snapshot | None, int, int]:  # fmt: skip
    """(state, number of the newest event in it, its branch) of the newest complete checkpoint on the current line."""
    for checkpoint in reversed(whole_checkpoints(folder.checkpoints)):
        try:
            manifest = read_manifest(checkpoint)
            if not line.holds(int(manifest["branch"]), int(manifest["step"])):
                continue
            snapshot, _ = load_checkpoint(checkpoint)
            check_restores(snapshot, run_config, checkpoint)
        except VsrppError as error:
            say(f"⚠️  {error} Using the checkpoint before it.")
            continue
        return snapshot, int(manifest["chain"]["seq"]), int(manifest["branch"])
    started = line.events[0]
    if started.data.get("parent"):
        raise messages.NO_CHECKPOINT_LEFT(folder=str(folder.root))
    return None, started.seq, started.branch


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
        "datasets": datasets(data, run_config),
        **({"validation_sample": sample} if (sample := val_sample_of(data)) else {}),
        "parent": lineage,
        "code_version": code_version(),
        "pretrained_sha256": pretrained_sha256(run_config) if lineage is None else None,
        **({"plugin_sources": plugin_record.sources(run_config)} if run_config.get("plugins") else {}),
    }


def pretrained_sha256(run_config: dict[str, Any]) -> str | None:
    """SHA-256 of the weight file a run starts from, for comparison by a replay; None without such a file."""
    path = run_config.get("pretrained")
    return file_sha256(Path(path)) if path and Path(path).is_file() else None


def code_version() -> str:
    """The commit of the checkout, with `+changes` if it was edited; otherwise the package's version."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return versions()["vsrpp"]
    try:
        commit = subprocess.run(
            ["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True
        )
        changed = subprocess.run(
            ["git", "-C", root, "status", "--porcelain", "--untracked-files=no"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return versions()["vsrpp"]
    return commit.stdout.strip() + ("+changes" if changed.stdout.strip() else "")


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
    return loaded


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


def _check_scoring(run_config: dict[str, Any], data: Data, device: torch.device) -> None:
    """Check that a validation fits into memory; the first one may come after hours. Raises Refused."""
    for clip in data.val:
        frames, height, width = largest_chunk(clip, run_config), clip.span.clip.height, clip.span.clip.width
        needed, has = memory.scoring_bytes(run_config, frames, height, width), memory.there_is(device)
        if needed > has:
            raise messages.VALIDATION_TOO_LARGE(
                clip=clip.name, frames=frames, width=width, height=height, needed=formats.size(needed),
                has=formats.size(has), device=device,
            )  # fmt: skip


def _lock(folder: RunPaths) -> IO[str]:
    """Lock the run folder for this process; the kernel releases the lock when the process ends, for whatever reason.

    Raises Refused if another process trains the run, or if the lock file is a link.
    """
    try:
        handle = open_lock(folder.root / ".lock")
    except OSError as error:
        raise messages.LOCK_UNUSABLE(file=str(folder.root / ".lock"), why=error.strerror) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        raise messages.TRAINED_ELSEWHERE(run=folder.run_id) from None
    return handle


def _decoding(say: Callable[[str], None]) -> Callable[[str, int, int], None]:
    """Reports once per clip that it is being decoded; later runs find it in the cache."""
    seen: set[str] = set()

    def progress(name: str, _done: int, expected: int) -> None:
        if name not in seen:
            seen.add(name)
            say(f"Decoding {name} ({expected} frames) into the cache …")

    return progress
