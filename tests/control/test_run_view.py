"""One view of a run for every interface: its content, its cost (only what is new), and the table of runs."""

from __future__ import annotations

import json
import math
import sqlite3
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.delivering import lost, uploading
from tests.support.synthetic import SyntheticRun, full_run
from vsrpp import control
from vsrpp.control.run_view import RunView
from vsrpp.control.run_view_reader import RunViewReader, view_run
from vsrpp.paths import RunPaths
from vsrpp.store import RunReader, RunWriter
from vsrpp.texts import english

DESIGNED = (
    "run_id", "run_dir", "state", "step", "max_steps", "revision", "branch", "phase", "lr", "losses", "config", "best",
    "psnr_y", "bicubic_psnr_y", "checkpoints", "backlog", "steps_per_s", "eta_s", "name", "ssim_y", "bicubic_ssim_y",
    "off_host", "off_host_why", "convergence", "score", "momentum", "time", "device_use", "hours", "cost",
    "ended_because", "waiting", "probation", "updated",
)  # fmt: skip


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def test_status_is_the_view_as_json(runs: Path) -> None:
    run = full_run(runs)
    seen = control.status(run.paths)
    assert set(seen) == set(DESIGNED)
    assert json.loads(json.dumps(seen, allow_nan=False)) == seen
    assert (seen["state"], seen["step"], seen["branch"], seen["revision"]) == ("training", 400, 1, 3)
    assert seen["psnr_y"] == 28.74 and seen["best"]["step"] == 400 and seen["checkpoints"] == [100, 200, 300, 400]
    assert seen["score"] == {"total": 62.4, "gain": 36.0, "sharpness": 8.0, "convergence": 10.0, "stability": 8.4}
    assert seen["time"]["step_s"] == 0.31 and seen["time"]["data_wait_s"] == 0.02
    assert set(seen["losses"]) == {"total", "l1", "ms", "grad"}


def test_many_looks_see_what_one_fresh_look_sees(runs: Path) -> None:
    run = SyntheticRun(runs)
    reading = RunViewReader(run.paths)

    def same() -> RunView:
        kept, fresh = reading.look(), view_run(run.paths)
        when = {"now": 0.0, "remote_copy": None, "backlog": {}, "config": control.ConfigHistory()}
        assert replace(kept, **when) == replace(fresh, **when)
        assert (kept.values, kept.revision) == (fresh.values, fresh.revision)
        return kept

    same()
    for psnr_y in (27.0, 28.0):
        run.train(100)
        run.validate(psnr_y)
        run.checkpoint(psnr_y)
        same()
    run.edit(max_lr=2e-4, reason="flat")
    run.event("plateau_detected", counter=250)
    assert same().plateau
    run.roll_back(100)
    turned = same()
    assert not turned.plateau and [saved.step for saved in turned.checkpoints] == [100]
    assert turned.checkpoint_steps == (100, 200) and turned.best is not None and turned.best["step"] == 100
    run.train(50)
    run.end("stopped", why="stop")
    assert same().ended_because == "stop"
    reading.close()


def test_a_view_that_was_handed_out_does_not_change(runs: Path) -> None:
    run = SyntheticRun(runs)
    run.train(50)
    reading = RunViewReader(run.paths)
    first = reading.look()
    before = (first.revision, dict(first.values), len(first.events), dict(first.metrics))
    run.edit(max_lr=2e-4)
    run.train(50)
    assert reading.look().revision == 1
    assert (first.revision, dict(first.values), len(first.events), dict(first.metrics)) == before
    reading.close()


def test_only_the_newest_events_are_kept_if_so_wished_and_the_rest_still_counts(runs: Path) -> None:
    run = SyntheticRun(runs)
    for number in range(5):
        run.edit(max_lr=1e-4 * (number + 1))
        run.validate(27.0 + number, picture=False)
    reading = RunViewReader(run.paths, keep_events=3)
    seen = reading.look()
    assert len(seen.events) == 3 and len(seen.validations) == 5 and seen.revision == 5
    reading.close()


@pytest.mark.parametrize(("quiet_s", "steps_per_s", "silent"), [(10, 3.0, False), (21, 3.0, True), (60, 0.05, False)])
def test_silent_is_beyond_twenty_seconds_and_five_steps(quiet_s: float, steps_per_s: float, silent: bool) -> None:
    view = RunView(
        run_id="r", root=Path(), state="training", now=1000.0, updated=1000.0 - quiet_s, steps_per_s=steps_per_s
    )
    assert view.silent is silent
    assert not replace(view, state="paused").silent


def test_weights_are_those_in_effect_and_the_configured_ones_before_the_first_row(runs: Path) -> None:
    run = SyntheticRun(runs, l1_weight=0.5, ms_weight=0.3)
    assert view_run(run.paths).weights()["l1"] == 0.5
    run.writer.record(10, 0, {"weight/l1": 0.45, "weight/ms": math.nan})
    assert view_run(run.paths).weights() == {"l1": 0.45, "ms": None, "grad": None, "perceptual": None}


def test_an_edit_on_probation_a_late_server_and_a_failure_are_told(runs: Path) -> None:
    run = SyntheticRun(runs)
    run.say("training", probation={"until_step": 70, "revert_if": None, "revision": 1})
    lost(run.paths, "unreachable", "Connection refused")
    seen = view_run(run.paths)
    assert seen.on_probation and seen.behind and seen.live and not seen.ended and seen.failure() is None
    run.event("failed", error="out of disk")
    run.say("failed")
    seen = view_run(run.paths)
    told = seen.failure()
    assert told is not None and told.detail(english) == "out of disk" and seen.ended_because == "out of disk"
    assert not seen.on_probation and seen.eta_s is None


def test_delivery_is_looked_at_again_after_an_event_and_while_something_goes_out(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = SyntheticRun(runs)
    reading = RunViewReader(run.paths)
    waiting = reading.look().backlog["rows"]
    run.event("paused")
    assert reading.look().backlog["rows"] == waiting + 1
    uploading(run.paths, "checkpoint 20", 1_000_000, 4_000_000)
    assert reading.look().backlog["uploading"] is None, "nothing new: the folder is left alone"
    monkeypatch.setattr("vsrpp.control.run_view_reader.DELIVERY_EVERY_S", 0.0)
    assert reading.look().backlog["uploading"]["done_bytes"] == 1_000_000
    reading.close()


def test_a_look_at_a_long_record_costs_what_is_new(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = SyntheticRun(runs)
    for step in range(10, 3000, 10):
        run.writer.append("paused", step=step, branch=0, revision=0)
    run.train(200)
    reading = RunViewReader(run.paths)
    reading.look()
    asked: list[int] = []
    real = RunReader.events

    def counting(self, *, after_seq=0, types=None, limit=-1):  # type: ignore[no-untyped-def]
        found = list(real(self, after_seq=after_seq, types=types, limit=limit))
        asked.append(len(found))
        return iter(found)

    monkeypatch.setattr(RunReader, "events", counting)
    began = time.perf_counter()
    for _ in range(20):
        reading.look()
    assert sum(asked) == 0 and (time.perf_counter() - began) / 20 < 0.05
    run.event("paused")
    reading.look()
    assert asked == [1]
    reading.close()


# ---- the table of runs
def test_a_damaged_folder_is_a_row_of_its_own_and_hides_no_other(runs: Path) -> None:
    full_run(runs).end()
    for name, content in {"torn": b"no database at all" * 500, "cut": b"SQLite format 3\0" + b"\0" * 50}.items():
        (runs / name).mkdir()
        (runs / name / "run.db").write_bytes(content)
    broken = SyntheticRun(runs, "odd")
    broken.close()
    with sqlite3.connect(broken.paths.run_db) as db:
        db.execute("UPDATE state SET data = '{'")
    (runs / "born").mkdir()
    (runs / "born" / "run.db").write_bytes(b"")
    rows = control.runs(runs)
    assert [row.state for row in rows] == ["finished", "unreadable", "unreadable", "unreadable"]
    assert {row.run_id for row in rows if row.error} == {"torn", "cut", "odd"}
    assert rows[0].best is not None and rows[0].to_json()["run_dir"] == str((runs / rows[0].run_id).resolve())


def test_live_runs_come_first(runs: Path) -> None:
    old = SyntheticRun(runs, "a")
    new = SyntheticRun(runs, "b")
    new.end()
    assert [row.run_id for row in control.runs(runs)] == ["a", "b"]
    old.end()
    assert {row.state for row in control.runs(runs)} == {"finished"}


def test_the_best_is_one_checkpoint_of_one_branch(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path / "r1")
    paths.root.mkdir()
    writer = RunWriter(paths.run_db, "r1")

    def emit(type: str, step: int, branch: int = 0, **data: Any) -> int:
        return writer.append(type, step=step, branch=branch, revision=0, data=data).seq

    start = emit("started", 0, config={"max_steps": 100}, run_config={"keep_best_by": "val/ssim_y"})
    emit("checkpoint_saved", 10, metrics={"val/psnr_y": 31.0, "val/ssim_y": 0.8})
    emit("checkpoint_saved", 20, metrics={"val/psnr_y": 30.0, "val/ssim_y": 0.9})
    assert view_run(paths).is_best(0, 20)
    emit("rolled_back", 25, 1, to_step=10, to_seq=start + 1, from_step=25, from_branch=0, changes=[])
    view = view_run(paths)
    assert view.is_best(0, 10) and not view.is_best(0, 20)
    emit("checkpoint_saved", 20, 1, metrics={"val/psnr_y": 29.0, "val/ssim_y": 0.95})
    view = view_run(paths)
    assert view.is_best(1, 20) and not view.is_best(0, 20)
    assert view.best == {"step": 20, "psnr_y": 29.0, "key": "val/ssim_y", "value": 0.95}
    writer.close()
