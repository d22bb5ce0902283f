"""Metric curves with a bounded number of points, however long the history is, divided into current and abandoned parts.

SQL reduces rows to buckets (minimum, maximum, mean and last value, number of non-finite ones). A `CurveReader` keeps
the buckets it has read, so that a refresh only reads new rows: for a run of a million steps with 100 000 rows per key,
the first reading of five keys takes about half a second, spread over refreshes, and each later one a few ms.
"""

from __future__ import annotations

import math
import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from vsrpp.control.lineage import SEGMENT_EVENTS, LineageSegment, lineage
from vsrpp.formats import finite
from vsrpp.paths import RunPaths
from vsrpp.store.db import connect_reader
from vsrpp.store.run_reader import events_in

KEPT_VIEWS = 4
FINE_BUCKETS = 4096
"""Buckets kept per metric and branch; above this, neighbours are merged."""
CHUNK_STEPS = 25_000
"""Steps reduced by one SQL statement, between two checks of the time budget."""
EXACT_STEPS = 40_000
"""A view of at most this many steps that leaves out older ones is read by itself, not from the kept buckets."""
_HUGE = 1.7976931348623157e308


class Point(NamedTuple):
    """One bucket of a metric. low, high, mean and last are None if no value in it is finite."""

    step: int
    """Step of the newest row in the bucket."""
    low: float | None
    high: float | None
    mean: float | None
    last: float | None
    rows: int
    bad: int
    """Rows that were NaN or infinite."""


@dataclass(frozen=True, slots=True)
class Series:
    """One metric on one segment."""

    key: str
    branch: int
    abandoned: bool
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Curves:
    series: tuple[Series, ...]
    first_step: int
    last_step: int
    """Newest recorded step of these keys, independent of the part shown."""
    complete: bool
    """False while older history is still being read; the next call continues."""


def curves(
    paths: RunPaths, keys: Sequence[str], *, max_points: int = 600, from_step: int = 0, to_step: int | None = None
) -> Curves:
    """The curves of some metrics, with at most `max_points` buckets each over the steps shown.

    Raises NotFound without a store. Reads everything at once; for repeated calls keep a `CurveReader`.
    """
    reader = CurveReader(paths)
    try:
        return reader.read(keys, max_points=max_points, from_step=from_step, to_step=to_step)
    finally:
        reader.close()


@dataclass(slots=True)
class _Track:
    """The kept buckets of one metric on one branch, by bucket number; `done` is the newest step in them."""

    width: int = 1
    done: int = -1
    buckets: dict[int, Point] = field(default_factory=dict)
    views: dict[int, dict[int, Point]] = field(default_factory=dict)
    """Wider buckets requested by pages, by width: kept so that a refresh only merges new points."""

    def add(self, points: Iterable[Point]) -> None:
        for point in points:
            _put(self.buckets, self.width, point)
            for width, view in self.views.items():
                _put(view, width, point)
            self.done = max(self.done, point.step)
        while len(self.buckets) > FINE_BUCKETS:
            old, self.buckets, self.width = self.buckets, {}, self.width * 2
            for point in old.values():
                _put(self.buckets, self.width, point)

    def view(self, width: int) -> dict[int, Point]:
        """The history in buckets of `width`, which must be at least this track's own."""
        if width not in self.views:
            if len(self.views) >= KEPT_VIEWS:
                del self.views[next(iter(self.views))]
            self.views[width] = {}
            for point in self.buckets.values():
                _put(self.views[width], width, point)
        return self.views[width]


def _put(buckets: dict[int, Point], width: int, point: Point) -> None:
    number = point.step // width
    present = buckets.get(number)
    buckets[number] = point if present is None else merge_points(present, point)


class CurveReader:
    """Reads one run's curves repeatedly. Thread-safe; close it when done."""

    def __init__(self, paths: RunPaths) -> None:
        """Raises NotFound without a run.db."""
        self._db = connect_reader(paths.run_db)
        self._lock = threading.Lock()
        self._tracks: dict[tuple[int, int], _Track] = {}
        self._key_ids: dict[str, int] = {}

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def read(
        self, keys: Sequence[str], *, max_points: int = 600, from_step: int = 0, to_step: int | None = None,
        line: Sequence[LineageSegment] | None = None, budget_s: float = math.inf,
    ) -> Curves:  # fmt: skip
        """The curves of `keys` between two steps, cut into segments.

        `line`: the segments (`Lineage.pieces`), by default computed from the events.
        `budget_s` limits the time for reading older history; `complete` is then False.
        """
        with self._lock:
            deadline = time.monotonic() + budget_s
            pieces = self._pieces() if line is None else list(line)
            tracks, first, last = [], math.inf, -1
            for key in keys:
                key_id = self._key_id(key)
                for branch in self._branches(key_id):
                    low, high = self._extent(key_id, branch)
                    first, last = min(first, low), max(last, high)
                    tracks.append((key, key_id, branch, self._tracks.setdefault((key_id, branch), _Track()), high))
            stop = last if to_step is None else to_step
            width = bucket_width(stop - max(from_step, 0) + 1, max_points)
            detail = from_step > first and stop - from_step <= EXACT_STEPS  # needs nothing of what is older
            complete = detail or self._catch_up_all(tracks, deadline)
            series = []
            for key, key_id, branch, track, _high in tracks:
                points = self._view(key_id, branch, track, width, from_step, stop, detail=detail)
                series += _cut(key, branch, points, pieces)
            return Curves(tuple(series), 0 if first is math.inf else int(first), max(0, last), complete)

    def newest(self, keys: Sequence[str], branch: int, rows: int) -> dict[str, list[float]]:
        """The last values of some metrics on one branch, oldest first; NaN for values that are not a number."""
        newest: dict[str, list[float]] = {}
        with self._lock:
            for key in keys:
                values = self._db.execute(
                    "SELECT value FROM metrics WHERE key_id = ? AND branch = ? ORDER BY step DESC LIMIT ?",
                    (self._key_id(key), branch, rows),
                ).fetchall()
                newest[key] = [math.nan if value is None else value for (value,) in reversed(values)]
        return newest

    # ---- SQL
    def _pieces(self) -> list[LineageSegment]:
        try:
            return lineage(events_in(self._db, types=SEGMENT_EVENTS), keep_events=False).pieces()
        except sqlite3.OperationalError:  # the tables are not created yet
            return lineage(()).pieces()

    def _key_id(self, key: str) -> int:
        if key not in self._key_ids:
            try:
                row = self._db.execute("SELECT id FROM metric_keys WHERE key = ?", (key,)).fetchone()
            except sqlite3.OperationalError:  # the tables are not created yet
                return -1
            if row is None:
                return -1
            self._key_ids[key] = row[0]
        return self._key_ids[key]

    def _branches(self, key_id: int) -> list[int]:
        branches: list[int] = []
        while True:  # one seek per branch: DISTINCT would scan the whole index
            row = self._db.execute(
                "SELECT min(branch) FROM metrics WHERE key_id = ? AND branch > ?",
                (key_id, branches[-1] if branches else -1),
            ).fetchone()
            if row is None or row[0] is None:
                return branches
            branches.append(row[0])

    def _extent(self, key_id: int, branch: int) -> tuple[int, int]:
        where = "FROM metrics WHERE key_id = ? AND branch = ?"
        low = self._db.execute(f"SELECT min(step) {where}", (key_id, branch)).fetchone()[0]
        high = self._db.execute(f"SELECT max(step) {where}", (key_id, branch)).fetchone()[0]
        return int(low), int(high)

    def _catch_up_all(self, tracks: Sequence[tuple[str, int, int, _Track, int]], deadline: float) -> bool:
        """Read what the tracks lack. False if the time ran out first; at least one chunk is read, to guarantee progress."""
        complete, began = True, False
        for _key, key_id, branch, track, high in tracks:
            if track.done >= high:
                continue
            if began and time.monotonic() > deadline:
                complete = False
            else:
                began = True
                complete &= self._catch_up(key_id, branch, track, high, deadline)
        return complete

    def _catch_up(self, key_id: int, branch: int, track: _Track, high: int, deadline: float) -> bool:
        """Read the rows after the kept ones. False if the time ran out first."""
        if track.done < 0:
            track.done = self._extent(key_id, branch)[0] - 1
        while track.done < high:
            stop = min(high, track.done + CHUNK_STEPS)
            track.add(self._buckets(key_id, branch, track.width, track.done, stop))
            track.done = max(track.done, stop)
            if time.monotonic() > deadline and track.done < high:
                return False
        return True

    def _buckets(self, key_id: int, branch: int, width: int, after: int, upto: int) -> list[Point]:
        rows = self._db.execute(
            "SELECT g.newest, g.low, g.high, g.mean, g.n, g.good,"
            " (SELECT value FROM metrics WHERE key_id = :k AND branch = :b AND step = g.newest) FROM"
            " (SELECT max(step) AS newest, min(v) AS low, max(v) AS high, avg(v) AS mean, count(*) AS n,"
            "  count(v) AS good FROM (SELECT step, CASE WHEN abs(value) <= :huge THEN value END AS v FROM metrics"
            "        WHERE key_id = :k AND branch = :b AND step > :after AND step <= :upto)"
            "  GROUP BY step / :w) AS g ORDER BY g.newest",
            {"k": key_id, "b": branch, "w": width, "after": after, "upto": upto, "huge": _HUGE},
        )
        return [
            Point(step, low, high, finite(mean), finite(last), n, n - good)
            for step, low, high, mean, n, good, last in rows
        ]

    def _view(
        self, key_id: int, branch: int, track: _Track, width: int, from_step: int, to_step: int, *, detail: bool
    ) -> list[Point]:
        if detail or (width < track.width and to_step - from_step <= EXACT_STEPS):
            return self._buckets(key_id, branch, width, from_step - 1, to_step)
        view = track.view(max(width, track.width))
        return [point for point in view.values() if from_step <= point.step <= to_step]


def bucket_width(steps: int, max_points: int) -> int:
    """The smallest power of two that divides `steps` into at most `max_points` buckets (plus one at the edge)."""
    width = 1
    while steps / width > max(1, max_points):
        width *= 2
    return width


def merge_points(older: Point, newer: Point) -> Point:
    """Two neighbouring buckets merged into one."""
    good_old, good_new = older.rows - older.bad, newer.rows - newer.bad
    if not good_new or not good_old:
        kept = newer if good_new else older
        return Point(
            newer.step, kept.low, kept.high, kept.mean, newer.last, older.rows + newer.rows, older.bad + newer.bad
        )
    assert older.low is not None and older.high is not None and newer.low is not None and newer.high is not None
    share = good_new / (good_old + good_new)
    mean = (older.mean or 0.0) * (1 - share) + (newer.mean or 0.0) * share
    return Point(
        newer.step, min(older.low, newer.low), max(older.high, newer.high), mean, newer.last,
        older.rows + newer.rows, older.bad + newer.bad,
    )  # fmt: skip


def _cut(key: str, branch: int, points: Sequence[Point], pieces: Sequence[LineageSegment]) -> list[Series]:
    of_branch = [piece for piece in pieces if piece.branch == branch] or [LineageSegment(branch=branch, from_step=0)]
    series = []
    for piece in of_branch:
        inside = tuple(point for point in points if piece.covers(branch, point.step))
        if inside:
            series.append(Series(key, branch, piece.abandoned, inside))
    return series
