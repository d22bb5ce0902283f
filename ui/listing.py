"""Rows for the runs page: the runs of this host and the checkpoints of one."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

from vsrpp import control
from vsrpp.control import RunView
from vsrpp.paths import RunPaths
from vsrpp.store import Event, RunReader, from_marks

FRESH_S = 3.0
_lock = threading.Lock()
_kept: dict[Path, tuple[float, list[dict[str, Any]]]] = {}


def local_rows(folder: Path) -> list[dict[str, Any]]:
    """`control.runs` with the edits each saw and its place in MLflow; read at most every three seconds."""
    with _lock:
        kept = _kept.get(folder)
        if kept is None or time.monotonic() - kept[0] > FRESH_S:
            try:
                rows = [{**row.to_json(), **_more(row)} for row in control.runs(folder)]
            except sqlite3.OperationalError:  # a run is being born: its store has no tables yet
                return kept[1] if kept else []
            kept = _kept[folder] = (time.monotonic(), rows)
        return kept[1]


def _more(row: control.RunRow) -> dict[str, Any]:
    if row.error is not None:
        return {"edits": 0, "mlflow": None}
    paths = RunPaths(Path(row.run_dir))
    with RunReader(paths.run_db) as reader:
        edits = reader.count_events("config_applied")
    return {"edits": edits, "mlflow": _mlflow(paths)}


def _mlflow(paths: RunPaths) -> dict[str, Any] | None:
    """{run_id, experiment_id, uri} of the MLflow run it is delivered to; None before the first delivery."""
    fact = from_marks(paths.delivery_db, lambda marks: marks.fact("mlflow_run"), None)
    complete = isinstance(fact, dict) and all(fact.get(key) for key in ("run_id", "experiment_id", "uri"))
    return dict(fact) if isinstance(fact, dict) and complete else None


def checkpoint_rows(paths: RunPaths, snapshot: RunView) -> list[dict[str, Any]]:
    """The checkpoints of the view's events and those on disk, newest first, as the checkpoint table draws them."""
    on_disk = set(control.checkpoint_steps(paths))
    uploaded = _uploaded(paths)
    rows: dict[tuple[int, int], dict[str, Any]] = {}
    for event in [*_older_on_disk(paths, snapshot), *snapshot.events]:
        if event.type != "checkpoint_saved":
            continue
        rows[event.branch, event.step] = {
            "step": event.step,
            "branch": event.branch,
            "psnr_y": (event.data.get("metrics") or {}).get("val/psnr_y"),
            "revision": event.data.get("revision", event.revision),
            "size_bytes": event.data.get("size_bytes"),
            "here": event.step in on_disk,
            "uploaded": f"{event.branch}/{event.step}" in uploaded,
            "best": snapshot.is_best(event.branch, event.step),
            "abandoned": not snapshot.line.holds(event.branch, event.step),
        }
    return sorted(rows.values(), key=lambda row: (row["step"], row["branch"]), reverse=True)


def _older_on_disk(paths: RunPaths, snapshot: RunView) -> list[Event]:
    """The events of the line's checkpoints on disk that are older than those a view keeps."""
    if not snapshot.events or snapshot.events[0].seq == 1:
        return []
    with RunReader(paths.run_db) as reader:
        return [event for saved in snapshot.checkpoints for event in reader.events_at("checkpoint_saved", saved.step)]


def _uploaded(paths: RunPaths) -> set[str]:
    return from_marks(paths.delivery_db, lambda marks: set(marks.keys("mlflow", "checkpoint")), set())
