"""Rebuilds a lost run folder from the tracking server, for `train --resume`.

Every uploaded event and row is kept, including those after the checkpoint: records that exist are not recorded again
when their steps are repeated, so the server gets no duplicates, and recorded edits apply again at their steps.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from vsrpp import config, control, paths
from vsrpp.control import Lineage, alerts
from vsrpp.control.backlog import ARTIFACTS, END_TOLD, MLFLOW, TIMELINE
from vsrpp.control.checkpoint_ref import CheckpointRef
from vsrpp.paths import RunPaths
from vsrpp.private_files import make_folder
from vsrpp.safe_text import redact
from vsrpp.store import Event, Marks, RunWriter
from vsrpp.tracking import messages, record, remote, restore
from vsrpp.tracking.candidates import Candidate, CandidateList
from vsrpp.tracking.connection import RUN_ID_TAG
from vsrpp.tracking.lock import FILE_NAME as LOCK_FILE
from vsrpp.tracking.view import END_STATUS


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuiltRun:
    """A run folder with everything the tracking server has of the run."""

    paths: RunPaths
    step: int
    """The step training continues from: the newest uploaded checkpoint on the run's line, or the run's start."""
    last_step: int
    """The newest step recorded on the line."""
    summary: str
    """One line for a person: where the run continues, and what was lost."""
    set_aside: Path | None = None
    """Where the folder that was there before is now."""


def replace(folder: RunPaths, uri: str) -> RebuiltRun:
    """Rebuild the folder of a run with a damaged record from MLflow at `uri`. The old folder is moved, not removed.

    Raises Refused for a run that is training, or whose record holds; otherwise like `rebuild`.
    """
    if _in_use(folder):
        raise messages.REBUILD_LIVE(run=folder.run_id)
    verdict = control.verify(folder) if folder.run_db.is_file() else None
    if verdict is not None and verdict.ok:
        raise messages.RECORD_HOLDS(run=folder.run_id, events=verdict.events)
    return rebuild(folder.run_id, uri, folder.root.parent, replacing=folder)


def _in_use(folder: RunPaths) -> bool:
    """Whether a trainer or a delivery process holds the folder, as the kernel says: its record cannot tell."""
    for name in (".lock", LOCK_FILE):
        try:
            handle = os.open(folder.root / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
    return False


def _move_aside(folder: RunPaths) -> Path:
    aside = paths.set_aside_dir(folder.root.parent)
    aside.mkdir(mode=0o700, exist_ok=True)
    number = 1
    while (target := aside / f"{folder.run_id}{'' if number == 1 else f'-{number}'}").exists():
        number += 1
    folder.root.rename(target)
    return target


def rebuild(run: str, uri: str, runs: Path, *, replacing: RunPaths | None = None) -> RebuiltRun:
    """Build a run's folder under `runs` from MLflow at `uri` alone; the folder appears complete or not at all.

    `replacing`: the run's present folder, which is moved aside once the new one is complete.
    Raises NotFound for an unknown run, or one without a checkpoint that was started from another run; Refused if
    the folder's path is taken; ProofFailed if the record or a checkpoint does not verify.
    """
    with remote.reaching(uri) as client:
        mlflow_run = remote.find_run(client, run, uri)
        events = record.events_of(client, mlflow_run)
        run_id = mlflow_run.data.tags[RUN_ID_TAG]
        final = RunPaths(runs / run_id)
        if final.root.exists() and (replacing is None or not final.root.samefile(replacing.root)):
            raise messages.FOLDER_OCCUPIED(folder=final.root)
        rows = _newest(record.rows_of(client, mlflow_run, events))
        signatures = record.signatures_of(client, mlflow_run)
    uploaded = remote.candidates(mlflow_run.info.run_id, uri)
    scratch = runs / f".{run_id}.{uuid.uuid4().hex[:8]}.part"
    try:
        rebuilt = RunPaths(scratch / run_id)
        run_config = events[0].data.get("run_config") or {}
        make_folder(rebuilt.root, shared=bool(run_config.get("shared_runs")))
        rebuilt.checkpoints.mkdir()
        line = control.lineage(events)
        step = _checkpoint(rebuilt, uploaded, events, line)
        last_step = max([line.last_step(), *(row.step for row in rows if line.holds(row.branch, row.step))])
        _store(rebuilt, events, rows, last_step, signatures)
        _configs(rebuilt, events)
        _marks(rebuilt, mlflow_run, uri, events, uploaded.candidates, len(rows))
        aside = _move_aside(final) if replacing is not None and final.root.exists() else None
        rebuilt.root.rename(final.root)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    summary = _summary(run_id, step, last_step, events, mlflow_run.data.tags)
    return RebuiltRun(paths=final, step=step, last_step=last_step, summary=summary, set_aside=aside)


def _newest(rows: Iterable[record.ServerRow]) -> list[record.ServerRow]:
    """In the order they were written; of a row that was written again, the last value."""
    standing = {(row.branch, row.step, row.key): row for row in rows}
    return sorted(standing.values(), key=lambda row: (row.time_ms, row.branch, row.step))


def _checkpoint(rebuilt: RunPaths, uploaded: CandidateList, events: list[Event], line: Lineage) -> int:
    """Fetch the newest checkpoint covered by the record, and the best one; returns the step of the newest."""
    on_line = [candidate for candidate in uploaded.candidates if line.holds(candidate.branch, candidate.step)]
    on_line.sort(key=lambda candidate: (candidate.step, candidate.branch))
    while on_line:
        newest = on_line.pop()
        if _fetched(rebuilt, newest, events):
            scored = [candidate for candidate in on_line if candidate.value(uploaded.best_by.key) is not None]
            if scored:
                best = CheckpointRef("best").choose([*scored, newest], run=rebuilt.run_id, best_by=uploaded.best_by)
                if best is not newest:
                    _fetched(rebuilt, best, events)
            return newest.step
    started = line.events[0]
    if started.data.get("parent"):
        raise messages.NO_CHECKPOINT_ON_SERVER(run=rebuilt.run_id)
    return started.step


def _fetched(rebuilt: RunPaths, candidate: Candidate, events: list[Event]) -> bool:
    """Fetch a checkpoint, unless its events were lost with the host; returns whether it was fetched."""
    folder = rebuilt.checkpoint(candidate.step)
    restore.place(candidate, folder.root, rebuilt.run_id, "mlflow")
    chain = (control.manifest_of(rebuilt, candidate.step) or {}).get("chain") or {}
    seq = int(chain.get("seq", 0))
    if 0 < seq <= len(events) and events[seq - 1].hash == chain.get("hash"):
        return True
    shutil.rmtree(folder.root)
    return False


def _store(
    rebuilt: RunPaths, events: list[Event], rows: list[record.ServerRow], last_step: int, signatures: dict[int, bytes]
) -> None:  # fmt: skip
    """Restore run.db: an event's hash covers all of its fields, so appending it again gives the same chain."""
    writer = RunWriter(rebuilt.run_db, rebuilt.run_id)
    try:
        writer.set_meta("created", events[0].time)
        for event in events:
            again = writer.append(
                event.type, step=event.step, branch=event.branch, revision=event.revision, origin=event.origin,
                author=event.author, reason=event.reason, data=event.data, at=event.time,
            )  # fmt: skip
            assert again.hash == event.hash, event.seq
        writer.put_signatures({seq: signature for seq, signature in signatures.items() if 0 < seq <= len(events)})
        for (time_ms, branch, step), group in groupby(rows, key=lambda row: (row.time_ms, row.branch, row.step)):
            writer.record(step, branch, {row.key: row.value for row in group}, at=time_ms / 1000)
        last = events[-1]
        state = last.type if last.type in control.FINAL_STATES else "dead"
        writer.set_state({"state": state, "step": last_step, "branch": last.branch}, at=last.time)
    finally:
        writer.close()


def _configs(rebuilt: RunPaths, events: list[Event]) -> None:
    import yaml

    history = control.ConfigHistory.of(events)
    run_config = next(event for event in reversed(events) if event.type == "started").data["run_config"]
    rebuilt.run_config.write_text(yaml.safe_dump(run_config, sort_keys=False, allow_unicode=True), encoding="utf-8")
    rebuilt.runtime_config.write_text(config.dump_runtime(history.live, history.revision, run_config), encoding="utf-8")


def _marks(
    rebuilt: RunPaths, run: Any, uri: str, events: list[Event], uploaded: list[Candidate], newest_row: int
) -> None:  # fmt: skip
    """Mark everything as uploaded, because all of it came from the server."""
    marks = Marks(rebuilt.delivery_db)
    try:
        marks.set_fact(
            "mlflow_run",
            {"run_id": run.info.run_id, "experiment_id": run.info.experiment_id, "uri": redact(uri, path=True)},
        )
        marks.advance(MLFLOW, metric_id=newest_row, event_seq=events[-1].seq)
        marks.advance(ARTIFACTS, event_seq=events[-1].seq)
        marks.advance(alerts.SINK, event_seq=events[-1].seq)
        marks.advance(TIMELINE, event_seq=events[-1].seq)
        if run.info.status != "RUNNING":
            marks.set_fact(END_TOLD, {"state": run.data.tags.get("vsrpp.state"), "seq": events[-1].seq})
        models = {f"{candidate.branch}/{candidate.step}": candidate.model_id for candidate in uploaded}
        for event in events:
            if event.type == "checkpoint_saved":
                key = f"{event.branch}/{event.step}"
                item = {"model_id": models.get(key), "bytes": event.data.get("size_bytes", 0)}
                marks.put_item(MLFLOW, "checkpoint", key, item if key in models else {**item, "gone": True})
    finally:
        marks.close()


def _summary(run_id: str, step: int, last_step: int, events: list[Event], tags: dict[str, str]) -> str:
    repeated = f"steps {step + 1} to {last_step} are repeated" if last_step > step else "no step was lost"
    summary = f"Run {run_id} was rebuilt from MLflow and continues from step {step}, its newest uploaded checkpoint; {repeated}"
    state = tags.get("vsrpp.state", "training")
    if state in END_STATUS and state != "dead":
        return f"{summary}."
    host, seq = tags.get("vsrpp.host", "another host"), events[-1].seq
    return f"{summary}; records of {host} after event {seq} were not uploaded and are lost. Do not resume it on {host}."
