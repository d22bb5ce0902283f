"""Writes a run's delivery.db like a delivery process: everything uploaded, a server lost, an upload in progress."""

from __future__ import annotations

import time
from typing import Any

from vsrpp.control.backlog import ARTIFACTS, END_TOLD, MLFLOW, TIMELINE, UPLOADING
from vsrpp.paths import RunPaths
from vsrpp.store import Marks, RunReader


def delivered(paths: RunPaths, *, but_last_checkpoint: bool = False) -> None:
    """The server has all rows, events and files so far, and the end state if the run has ended."""
    with RunReader(paths.run_db) as reader:
        newest, seq = reader.newest_metric_id(), reader.head()[0]
        saved = reader.last_event("checkpoint_saved")
    marks = Marks(paths.delivery_db)
    marks.reset(ARTIFACTS)
    marks.advance(ARTIFACTS, event_seq=saved.seq - 1 if saved and but_last_checkpoint else seq)
    for sink in (MLFLOW, TIMELINE):
        marks.advance(sink, metric_id=newest, event_seq=seq)
    marks.set_fact(END_TOLD, {"state": "finished", "seq": seq})
    marks.set_fact(UPLOADING, None)
    marks.set_fact(MLFLOW, {"state": "ok", "since": time.time(), "error": None, "class": None})
    marks.close()


def lost(paths: RunPaths, kind: str, error: str, *, for_s: float = 245.0, sink: str = MLFLOW) -> None:
    """A sink has been failing for `for_s` seconds."""
    fact: dict[str, Any] = {"state": "lost", "since": time.time() - for_s, "error": error, "class": kind}
    _fact(paths, sink, fact)


def uploading(paths: RunPaths, what: str, done_bytes: int, size_bytes: int, *, for_s: float = 10.0) -> None:
    now = time.time()
    said = {"what": what, "bytes": size_bytes, "done_bytes": done_bytes, "since": now - for_s, "at": now}
    _fact(paths, UPLOADING, said)


def set_aside(paths: RunPaths, key: str, why: str) -> None:
    marks = Marks(paths.delivery_db)
    marks.put_item(MLFLOW, "refused", key, {"why": why})
    marks.close()


def _fact(paths: RunPaths, key: str, value: dict[str, Any]) -> None:
    marks = Marks(paths.delivery_db)
    marks.set_fact(key, value)
    marks.close()
