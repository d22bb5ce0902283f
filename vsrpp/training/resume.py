"""Before the first step of a run that has ended: its record is checked, and its newest complete checkpoint loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import IO, Any

from vsrpp import config, control, paths
from vsrpp.checkpoints.documents import read_manifest
from vsrpp.checkpoints.files import clear_torn, load_checkpoint, verify_files, whole_checkpoints
from vsrpp.checkpoints.snapshot import Snapshot
from vsrpp.control import ConfigHistory, Lineage
from vsrpp.control.world_sizes import STARTS, world_sizes
from vsrpp.data import Data, moved, open_data
from vsrpp.data.build import ProgressCallback
from vsrpp.errors import NotFound, VsrppError
from vsrpp.paths import CheckpointPaths, RunPaths
from vsrpp.plugins import record as plugin_record
from vsrpp.store import RunReader, RunWriter, set_aside_if_damaged, signing
from vsrpp.training import bad_samples, messages
from vsrpp.training.machine import resolve_machine
from vsrpp.training.preflight import Preflight
from vsrpp.training.prepared import Prepared, check_scoring, decoding, lock_run, pretrained_sha256
from vsrpp.training.state import check_restores


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
    lock = lock_run(folder)
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
    data = open_recorded(run_config, started.data, moved_to, resume, run_id=folder.run_id, progress=decoding(say))
    check_scoring(run_config, data, device)
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
        data = open_data(run_config, cache_dir=paths.cache_dir(), progress=progress, started=started)
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
