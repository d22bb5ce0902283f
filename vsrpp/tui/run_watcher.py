"""Reads one run in a thread of its own and hands on what it saw, whenever something is new."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from vsrpp import control
from vsrpp.control.backlog import open_marks
from vsrpp.control.curves import CurveReader
from vsrpp.control.lineage import TURNS
from vsrpp.control.numbers import LIMITS
from vsrpp.errors import VsrppError
from vsrpp.paths import RunPaths
from vsrpp.store import Event, RunReader
from vsrpp.tui.drawing import Value, finite
from vsrpp.tui.run_view import Checkpoint, RunSnapshot, ValidationRow

KEPT_EVENTS = 1000
TREND_ROWS = 160
TREND_POINTS = 40
CHART_POINTS = 200
CHART_KEYS = ("loss/total", "lr")
CURVES_BUDGET_S = 0.05
BACKLOG_EVERY_S = 3.0
UPLOAD_EVERY_S = 1.0
"""While something is uploaded its progress is said anew every second."""
PLATEAU_ENDS = ("plateau_cleared", "safety_reset", *TURNS)


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
    """The open files of one run and what is kept of them between two looks, so that a look costs what is new."""

    def __init__(self, paths: RunPaths) -> None:
        """Raises NotFound without a run.db."""
        self._paths = paths
        self._reader = RunReader(paths.run_db)
        self._curves = CurveReader(paths)
        self._seq = 0
        self._events: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self._config = control.ConfigHistory()
        self._run_config: dict[str, Any] = {}
        self._validations: list[ValidationRow] = []
        self._saved: dict[int, Checkpoint] = {}
        self._plateau = False
        self._best: dict[str, Any] | None = None
        self._steps_on_disk: list[int] = []
        self._backlog: dict[str, Any] = {}
        self._remote_copy: dict[str, Any] | None = None
        self._backlog_at = 0.0
        self._metric_id = -1
        self._metrics: dict[str, float] = {}
        self._trends: dict[str, list[Value]] = {}
        self._charts: dict[str, list[Value]] = {}
        self._left_behind: dict[str, list[Value]] = {}
        self._charts_done = False
        self._had_layers = False

    def close(self) -> None:
        self._reader.close()
        self._curves.close()

    def look(self, *, curves: bool = False, layers: bool = False) -> RunSnapshot:
        """The run as it is now; `curves`: with its whole history, `layers`: with the course of every layer."""
        trainer = self._reader.state()
        self._read_events()
        self._read_metrics(int(trainer.get("step", 0)), curves, layers)
        now, state = time.time(), control.run_state(self._reader, trainer)
        if now - self._backlog_at > (UPLOAD_EVERY_S if self._backlog.get("uploading") else BACKLOG_EVERY_S):
            self._backlog_at = now
            self._backlog, self._remote_copy = self._read_delivered(state)
            self._steps_on_disk = control.checkpoint_steps(self._paths)
        run_config = {**self._run_config, **{key: trainer[key] for key in LIMITS if key in trainer}}
        return RunSnapshot(
            numbers=control.numbers(self._metrics, trainer, state, self._config.live, run_config),
            run_id=self._paths.run_id, root=self._paths.root, name=self._run_config.get("name"),
            state=state, step=int(trainer.get("step", 0)),
            branch=int(trainer.get("branch", 0)), phase=str(trainer.get("phase") or ""),
            steps_per_s=finite(trainer.get("steps_per_s")), updated=trainer.get("time"), now=now, config=self._config,
            run_config=self._run_config, metrics=self._metrics, trends=self._trends,
            curves=self._charts if curves else {}, left_behind=self._left_behind if curves else {},
            events=tuple(self._events), validations=tuple(self._validations),
            checkpoints=tuple(self._saved[s] for s in self._steps_on_disk if s in self._saved), best=self._best,
            backlog=self._backlog, remote_copy=self._remote_copy, plateau=self._plateau, probation=trainer.get("probation"),
        )  # fmt: skip

    def _read_delivered(self, state: str) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """(`control.delivery`, what is off host)."""
        marks = open_marks(self._paths)
        try:
            return control.delivery(self._reader, marks, state), control.newest_remote_copy(self._reader, marks)[0]
        finally:
            if marks:
                marks.close()

    # ---- events
    def _read_events(self) -> None:
        saved = False
        for event in self._reader.events(after_seq=self._seq):
            self._seq = event.seq
            self._events.append(event)
            self._note(event)
            saved |= event.type in ("checkpoint_saved", *TURNS)
        if saved:
            best = control.best_of(self._reader)
            self._best = best.to_json() if best else None
            self._backlog_at = 0.0

    def _note(self, event: Event) -> None:
        if event.type in control.CONFIG_EVENTS:
            self._config = control.ConfigHistory(
                live=self._config.live,
                revision=self._config.revision,
                changed={key: list(events) for key, events in self._config.changed.items()},
            )  # fmt: skip - a new one: the old one is being drawn from in another thread
            self._config.add(event)
        if event.type == "started":
            self._run_config = dict(event.data.get("run_config") or {})
        elif event.type == "validated":
            self._validations.append(ValidationRow.of(event))
        elif event.type == "checkpoint_saved":
            metrics = event.data.get("metrics") or {}
            self._saved[event.step] = Checkpoint(
                event.step, event.branch, int(event.data.get("revision", event.revision)), event.time,
                finite(metrics.get("val/psnr_y")), event.data.get("size_bytes"),
            )  # fmt: skip
        elif event.type == "plateau_detected":
            self._plateau = True
        elif event.type in PLATEAU_ENDS:
            self._plateau = False
        if event.type in TURNS:  # what was saved after the step gone back to lies on a branch left behind
            self._saved = {step: kept for step, kept in self._saved.items() if step <= int(event.data["to_step"])}

    # ---- metrics
    def _read_metrics(self, step: int, curves: bool, layers: bool) -> None:
        newest = self._reader.newest_metric_id()
        fresh = newest != self._metric_id
        if fresh:
            self._metric_id = newest
            self._metrics = {key: row.value for key, row in self._reader.latest().items()}
        if fresh or (layers and not self._had_layers):
            self._trends = self._read_trends(step, layers)
        self._had_layers = layers
        if curves and (fresh or not self._charts_done):
            read = self._curves.read(CHART_KEYS, max_points=CHART_POINTS, budget_s=CURVES_BUDGET_S)
            self._charts, self._left_behind = _courses(read.series)
            self._charts_done = read.complete
        elif not curves:
            self._charts_done = False

    def _read_trends(self, step: int, layers: bool) -> dict[str, list[Value]]:
        prefixes = ("loss/", "activity/") if layers else ("loss/",)
        keys = [key for key in self._metrics if key.startswith(prefixes)]
        keys += [key for key in ("lr", "plateau/counter") if key in self._metrics]
        log_every = int(self._config.live.get("log_every") or 10)
        read = self._curves.read(keys, max_points=TREND_POINTS, from_step=max(0, step - TREND_ROWS * log_every))
        return _present_line(read.series)


def _present_line(series: Any) -> dict[str, list[Value]]:
    """The means of every metric's buckets on the line that leads to now; what was left behind is left out."""
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
