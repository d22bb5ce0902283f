"""Curves of bounded length from real stores, and the branches abandoned by rollbacks."""

from __future__ import annotations

import math
import random
import sqlite3
import time
from pathlib import Path

import pytest

from vsrpp.control.curves import CurveReader, curves, merge_points
from vsrpp.control.lineage import lineage
from vsrpp.paths import RunPaths
from vsrpp.store import RunWriter


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    folder = tmp_path / "r1"
    folder.mkdir()
    return RunPaths(folder)


def _write(paths: RunPaths, rows: list[tuple[int, int, float]], key: str = "loss/total") -> None:
    writer = RunWriter(paths.run_db, "r1")
    for branch, step, value in rows:
        writer.record(step, branch, {key: value})
    writer.close()


def test_few_rows_come_back_as_they_are(paths: RunPaths) -> None:
    _write(paths, [(0, step, step / 2) for step in range(0, 100, 10)])
    found = curves(paths, ["loss/total"])
    (series,) = found.series
    assert [(p.step, p.last) for p in series.points] == [(step, step / 2) for step in range(0, 100, 10)]
    assert found.complete and found.first_step == 0 and found.last_step == 90


def test_an_unknown_metric_and_an_empty_store_give_no_curve(paths: RunPaths) -> None:
    RunWriter(paths.run_db, "r1").close()
    assert curves(paths, ["loss/total", "nonsense"]).series == ()


def test_not_a_number_and_infinity_are_counted_and_left_out(paths: RunPaths) -> None:
    _write(paths, [(0, 1, 1.0), (0, 2, math.nan), (0, 3, math.inf), (0, 4, -math.inf), (0, 5, 2.0)])
    (series,) = curves(paths, ["loss/total"], max_points=1).series
    (point,) = series.points
    assert (point.low, point.high, point.last, point.rows, point.bad) == (1.0, 2.0, 2.0, 5, 3)


def test_a_spike_survives_any_reduction(paths: RunPaths) -> None:
    _write(paths, [(0, step, 1e6 if step == 777 else 1.0) for step in range(3000)])
    (series,) = curves(paths, ["loss/total"], max_points=50).series
    assert len(series.points) <= 51
    assert max(p.high for p in series.points if p.high is not None) == 1e6


def test_reading_on_gives_what_reading_at_once_gives(paths: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vsrpp.control.curves.FINE_BUCKETS", 64)
    values = random.Random(1)
    rows = [(0, step, values.random()) for step in range(1000)]
    _write(paths, rows[:400])
    reader = CurveReader(paths)
    reader.read(["loss/total"], max_points=20)
    _write(paths, rows[400:])
    later, fresh = reader.read(["loss/total"], max_points=20), curves(paths, ["loss/total"], max_points=20)
    reader.close()
    for a, b in zip(later.series[0].points, fresh.series[0].points, strict=True):
        assert (a.step, a.low, a.high, a.last, a.rows) == (b.step, b.low, b.high, b.last, b.rows)
        assert a.mean == pytest.approx(b.mean)
    assert sum(p.rows for p in later.series[0].points) == 1000


def test_a_zoomed_view_shows_every_row(paths: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vsrpp.control.curves.FINE_BUCKETS", 16)
    _write(paths, [(0, step, float(step)) for step in range(2000)])
    (series,) = curves(paths, ["loss/total"], from_step=500, to_step=540).series
    assert [p.step for p in series.points] == list(range(500, 541))


def test_a_budget_that_is_spent_says_so_and_the_next_call_goes_on(
    paths: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsrpp.control.curves.CHUNK_STEPS", 100)
    _write(paths, [(0, step, 1.0) for step in range(1000)])
    reader = CurveReader(paths)
    first = reader.read(["loss/total"], budget_s=0.0)
    assert not first.complete and 0 < sum(p.rows for p in first.series[0].points) < 1000
    for _ in range(20):
        last = reader.read(["loss/total"], budget_s=0.0)
    assert last.complete and sum(p.rows for p in last.series[0].points) == 1000
    reader.close()


def test_what_a_rollback_left_behind_is_a_series_of_its_own(paths: RunPaths) -> None:
    writer = RunWriter(paths.run_db, "r1")
    for step in range(0, 50, 10):
        writer.record(step, 0, {"loss/total": 1.0})
    writer.append("rolled_back", step=20, branch=1, revision=1, data={"from_step": 40, "to_step": 20, "from_branch": 0,
                                                                      "changes": []})  # fmt: skip
    for step in range(30, 60, 10):
        writer.record(step, 1, {"loss/total": 2.0})
    writer.close()
    found = {(s.branch, s.abandoned): [p.step for p in s.points] for s in curves(paths, ["loss/total"]).series}
    assert found == {(0, False): [0, 10, 20], (0, True): [30, 40], (1, False): [30, 40, 50]}


def test_going_back_twice_keeps_one_line(paths: RunPaths) -> None:
    writer = RunWriter(paths.run_db, "r1")
    writer.append("started", step=0, branch=0, revision=0, data={"config": {}, "run_config": {}})
    for branch, (start, to) in enumerate([(300, 200), (400, 100)], start=1):
        writer.append("rolled_back", step=to, branch=branch, revision=branch,
                      data={"from_step": start, "to_step": to, "from_branch": branch - 1, "changes": []})  # fmt: skip
    line = lineage(writer.events())
    writer.close()
    assert [(s.branch, s.from_step, s.to_step) for s in line.segments] == [(0, 0, 100), (2, 100, None)]
    assert [(s.branch, s.from_step, s.to_step) for s in line.abandoned] == [
        (0, 201, None),
        (0, 101, 200),
        (1, 200, None),
    ]


def test_merging_buckets_without_a_finite_value() -> None:
    from vsrpp.control.curves import Point

    bad = Point(1, None, None, None, None, 2, 2)
    good = Point(2, 1.0, 3.0, 2.0, 3.0, 2, 0)
    assert merge_points(bad, good) == Point(2, 1.0, 3.0, 2.0, 3.0, 4, 2)
    assert merge_points(good, Point(3, None, None, None, None, 1, 1)).last is None


@pytest.mark.slow
def test_a_refresh_on_a_million_steps_stays_within_200_ms(paths: RunPaths) -> None:
    """A row every ten steps, five metrics, 500 000 rows; the bar is the issue's, the median here is a few ms.

    Processor time: what else the machine does is not counted.
    """
    writer = RunWriter(paths.run_db, "r1")
    keys = ["loss/total", "loss/l1", "loss/ms", "loss/grad", "lr"]
    writer.record(0, 0, dict.fromkeys(keys, 1.0))
    writer.close()
    db = sqlite3.connect(paths.run_db)
    ids = [row[0] for row in db.execute("SELECT id FROM metric_keys")]
    db.executemany(
        "INSERT INTO metrics (key_id, branch, step, time, value) VALUES (?, 0, ?, 0, ?)",
        ((key_id, step, 1.0 / (1 + step)) for step in range(10, 1_000_000, 10) for key_id in ids),
    )
    db.commit()
    db.close()
    reader, took, complete = CurveReader(paths), [], False
    while not complete:
        began = time.process_time()
        complete = reader.read(keys, budget_s=0.1).complete
        took.append(time.process_time() - began)
    for _ in range(20):
        began = time.process_time()
        reader.read(keys, budget_s=0.1)
        took.append(time.process_time() - began)
    reader.close()
    print(f"refreshes: worst {max(took) * 1e3:.0f} ms, median {sorted(took)[len(took) // 2] * 1e3:.1f} ms")
    assert sorted(took)[int(len(took) * 0.95)] <= 0.2
