"""The figures shown to people: each follows its formula, is recorded, and appears in `status`."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from tests.support.processes import train_command, vsrpp
from tests.support.runs import Steered
from vsrpp import config, control
from vsrpp.control.numbers import numbers
from vsrpp.errors import Refused
from vsrpp.store import RunReader
from vsrpp.training.progress import SCORE_PARTS, Convergence, score
from vsrpp.training.throughput import Throughput, trimmed_mean

LIVE = {"max_steps": 1000, "validate_every": 300, "checkpoint_every": 250}


class Clock:
    """A clock that moves only when told to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s

    def spend(self, pace: Throughput, part: str, seconds: float) -> None:
        with pace.doing(part):
            self.now_s += seconds


def stepped(steps: int, step_s: float = 0.1, **rare: float) -> tuple[Throughput, Clock]:
    """The pace after this many steps, a tenth of each spent waiting."""
    clock = Clock()
    pace = Throughput(now=clock)
    for _ in range(steps):
        pace.step_begins()
        with pace.doing("compute"):
            clock.spend(pace, "data_wait", 0.1 * step_s)
            clock.now_s += 0.9 * step_s
    for part, seconds in rare.items():
        clock.spend(pace, part, seconds)
    return pace, clock


# ---- where the time goes
def test_every_second_belongs_to_one_part_and_a_nested_one_is_not_counted_twice() -> None:
    pace, clock = stepped(10, validation=3.0, checkpoint=0.5, paused=60.0)
    clock.now_s += 0.2
    row = pace.row(10, frames_per_step=6)
    assert row["speed/data_wait_s"] == pytest.approx(0.01) and row["speed/compute_s"] == pytest.approx(0.09)
    assert row["speed/validation_s"] == pytest.approx(0.3) and row["speed/checkpoint_s"] == pytest.approx(0.05)
    assert row["speed/boundary_s"] == pytest.approx(0.02) and row["speed/step_s"] == pytest.approx(0.12)
    assert row["speed/frames_per_s"] == pytest.approx(50.0)
    assert pace.row(10, 6) == {}, "no step since"


def test_a_pause_is_machine_time_and_no_training_time() -> None:
    pace, _ = stepped(10, paused=3600.0)
    assert pace.spent_s == pytest.approx(3601.0)
    assert pace.row(10, 1)["speed/step_s"] == pytest.approx(0.1)


def test_the_time_to_go_counts_validations_and_checkpoints_on_the_way_and_no_pause() -> None:
    pace, clock = stepped(101, validation=8.0, checkpoint=1.0, paused=500.0)
    clock.spend(pace, "validation", 12.0)
    clock.spend(pace, "validation", 10.0)
    # 900 steps at 0.1 s; validations at 300, 600, 900, 1000 of 10 s (median); checkpoints at 250, 500, 750, 1000 of 1 s
    assert pace.eta_s(100, LIVE) == pytest.approx(90.0 + 40.0 + 4.0)
    assert pace.eta_s(1000, LIVE) == 0.0
    assert pace.eta_s(100, {**LIVE, "max_steps": 100_000}) > 9000, "an edited end counts at once"


def test_a_slow_moment_hardly_moves_the_time_to_go() -> None:
    pace, clock = stepped(100)
    before = pace.eta_s(500, LIVE)
    for number in range(16):
        pace.step_begins()
        clock.now_s += 30.0 if number in (3, 4, 9) else 0.1
    assert pace.eta_s(500, LIVE) == pytest.approx(before)
    assert trimmed_mean([0.1] * 18 + [99.0, 99.0]) == pytest.approx(0.1)  # type: ignore[arg-type]


def test_nothing_is_foreseen_before_the_pace_is_known() -> None:
    pace, _ = stepped(1)
    assert pace.eta_s(1, LIVE) is None


# ---- convergence
@pytest.mark.parametrize(
    ("slope", "noise", "steps", "state"),
    [
        (-5e-4, 0.1, 512, "falling"),
        (5e-4, 0.1, 512, "rising"),
        (0.0, 0.02, 512, "flat"),
        (0.0, 0.8, 512, "noisy"),
        (-5e-4, 0.1, 60, "unknown"),
        (0.0, 0.0, 512, "flat"),
    ],
)
def test_convergence_says_the_slope_in_a_word(slope: float, noise: float, steps: int, state: str) -> None:
    rng, found = random.Random(3), Convergence()
    for step in range(steps):
        found.add(0.05 * math.exp(slope * step + rng.gauss(0, noise)))
    values = found.values()
    assert found.state() == state
    if state in ("falling", "rising"):
        assert values["progress/slope_percent_per_1000_steps"] == pytest.approx(slope * 1e5, abs=8)


def test_convergence_leaves_out_what_is_no_loss_and_goes_on_exactly_from_its_state() -> None:
    whole, resumed, rng = Convergence(), Convergence(), random.Random(1)
    losses = [rng.random() for _ in range(700)]
    for loss in (*losses[:333], math.nan, math.inf, -1.0, 0.0):
        whole.add(loss)
    resumed.load(whole.to_state())
    for loss in losses[333:]:
        whole.add(loss)
        resumed.add(loss)
    assert resumed.values() == whole.values() and len(whole.blocks) == 64


# ---- the score
@pytest.mark.parametrize(
    ("gain", "sharpness", "state", "norms", "points"),
    [
        (0.0, 0.5, "rising", [2.0], (0, 0, 0, 0)),
        (0.5, 0.75, "flat", [0.5, 2.0], (30, 10, 5, 5)),
        (1.0, 1.0, "falling", [0.5], (60, 20, 10, 10)),
        (9.0, 1.0, "falling", [], (60, 20, 10, 10)),
        (-3.0, 1.75, "unknown", [math.nan], (0, 0, 5, 0)),
    ],
)
def test_the_score_is_the_sum_of_its_parts(gain, sharpness, state, norms, points) -> None:
    figures = {"val/psnr_y": 30.0 + gain, "val/bicubic_psnr_y": 30.0, "val/sharpness": sharpness}
    found = score(figures, state, norms, clip=1.0)
    assert tuple(found[f"progress/score_{part}"] for part in SCORE_PARTS) == pytest.approx(points)
    assert found["progress/score"] == pytest.approx(sum(points))
    assert score({}, state, norms, clip=1.0) == {}


# ---- cost
@pytest.mark.parametrize(
    ("most", "to_come"), [(None, 4.0), (1.5, 1.0), (0.5, 0.0)], ids=["no limit", "the limit first", "used up"]
)
def test_the_cost_to_come_is_that_of_the_time_to_go_within_the_limit(most: float | None, to_come: float) -> None:
    said = {"spent_s": 3600.0, "eta_s": 7200.0, "max_hours": most, "cost_per_hour": 2.0}
    seen = numbers({}, said, "training", LIVE, {}).to_json()
    assert seen["cost"] == {"per_hour": 2.0, "spent": 2.0, "to_come": to_come}
    assert numbers({}, said, "stopped", LIVE, {}).to_json()["cost"]["to_come"] is None
    assert numbers({}, {**said, "cost_per_hour": None}, "training", LIVE, {}).to_json()["cost"] is None


def test_an_older_record_without_these_figures_still_has_a_time_to_go() -> None:
    seen = numbers({}, {"step": 400, "steps_per_s": 2.0}, "training", LIVE, {}).to_json()
    assert seen["eta_s"] == 300.0
    assert [seen[key] for key in ("convergence", "score", "time", "device_use", "hours", "cost")] == [None] * 6


# ---- in a run
def test_a_run_records_its_numbers_and_status_shows_the_recorded_ones(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip, max_steps=80, log_every=10, validate_every=40, cost_per_hour=3.6)
    run.train()
    with RunReader(run.paths.run_db) as reader:
        row = {r.key: r.value for r in reader.metrics() if r.step == 80}
    for key in ("convergence", "slope_percent_per_1000_steps", "score", "score_gain", "spent_s", "eta_s", "cost"):
        assert math.isfinite(row[f"progress/{key}"]), key
    for part in ("data_wait", "compute", "validation", "checkpoint", "boundary", "step"):
        assert row[f"speed/{part}_s"] >= 0, part
    assert row["speed/validation_s"] > 0 and row["speed/compute_s"] > 0
    assert row["progress/cost"] == pytest.approx(row["progress/spent_s"] / 1000)
    seen = control.status(run.paths)
    assert seen["score"]["total"] == row["progress/score"] and seen["momentum"] == row["optimizer/momentum"]
    assert seen["time"]["compute_s"] == row["speed/compute_s"] and seen["device_use"]["kind"] == "cpu"
    assert seen["convergence"]["state"] in ("falling", "flat", "rising", "noisy")
    assert seen["cost"]["spent"] >= row["progress/cost"] and seen["eta_s"] is None and seen["ended_because"] is None


def test_a_validation_is_not_part_of_the_speed(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip, max_steps=20, log_every=1, validate_every=10)
    run.train()
    with RunReader(run.paths.run_db) as reader:
        row = {r.key: r.value for r in reader.metrics() if r.step == 10}
    parts = sum(row[f"speed/{part}_s"] for part in ("data_wait", "compute", "boundary"))
    assert row["speed/step_s"] == pytest.approx(parts) and row["speed/validation_s"] > 0


# ---- max_hours
def test_used_up_hours_end_the_run_with_a_checkpoint_and_more_of_them_let_it_go_on(
    tmp_path: Path, tiny_clip: Path
) -> None:
    from vsrpp.training.resume import prepare_resume

    run = Steered.new(tmp_path, tiny_clip, max_steps=1_000_000, validate_every=100_000, max_hours=0.001)
    assert run.train() == "stopped"
    seen = control.status(run.paths)
    assert (seen["state"], seen["ended_because"]) == ("stopped", "the 0.001 hours of max_hours are used up")
    assert seen["checkpoints"][-1] == seen["step"] and seen["hours"]["left"] == 0 and seen["hours"]["spent"] >= 0.001
    with pytest.raises(Refused, match=r"has used .* of its 0.001 hours .* --max-hours 0.002"):
        prepare_resume(run.paths, say=lambda _: None)
    spent = seen["hours"]["spent"]
    limits = {"max_hours": spent + 0.0005, "cost_per_hour": 2.0}
    again = Steered(prepare_resume(run.paths, say=lambda _: None, limits=limits))
    assert again.train() == "stopped"
    later = control.status(run.paths)
    assert later["step"] > seen["step"] and later["hours"]["spent"] >= spent + 0.0005, "time before a resume counts"
    assert later["cost"]["spent"] == pytest.approx(2.0 * later["hours"]["spent"])
    assert control.run_config_of(RunReader(run.paths.run_db))["max_hours"] == limits["max_hours"], "and it is on record"
    assert control.verify(run.paths).ok


def test_hours_used_up_in_a_pause_end_it(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(
        tmp_path,
        tiny_clip,
        {5: lambda run: run.ask("pause")},
        max_steps=1_000_000,
        max_hours=0.001,
        validate_every=10_000,
    )
    assert run.train() == "stopped"
    assert control.status(run.paths)["checkpoints"][-1] == 5


def test_a_run_without_a_limit_trains_the_same_weights_as_one_with(tmp_path: Path, tiny_clip: Path) -> None:
    free, bound = (Steered.new(tmp_path, tiny_clip, **sets) for sets in ({}, {"max_hours": 10.0, "cost_per_hour": 1.0}))
    assert (free.train(), bound.train()) == ("finished", "finished")
    assert free.weights() == bound.weights()


@pytest.mark.parametrize("value", ["0", "-1", "soon", "inf"])
def test_hours_that_are_none_are_refused(value: str) -> None:
    with pytest.raises(Refused, match="max_hours"):
        config.resolve("demo", None, config.parse_assignments([f"max_hours={value}"]))


@pytest.mark.slow
def test_max_hours_on_the_command_line_exits_with_0_and_says_how_to_go_on(tmp_path: Path, tiny_clip: Path) -> None:
    sets = {"max_steps": 1_000_000, "validate_every": 100_000, "checkpoint_every": 100_000}
    command = [*train_command(tiny_clip, **sets), "--max-hours", "0.001", "--cost-per-hour", "2"]
    ended = vsrpp(tmp_path, *command, timeout_s=240)
    assert ended.returncode == 0, ended.stderr
    assert "max_hours are used up" in ended.stdout and "--max-hours 0.002" in ended.stdout
    assert "cost 0.00 so far" in vsrpp(tmp_path, "status", "latest").stdout
    refused = vsrpp(tmp_path, "train", "--resume", "latest", "--no-panel", "--no-tensorboard")
    assert refused.returncode == 2 and "--max-hours" in refused.stderr
