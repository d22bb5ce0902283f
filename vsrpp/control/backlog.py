"""What a sink has not got yet, read from the store and the marks alone: any process may ask at any time."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vsrpp.errors import VsrppError
from vsrpp.paths import RunPaths
from vsrpp.store import Marks, RunReader

MLFLOW = "mlflow"
"""The sink of metric rows and events, as marks and facts name it."""
ARTIFACTS = "mlflow.artifacts"
"""The sink of what is uploaded because an event says so: checkpoints, pictures. A mark of its own holds up no row."""
TENSORBOARD = "tensorboard"
ARTIFACT_EVENTS = ("checkpoint_saved", "validated")


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What MLflow has not got yet."""

    rows: int
    """Metric rows and events."""
    artifacts: int
    """Checkpoints, and validations with their pictures."""
    age_s: float
    """How long the oldest row has been waiting; 0 without one."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def count(reader: RunReader, marks: Marks | None, now: float | None = None) -> Backlog:
    """The backlog of an open record; `marks` None means that nothing was ever delivered."""
    metric_id, event_seq = marks.position(MLFLOW) if marks else (0, 0)
    uploaded_seq = marks.position(ARTIFACTS)[1] if marks else 0
    rows = max(0, reader.newest_metric_id() - metric_id) + max(0, reader.head()[0] - event_seq)
    waiting = reader.events(after_seq=uploaded_seq, types=ARTIFACT_EVENTS)
    artifacts = sum(1 for event in waiting if event.type == "checkpoint_saved" or event.data.get("images"))
    oldest = reader.oldest_time_after(metric_id=metric_id, event_seq=event_seq) if rows else None
    age_s = max(0.0, (time.time() if now is None else now) - oldest) if oldest is not None else 0.0
    return Backlog(rows=rows, artifacts=artifacts, age_s=age_s)


def backlog(run_dir: Path) -> Backlog:
    """What MLflow has not got of a run folder. Raises NotFound without a record there."""
    paths = RunPaths(run_dir)
    with RunReader(paths.run_db) as reader:
        marks = open_marks(paths)
        try:
            return count(reader, marks)
        finally:
            if marks:
                marks.close()


def open_marks(paths: RunPaths) -> Marks | None:
    """The marks, read-only; None while no delivery has begun."""
    try:
        marks = Marks(paths.delivery_db, readonly=True)
        marks.position(MLFLOW)
    except (VsrppError, sqlite3.Error):  # not there, or there before its tables are
        return None
    return marks
