"""Reads one run in a separate thread and passes on what it saw whenever something is new."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Mapping
from typing import Any

from vsrpp.control import RunView, RunViewReader
from vsrpp.control.curves import CurveReader
from vsrpp.errors import VsrppError
from vsrpp.paths import RunPaths
from vsrpp.tui.drawing import Value
from vsrpp.tui.run_view import RunSnapshot

KEPT_EVENTS = 1000
TREND_ROWS = 160
TREND_POINTS = 40
CHART_POINTS = 200
CHART_KEYS = ("loss/total", "lr")
CURVES_BUDGET_S = 0.05


class RunWatcher:
    """`publish` is called from its thread with a RunSnapshot, a line that says why there is none, or the fault it ends by."""

    def __init__(
        self, paths: RunPaths, publish: Callable[[RunSnapshot | str | Exception], object], *, interval_s: float = 1.0
    ) -> None:
        self.paths = paths
        self.wants_curves = False
        self.wants_layers = False
        self._publish = publish
        self._interval_s = interval_s
        self._wake = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def look_now(self) -> None:
        """Look at once instead of at the next beat: an answer has just come."""
        self._wake.set()

    def stop(self) -> None:
        """Ends the thread soon; does not wait for a read in progress."""
        self._stopped = True
        self._wake.set()

    def _run(self) -> None:
        reading: SnapshotReader | None = None
        while not self._stopped:
            try:
                if reading is not None and not self.paths.run_db.is_file():  # an open database outlives its folder
                    reading.close()
                    reading = None
                reading = reading or SnapshotReader(self.paths)
                self._publish(reading.look(curves=self.wants_curves, layers=self.wants_layers))
            except (VsrppError, sqlite3.Error, OSError) as error:
                self._publish(str(error))
            except Exception as error:  # noqa: BLE001 - handed on, or a thread's fault is lost
                self._publish(error)
                return
            self._wake.wait(self._interval_s)
            self._wake.clear()
        if reading is not None:
            reading.close()


class SnapshotReader:
    """The run's view and the courses of its metrics, kept between two looks, so that a look costs what is new."""

    def __init__(self, paths: RunPaths) -> None:
        """Raises NotFound without a run.db."""
        self._reading = RunViewReader(paths, keep_events=KEPT_EVENTS)
        self._curves = CurveReader(paths)
        self._seen: Mapping[str, float] | None = None
        self._trends: dict[str, list[Value]] = {}
        self._charts: dict[str, list[Value]] = {}
        self._left_behind: dict[str, list[Value]] = {}
        self._charts_done = False
        self._had_layers = False

    def close(self) -> None:
        self._reading.close()
        self._curves.close()

    def look(self, *, curves: bool = False, layers: bool = False) -> RunSnapshot:
        """The run as it is now; `curves`: with its whole history, `layers`: with the course of every layer."""
        view = self._reading.look()
        fresh = view.metrics is not self._seen
        self._seen = view.metrics
        if fresh or (layers and not self._had_layers):
            self._trends = self._read_trends(view, layers)
        self._had_layers = layers
        if curves and (fresh or not self._charts_done):
            read = self._curves.read(
                CHART_KEYS, max_points=CHART_POINTS, budget_s=CURVES_BUDGET_S, line=view.line.pieces()
            )
            self._charts, self._left_behind = _courses(read.series)
            self._charts_done = read.complete
        elif not curves:
            self._charts_done = False
        return RunSnapshot.of(
            view, trends=self._trends, curves=self._charts if curves else {},
            left_behind=self._left_behind if curves else {},
        )  # fmt: skip

    def _read_trends(self, view: RunView, layers: bool) -> dict[str, list[Value]]:
        prefixes = ("loss/", "activity/") if layers else ("loss/",)
        keys = [key for key in view.metrics if key.startswith(prefixes)]
        keys += [key for key in ("lr", "plateau/counter") if key in view.metrics]
        log_every = int(view.values.get("log_every") or 10)
        read = self._curves.read(
            keys, max_points=TREND_POINTS, from_step=max(0, view.step - TREND_ROWS * log_every), line=view.line.pieces()
        )
        return _present_line(read.series)


def _present_line(series: Any) -> dict[str, list[Value]]:
    """The means of every metric's buckets on the line that leads to now; abandoned branches are left out."""
    means: dict[str, list[Value]] = {}
    for piece in series:
        if not piece.abandoned:
            means.setdefault(piece.key, []).extend(point.mean for point in piece.points)
    return means


def _courses(series: Any) -> tuple[dict[str, list[Value]], dict[str, list[Value]]]:
    """(the line that leads to now, what was left behind) of every metric, side by side over the steps of both.

    Where branches left behind overlap, the newest is shown; a gap of the present line is closed by its value before.
    """
    present: dict[str, dict[int, Value]] = {}
    abandoned: dict[str, dict[int, Value]] = {}
    for piece in series:
        (abandoned if piece.abandoned else present).setdefault(piece.key, {}).update(
            (p.step, p.mean) for p in piece.points
        )
    now: dict[str, list[Value]] = {}
    abandoned_courses: dict[str, list[Value]] = {}
    for key, points in present.items():
        steps = sorted({*points, *abandoned.get(key, {})})
        first, last, value = min(points), max(points), None
        now[key] = []
        for step in steps:
            value = points.get(step, value)
            now[key].append(value if first <= step <= last else None)
        abandoned_courses[key] = [abandoned.get(key, {}).get(step) for step in steps] if key in abandoned else []
    return now, abandoned_courses
