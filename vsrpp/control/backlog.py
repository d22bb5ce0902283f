"""What is still to be uploaded, read from the store and the marks alone, so that any process may ask at any time."""

from __future__ import annotations

import socket
import sqlite3
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vsrpp.control.runs import FINAL_STATES, process_alive
from vsrpp.errors import NotFound
from vsrpp.paths import RunPaths
from vsrpp.store import Marks, RunReader, StoreDamaged

MLFLOW = "mlflow"
"""The sink of metric rows and events, as named in marks and facts."""
ARTIFACTS = "mlflow.artifacts"
"""The sink of files that events refer to: checkpoints and pictures. Its separate mark never delays rows."""
TIMELINE = "mlflow.timeline"
"""Mark: events already contained in the run's timeline files in the artifact store."""
TENSORBOARD = "tensorboard"
ARTIFACT_EVENTS = ("checkpoint_saved", "validated")
END_TOLD = "end_state"
"""The fact {state, seq}: this end state was set in MLflow after event `seq`."""
UPLOADING = "uploading"
"""The fact about the current upload: {what, bytes, done_bytes, since}; missing without one."""
UPLOAD_STALE_S = 60.0
"""An upload's fact is updated every second; if it is older than this, the uploading process is dead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """Records that MLflow does not have yet."""

    rows: int
    """Metric rows and events, plus one if the run has ended and MLflow still shows it as running."""
    artifacts: int
    """Checkpoints, validations with their pictures, and the timeline files if they are behind the events."""
    age_s: float
    """How long the oldest pending record has been waiting; 0 without one."""
    bytes: int = 0
    """Size of the pending checkpoints."""
    uploading: dict[str, Any] | None = None
    """The current upload: what, bytes, done_bytes, since (seconds since 1970)."""
    end_due: bool = False
    """The run has ended, but the end state is not set in MLflow."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def count(reader: RunReader, marks: Marks | None, now: float | None = None) -> Backlog:
    """The backlog of an open record; `marks` None: nothing was ever uploaded."""
    now = time.time() if now is None else now
    metric_id, event_seq = marks.position(MLFLOW) if marks else (0, 0)
    timeline_due = bool(marks and marks.position(TIMELINE)[1] < event_seq)
    uploaded_seq = marks.position(ARTIFACTS)[1] if marks else 0
    rows = max(0, reader.newest_metric_id() - metric_id) + max(0, reader.head()[0] - event_seq)
    saved = list(reader.fields("checkpoint_saved", ("size_bytes",), after_seq=uploaded_seq))
    pictures = reader.fields("validated", ("images", 0, "path"), after_seq=uploaded_seq)
    waiting = sorted([at for at, _, _, _ in saved] + [at for at, _, _, picture in pictures if picture])
    ended_at = _end_untold(reader, marks)
    since = waiting[:1] + ([ended_at] if ended_at is not None else [])
    oldest_row = reader.oldest_time_after(metric_id=metric_id, event_seq=event_seq) if rows else None
    since += [oldest_row] if oldest_row is not None else []
    return Backlog(
        rows=rows + (ended_at is not None),
        artifacts=len(waiting) + timeline_due,
        age_s=max(0.0, now - min(since)) if since else 0.0,
        bytes=sum(_size(size_bytes) for _, _, _, size_bytes in saved),
        uploading=_upload(marks, now),
        end_due=ended_at is not None,
    )


def backlog(run_dir: Path) -> Backlog:
    """The backlog of a run folder. Raises NotFound without a run.db."""
    paths = RunPaths(run_dir)
    with RunReader(paths.run_db) as reader:
        marks = open_marks(paths)
        try:
            return count(reader, marks)
        finally:
            if marks:
                marks.close()


def open_marks(paths: RunPaths) -> Marks | None:
    """The marks, read-only; None before the first delivery. Raises StoreDamaged."""
    try:
        marks = Marks(paths.delivery_db, readonly=True)
    except NotFound:
        return None
    try:
        marks.position(MLFLOW)
    except sqlite3.Error as error:
        marks.close()
        if isinstance(error, StoreDamaged):
            raise
        return None  # its tables are not created yet
    return marks


def sink_state(marks: Marks | None) -> dict[str, Any]:
    """Last known state of the uploads: state (`ok`, `lost`, None), error, class, since, sink; rows before artifacts.

    `because` {reason_code, fields} as well, if the error is not a server's.
    """
    facts = [(sink, (marks.fact(sink) if marks else None) or {}) for sink in (MLFLOW, ARTIFACTS)]
    sink, fact = next(((sink, fact) for sink, fact in facts if fact.get("state") == "lost"), facts[0])
    known = {key: fact.get(key) for key in ("state", "error", "class", "since")}
    return {"sink": sink, **known, **({"because": fact["because"]} if fact.get("because") else {})}


def _end_untold(reader: RunReader, marks: Marks | None) -> float | None:
    """When the run ended, if its end state is not in MLflow; a process on another host counts as alive."""
    last = reader.last_event("started", "resumed", "restored", *FINAL_STATES)
    if last is None:
        return None
    ended_at: float = last.time
    if last.type not in FINAL_STATES:
        trainer = reader.state()
        process = trainer.get("process") or {}
        if process.get("host") != socket.gethostname() or process_alive(process):
            return None
        ended_at = float(trainer["time"])
    delivered = (marks.fact(END_TOLD) if marks else None) or {}
    return None if int(delivered.get("seq", -1)) >= last.seq else ended_at


def _upload(marks: Marks | None, now: float) -> dict[str, Any] | None:
    fact = marks.fact(UPLOADING) if marks else None
    if not isinstance(fact, dict) or now - float(fact.get("at", 0.0)) > UPLOAD_STALE_S:
        return None
    return {key: fact[key] for key in ("what", "bytes", "done_bytes", "since")}


def _size(value: Any) -> int:
    return int(value) if isinstance(value, (int, float)) else 0
