"""Reads a run once for all who look at it: a few milliseconds when something is new, nothing when nothing is."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path

from vsrpp import control
from vsrpp.control import RunView, RunViewReader, curves
from vsrpp.errors import VsrppError
from vsrpp.paths import RunPaths

from . import refusals

FRESH_S = 0.4
"""A second look within this time gets the same answer: ten tabs cost what one does."""
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
        self._reading = RunViewReader(paths)
        self._curves = curves.CurveReader(paths)
        self._snapshot: RunView | None = None
        self._read_at = 0.0
        self._curve_cache: dict[tuple[object, ...], tuple[float, curves.Curves]] = {}
        self._trends: tuple[float, dict[str, list[float]]] = (0.0, {})

    def close(self) -> None:
        with self._lock:
            self._reading.close()
            self._curves.close()

    def snapshot(self, *, fresh: bool = False) -> RunView:
        """The run as it is now, at most FRESH_S old (just read, with `fresh`)."""
        with self._lock:
            now = time.monotonic()
            if self._snapshot is None or fresh or now - self._read_at > FRESH_S:
                self._snapshot = self._reading.look()
                self._read_at = time.monotonic()
            return self._snapshot

    def read_curves(self, keys: tuple[str, ...], points: int, from_step: int, to_step: int | None) -> curves.Curves:
        """The curves, at most CURVES_FRESH_S old; reads a long history bit by bit."""
        query = (keys, points, from_step, to_step)
        with self._lock:
            kept = self._curve_cache.get(query)
            if kept and time.monotonic() - kept[0] < CURVES_FRESH_S:
                return kept[1]
            read = self._curves.read(
                keys, max_points=points, from_step=from_step, to_step=to_step, budget_s=CURVES_BUDGET_S,
                line=(self._snapshot or self._reading.look()).line.pieces(),
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
                branch = self._snapshot.branch if self._snapshot else 0
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

    def forget(self, run_id: str) -> None:
        """Reopen the run at the next look: its record was damaged, and may have been replaced."""
        with self._lock:
            watch = self._open.pop(run_id, None)
        if watch is not None:
            watch.close()

    def paths(self, run_id: str) -> RunPaths:
        """The folder of a run. Raises NotFound."""
        root = self.folder / run_id[:LONGEST_NAME]
        plain = (
            run_id and len(run_id) <= LONGEST_NAME and run_id not in (".", "..") and not set(run_id) & {"/", "\\", "\0"}
        )
        if not plain or not (root / "run.db").is_file() or root.resolve().parent != self.folder.resolve():
            raise refusals.NO_RUN_HERE(run=repr(run_id[:80]), folder=str(self.folder))
        return RunPaths(root)

    def close(self) -> None:
        with self._lock:
            for watch in self._open.values():
                watch.close()
            self._open.clear()
