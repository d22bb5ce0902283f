"""A run folder made again from the tracking server, where the one it was trained in is lost: `train --resume` goes on in it.

Every delivered event and row is taken over, those after the checkpoint too: what is on record is not recorded again when
its steps are trained again, so nothing is on the server twice, and the recorded edits act again at their steps.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from vsrpp import config, control
from vsrpp.control import Lineage, alerts
from vsrpp.control.backlog import ARTIFACTS, END_TOLD, MLFLOW, TIMELINE
from vsrpp.control.checkpoint_ref import CheckpointRef
from vsrpp.errors import NotFound, Refused
from vsrpp.paths import RunPaths
from vsrpp.store import Event, Marks, RunWriter
from vsrpp.tracking import record, remote, restore
from vsrpp.tracking.candidates import Candidate, CandidateList
from vsrpp.tracking.connection import RUN_ID_TAG
from vsrpp.tracking.mlflow_rows import without_password
from vsrpp.tracking.view import END_STATUS


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuiltRun:
    """A run folder as far as the tracking server knows it."""

    paths: RunPaths
    step: int
    """The step training goes on from: that of the newest uploaded checkpoint on the run's line, or its start."""
    last_step: int
    """The newest step of the line on record."""
    summary: str
    """One line for a person: from where it goes on, and what was lost."""


def rebuild(run: str, uri: str, runs: Path) -> RebuiltRun:
    """Make the folder of a run under `runs`, from MLflow at `uri` alone; it is there whole or not at all.

    Raises NotFound without such a run, or without a checkpoint where its start lies in another run; Refused if
    something is in the folder's place; ProofFailed if the record or a checkpoint is not what it was.
    """
    with remote.reaching(uri) as client:
        mlflow_run = remote.find_run(client, run, uri)
        events = record.events_of(client, mlflow_run)
        run_id = mlflow_run.data.tags[RUN_ID_TAG]
        final = RunPaths(runs / run_id)
        if final.root.exists():
            raise Refused(f"{final.root} is there already and holds no run: move it away.")
        rows = _newest(record.rows_of(client, mlflow_run, events))
    uploaded = remote.candidates(mlflow_run.info.run_id, uri)
    scratch = runs / f".{run_id}.{uuid.uuid4().hex[:8]}.part"
    try:
        rebuilt = RunPaths(scratch / run_id)
        rebuilt.checkpoints.mkdir(parents=True)
        line = control.lineage(events)
        step = _checkpoint(rebuilt, uploaded, events, line)
        _store(rebuilt, events, rows)
        _configs(rebuilt, events)
        _marks(rebuilt, mlflow_run, uri, events, uploaded.candidates, len(rows))
        rebuilt.root.rename(final.root)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    on_line = [row.step for row in rows if line.holds(row.branch, row.step)]
    last_step = max([line.last_step(), *on_line])
    summary = _summary(run_id, step, last_step, events, mlflow_run.data.tags)
    return RebuiltRun(paths=final, step=step, last_step=last_step, summary=summary)


def _newest(rows: Iterable[record.ServerRow]) -> list[record.ServerRow]:
    """In the order of writing; of a row that gave way to another value, the value that stands."""
    standing = {(row.branch, row.step, row.key): row for row in rows}
    return sorted(standing.values(), key=lambda row: (row.time_ms, row.branch, row.step))


def _checkpoint(rebuilt: RunPaths, uploaded: CandidateList, events: list[Event], line: Lineage) -> int:
    """Fetch the newest checkpoint that the record reaches, and the best beside it to go back to; returns its step."""
    on_line = [candidate for candidate in uploaded.candidates if line.holds(candidate.branch, candidate.step)]
    on_line.sort(key=lambda candidate: (candidate.step, candidate.branch))
    while on_line:
        newest = on_line.pop()
        if _fetched(rebuilt, newest, events):
            scored = [candidate for candidate in on_line if candidate.value(uploaded.best_by) is not None]
            if scored:
                best = CheckpointRef("best").choose([*scored, newest], run=rebuilt.run_id, best_by=uploaded.best_by)
                if best is not newest:
                    _fetched(rebuilt, best, events)
            return newest.step
    started = line.events[0]
    if started.data.get("parent"):
        raise NotFound(
            f"run {rebuilt.run_id} has no checkpoint on the tracking server, and its start lies in another run."
        )
    return started.step


def _fetched(rebuilt: RunPaths, candidate: Candidate, events: list[Event]) -> bool:
    """Whether a checkpoint is here now: not one whose events were lost with the host."""
    folder = rebuilt.checkpoint(candidate.step)
    restore.place(candidate, folder.root, rebuilt.run_id, "mlflow")
    chain = (control.manifest_of(rebuilt, candidate.step) or {}).get("chain") or {}
    seq = int(chain.get("seq", 0))
    if 0 < seq <= len(events) and events[seq - 1].hash == chain.get("hash"):
        return True
    shutil.rmtree(folder.root)
    return False


def _store(rebuilt: RunPaths, events: list[Event], rows: list[record.ServerRow]) -> None:
    """run.db as it was: an event's hash covers all of it, so that appending it again gives the same chain."""
    writer = RunWriter(rebuilt.run_db, rebuilt.run_id)
    try:
        writer.set_meta("created", events[0].time)
        for event in events:
            again = writer.append(
                event.type, step=event.step, branch=event.branch, revision=event.revision, origin=event.origin,
                author=event.author, reason=event.reason, data=event.data, at=event.time,
            )  # fmt: skip
            assert again.hash == event.hash, event.seq
        for (time_ms, branch, step), group in groupby(rows, key=lambda row: (row.time_ms, row.branch, row.step)):
            writer.record(step, branch, {row.key: row.value for row in group}, at=time_ms / 1000)
    finally:
        writer.close()


def _configs(rebuilt: RunPaths, events: list[Event]) -> None:
    import yaml

    history = control.ConfigHistory.of(events)
    run_config = next(event for event in reversed(events) if event.type == "started").data["run_config"]
    rebuilt.run_config.write_text(yaml.safe_dump(run_config, sort_keys=False, allow_unicode=True), encoding="utf-8")
    rebuilt.runtime_config.write_text(config.dump_runtime(history.live, history.revision), encoding="utf-8")


def _marks(
    rebuilt: RunPaths, run: Any, uri: str, events: list[Event], uploaded: list[Candidate], newest_row: int
) -> None:  # fmt: skip
    """What is here came from the server: it has all of it."""
    marks = Marks(rebuilt.delivery_db)
    try:
        marks.set_fact(
            "mlflow_run",
            {"run_id": run.info.run_id, "experiment_id": run.info.experiment_id, "uri": without_password(uri)},
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
    again = f"steps {step + 1} to {last_step} are trained again" if last_step > step else "no step was lost"
    summary = (
        f"Run {run_id} is rebuilt from MLflow and goes on from step {step}, its newest uploaded checkpoint: {again}"
    )
    state = tags.get("vsrpp.state", "training")
    if state in END_STATUS and state != "dead":
        return f"{summary}."
    host, seq = tags.get("vsrpp.host", "another host"), events[-1].seq
    return f"{summary}; what {host} had not delivered after event {seq} is lost. It must not train there any more."
