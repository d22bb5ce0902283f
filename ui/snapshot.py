"""Reads a run once for all who look at it: a few milliseconds when something is new, nothing when nothing is."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

from vsrpp import control
from vsrpp.control import curves
from vsrpp.control.lineage import lineage
from vsrpp.errors import NotFound, VsrppError
from vsrpp.paths import RunPaths
from vsrpp.store import Event, RunReader

from .format import finite
from .run_view import PanelSnapshot

FRESH_S = 0.4
"""A second look within this time gets the same answer: ten tabs cost what one does."""
STATUS_FRESH_S = 5.0
UPLOAD_FRESH_S = 1.0
"""While something is uploaded its progress is said anew every second."""
CURVES_FRESH_S = 1.5
CURVES_BUDGET_S = 0.08
KEPT_RUNS = 12
LONGEST_NAME = 200


class RunWatch:
    """One run under observation."""

    def __init__(self, paths: RunPaths) -> None:
        """Raises NotFound without a store."""
        self.paths = paths
        self._lock = threading.Lock()
        self._reader = RunReader(paths.run_db)
        self._curves = curves.CurveReader(paths)
        self._events: list[Event] = []
        self._config = control.ConfigHistory()
        self._snapshot: PanelSnapshot | None = None
        self._read_at = 0.0
        self._kept_status: tuple[float, int, dict[str, Any]] = (0.0, 0, {})
        self._mark: tuple[object, ...] = ()
        self._curve_cache: dict[tuple[object, ...], tuple[float, curves.Curves]] = {}
        self._trends: tuple[float, dict[str, list[float]]] = (0.0, {})

    def close(self) -> None:
        with self._lock:
            self._reader.close()
            self._curves.close()

    def snapshot(self, *, fresh: bool = False) -> PanelSnapshot:
        """The run as it is now, at most FRESH_S old (just read, with `fresh`)."""
        with self._lock:
            now = time.monotonic()
            if self._snapshot is None or fresh or now - self._read_at > FRESH_S:
                self._snapshot = self._read()
                self._read_at = time.monotonic()
            return self._snapshot

    def _read(self) -> PanelSnapshot:
        for event in self._reader.events(after_seq=self._events[-1].seq if self._events else 0):
            self._events.append(event)
            self._config.add(event)
        mark = (self._reader.newest_metric_id(), len(self._events))
        if self._snapshot is not None and mark == self._mark:
            metrics = self._snapshot.metrics
        else:
            metrics = {key: (row.step, row.value) for key, row in self._reader.latest().items()}
        self._mark = mark
        trainer = self._reader.state()
        return PanelSnapshot(
            run_id=self._reader.run_id, status=self._status(trainer, metrics), metrics=metrics, events=self._events,
            config=self._config, run_config=control.run_config_of(self._reader), probation=trainer.get("probation"),
            now=time.time(),
        )  # fmt: skip

    def _status(self, trainer: dict[str, Any], metrics: dict[str, tuple[int, float]]) -> dict[str, Any]:
        """`control.status`, asked anew after an event and every five seconds; what moves with each step is put over it."""
        asked_at, events, status = self._kept_status
        fresh_s = UPLOAD_FRESH_S if status and status["backlog"]["uploading"] else STATUS_FRESH_S
        if not status or events != len(self._events) or time.monotonic() - asked_at > fresh_s:
            status = control.status(self.paths)
            self._kept_status = (time.monotonic(), len(self._events), status)
            return status
        state = control.run_state(self._reader, trainer)
        newest = {key: value for key, (_, value) in metrics.items()}
        run_config = control.run_config_of(self._reader)
        return {
            **status, "state": state, "step": int(trainer.get("step", 0)), "branch": int(trainer.get("branch", 0)),
            "phase": trainer.get("phase"), "lr": finite(newest.get("lr")), "updated": trainer.get("time"),
            "steps_per_s": finite(trainer.get("steps_per_s")),
            **control.numbers(newest, trainer, state, self._config.live, run_config),
        }  # fmt: skip

    def read_curves(self, keys: tuple[str, ...], points: int, from_step: int, to_step: int | None) -> curves.Curves:
        """The curves, at most CURVES_FRESH_S old; reads a long history bit by bit."""
        query = (keys, points, from_step, to_step)
        with self._lock:
            kept = self._curve_cache.get(query)
            if kept and time.monotonic() - kept[0] < CURVES_FRESH_S:
                return kept[1]
            read = self._curves.read(
                keys, max_points=points, from_step=from_step, to_step=to_step, budget_s=CURVES_BUDGET_S,
                line=lineage(self._events, keep_events=False).pieces(),
            )  # fmt: skip
            if len(self._curve_cache) > 8:
                self._curve_cache.clear()
            self._curve_cache[query] = (time.monotonic(), read)
            return read

    def trends(self, keys: tuple[str, ...], last_rows: int = 24) -> dict[str, list[float]]:
        """The newest values of some metrics on the present branch, oldest first, at most five seconds old."""
        with self._lock:
            read_at, kept = self._trends
            if time.monotonic() - read_at > 5.0 or set(keys) - set(kept):
                branch = int(self._snapshot.status.get("branch") or 0) if self._snapshot else 0
                kept = self._curves.newest(keys, branch, last_rows)
                self._trends = (time.monotonic(), kept)
            return kept


class RunWatches:
    """The runs somebody looks at, the last few of them kept open."""

    def __init__(self, folder: Path, default_run: str | None = None) -> None:
        self.folder = folder
        self._default = default_run
        self._lock = threading.Lock()
        self._open: dict[str, RunWatch] = {}

    def default_run(self) -> str | None:
        """The run shown when none is asked for: the one the panel was started for, a live one, or the newest."""
        if self._default:
            try:
                return control.find_run(self._default, self.folder).run_id
            except VsrppError:
                pass
        runs = control.local_runs(self.folder)
        for paths in runs[:20]:
            try:
                if control.is_live(paths):
                    return paths.run_id
            except (VsrppError, sqlite3.Error):
                continue
        return runs[0].run_id if runs else None

    def run(self, run_id: str) -> RunWatch:
        """Raises NotFound unless it is a run of this folder, by its exact ID: no path can be smuggled in."""
        with self._lock:
            if run_id in self._open:
                self._open[run_id] = self._open.pop(run_id)
                return self._open[run_id]
            watch = RunWatch(self.paths(run_id))
            self._open[run_id] = watch
            while len(self._open) > KEPT_RUNS:
                self._open.pop(next(iter(self._open)))  # closed when the last request that holds it is done
            return watch

    def paths(self, run_id: str) -> RunPaths:
        """The folder of a run. Raises NotFound."""
        root = self.folder / run_id[:LONGEST_NAME]
        plain = (
            run_id and len(run_id) <= LONGEST_NAME and run_id not in (".", "..") and not set(run_id) & {"/", "\\", "\0"}
        )
        if not plain or not (root / "run.db").is_file() or root.resolve().parent != self.folder.resolve():
            raise NotFound(f"There is no run {run_id[:80]!r} in {self.folder}.")
        return RunPaths(root)

    def close(self) -> None:
        with self._lock:
            for watch in self._open.values():
                watch.close()
            self._open.clear()
