"""The learning rate: where each schedule starts, peaks and ends, and what an edit of a rate or of max_steps does to it."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsrpp import config, schedule

BASE_RUN, BASE = config.defaults("base")
NAMES = tuple(schedule.SHAPES)


def live(max_lr=1e-3, min_lr=1e-6, max_steps=1000):
    return {**BASE, "max_lr": max_lr, "min_lr": min_lr, "max_steps": max_steps}


def run(warmup_steps=100, lr_schedule="cosine", **parameters):
    return {**BASE_RUN, "warmup_steps": warmup_steps, "lr_schedule": lr_schedule, **parameters}


def heights(run_config, *steps, max_steps=1000):
    return [schedule.fraction(step, max_steps, run_config) for step in steps]


configs = st.builds(
    live, max_lr=st.floats(1e-4, 1e-3, exclude_min=True), min_lr=st.floats(1e-8, 1e-4), max_steps=st.integers(1, 10**7)
)
positions = st.lists(st.floats(1e-3, 1) | st.integers(2, 10**6), min_size=1, max_size=6).map(
    lambda values: ", ".join(map(str, values))
)
runs = st.builds(
    run, warmup_steps=st.integers(0, 10**5), lr_schedule=st.sampled_from(NAMES), lr_milestones=positions,
    lr_periods=positions, lr_gamma=st.floats(0.001, 1), lr_peak_at=st.floats(0, 0.9),
    lr_restart_weights=st.lists(st.floats(0.01, 1), min_size=1, max_size=4).map(lambda v: ", ".join(map(str, v))),
)  # fmt: skip
steps = st.integers(0, 2 * 10**7)
warmups = st.integers(0, 10**5)
factors = st.floats(0, 10)


# ---- every schedule
@given(steps, configs, runs, factors)
def test_rate_never_leaves_its_bounds(step, config_in_force, run_config, factor):
    rate = schedule.learning_rate(step, config_in_force, run_config, factor)
    assert config_in_force["min_lr"] <= rate <= config_in_force["max_lr"]


@given(steps, configs, runs, st.floats(1.01e-4, 1e-3), factors)
def test_edit_of_max_lr_keeps_the_phase(step, before, run_config, max_lr, factor):
    after = {**before, "max_lr": max_lr}
    first, second = [
        (schedule.learning_rate(step, each, run_config, factor) - each["min_lr"]) / (each["max_lr"] - each["min_lr"])
        for each in (before, after)
    ]
    assert first == pytest.approx(second, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_peak_is_exactly_max_lr(name):
    rates = [schedule.learning_rate(step, live(max_lr=1.5e-4), run(lr_schedule=name)) for step in range(1000)]
    assert max(rates) == 1.5e-4


@pytest.mark.parametrize("name", NAMES)
def test_warm_up_rises_in_a_line_to_where_the_schedule_starts(name):
    run_config = run(lr_schedule=name)
    start = {"one_cycle": 1 / 25}.get(name, 1.0)
    assert heights(run_config, 0, 49, 99, 100) == pytest.approx(
        [start / 101, start * 50 / 101, start * 100 / 101, start]
    )


@pytest.mark.parametrize("name", ["cosine", "one_cycle", "constant"])
def test_rate_without_steps_or_restarts_changes_little_from_one_step_to_the_next(name):
    made = heights(run(lr_schedule=name), *range(1001))
    assert max(abs(b - a) for a, b in pairwise(made)) < 0.011


@pytest.mark.parametrize("name", NAMES)
def test_factor_of_the_controller_scales_the_height_and_stops_at_the_peak(name):
    run_config = run(lr_schedule=name)
    for step in (0, 120, 550, 980):
        (height,) = heights(run_config, step)
        for factor in (0.5, 2.0):
            rate = schedule.learning_rate(step, live(), run_config, factor)
            assert (rate - 1e-6) / (1e-3 - 1e-6) == pytest.approx(min(1.0, factor * height), abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("warmup", "max_steps"), [(0, 1), (5, 1), (20, 10), (10, 10), (0, 2), (1, 2)])
def test_a_run_of_a_few_steps_has_a_rate_at_each(name, warmup, max_steps):
    assert all(
        0 <= height <= 1 for height in heights(run(warmup, name), *range(2 * max_steps + 30), max_steps=max_steps)
    )


def test_a_record_without_the_key_means_the_cosine():
    old = {"warmup_steps": 100}
    drawn = schedule.curve(0, 1100, live(), old)
    assert drawn == schedule.curve(0, 1100, live(), run()) and schedule.name_of(old) == "cosine"


# ---- cosine
@pytest.mark.parametrize(
    ("step", "rate"),
    [
        (0, 1e-6 + (1e-3 - 1e-6) * 1 / 101),
        (49, 1e-6 + (1e-3 - 1e-6) * 50 / 101),
        (99, 1e-6 + (1e-3 - 1e-6) * 100 / 101),
        (100, 1e-3),
        (325, 1e-6 + (1e-3 - 1e-6) * (2 + math.sqrt(2)) / 4),
        (550, (1e-3 + 1e-6) / 2),
        (1000, 1e-6),
        (5000, 1e-6),
    ],
)
def test_rate_warms_up_in_a_line_and_falls_along_a_cosine(step, rate):
    assert schedule.learning_rate(step, live(), run()) == pytest.approx(rate, rel=1e-12)


@given(steps, st.integers(1, 10**7), warmups)
def test_cosine_has_the_bits_it_had_when_it_was_the_only_schedule(step, max_steps, warmup):
    if step >= max_steps:
        expected = 0.0
    elif step < warmup:
        expected = (step + 1) / (warmup + 1)
    else:
        expected = 0.5 * (1.0 + math.cos(math.pi * ((step - warmup) / (max_steps - warmup))))
    assert schedule.fraction(step, max_steps, {"warmup_steps": warmup}) == expected


def test_end_is_exactly_min_lr():
    assert schedule.learning_rate(1000, live(min_lr=3e-7), run()) == 3e-7


def test_without_a_warm_up_the_first_step_is_at_the_peak():
    assert schedule.learning_rate(0, live(), run(0)) == 1e-3


def test_run_shorter_than_its_warm_up_only_rises_until_it_ends():
    rates = [schedule.learning_rate(step, live(max_steps=10), run(20)) for step in range(12)]
    assert rates[:10] == sorted(rates[:10]) and rates[10:] == [1e-6, 1e-6]


@given(st.data(), configs, warmups)
def test_rate_changes_little_from_one_step_to_the_next(data, config_in_force, warmup_steps):
    max_steps = config_in_force["max_steps"]
    warmup_steps = min(warmup_steps, max_steps // 2)
    step = data.draw(st.integers(0, max_steps + 10))
    here, there = (schedule.learning_rate(s, config_in_force, run(warmup_steps)) for s in (step, step + 1))
    height = config_in_force["max_lr"] - config_in_force["min_lr"]
    steepest = max(1 / (warmup_steps + 1), math.pi / 2 / (max_steps - warmup_steps))
    assert abs(there - here) <= height * steepest * (1 + 1e-9) + 1e-15


@given(configs, warmups)
def test_rate_rises_through_the_warm_up_and_then_falls(config_in_force, warmup_steps):
    drawn = schedule.curve(0, config_in_force["max_steps"], config_in_force, run(warmup_steps), points=50)
    rates = [rate for _, rate in drawn]
    peak = rates.index(max(rates))
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)


# ---- the others
def test_multi_step_falls_at_its_milestones_given_as_fractions_or_steps():
    run_config = run(lr_schedule="multi_step", lr_milestones="0.5, 800, 900.0, 9e2", lr_gamma=0.1)
    assert heights(run_config, 100, 499, 500, 799, 800, 899, 900, 1000, 5000) == pytest.approx(
        [1, 1, 0.1, 0.1, 0.01, 0.01, 1e-4, 1e-4, 1e-4]
    )


def test_multi_step_is_torchs():
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 7, 7, 9], gamma=0.5)
    ours = run(0, "multi_step", lr_milestones="3, 7, 7, 9", lr_gamma=0.5)
    for step in range(12):
        assert schedule.fraction(step, 12, ours) == pytest.approx(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()


def test_an_edit_of_max_steps_moves_fractions_and_leaves_steps():
    run_config = run(lr_schedule="multi_step", lr_milestones="0.5, 800", lr_gamma=0.1)
    assert heights(run_config, 500, 800, 999, 1000, max_steps=2000) == pytest.approx([1, 0.1, 0.1, 0.01])


def test_constant_stays_at_the_peak():
    assert set(heights(run(lr_schedule="constant"), *range(100, 1200, 50))) == {1.0}


def test_one_cycle_rises_to_its_peak_and_falls_to_the_end():
    made = heights(run(0, "one_cycle"), *range(1001))
    assert (made[0], made[300], made[1000]) == (pytest.approx(1 / 25), 1.0, 0.0)
    assert made[:301] == sorted(made[:301]) and made[300:] == sorted(made[300:], reverse=True)
    assert made[150] == pytest.approx((1 + 1 / 25) / 2) and made[650] == pytest.approx(0.5)


def test_a_warm_up_beyond_the_peak_of_one_cycle_replaces_its_rise():
    made = heights(run(400, "one_cycle"), 0, 399, 400, 700, 1000)
    assert made == pytest.approx([1 / 401, 400 / 401, 1, 0.5, 0])


def test_cosine_restarts_rises_to_the_weight_of_each_period_the_last_ones_repeating():
    run_config = run(0, "cosine_restarts", lr_periods="100, 0.3", lr_restart_weights="1, 0.5")
    assert heights(run_config, 0, 50, 100, 250, 400, 550, 700, 850, 1000) == pytest.approx(
        [1, 0.5, 0.5, 0.25, 0.5, 0.25, 0.5, 0.25, 0]
    )
    assert heights(run_config, 99, 399, 999) == pytest.approx([0, 0, 0], abs=1e-3)


def test_cosine_restarts_is_the_formula_of_basicsr_within_each_period():
    run_config = run(
        0, "cosine_restarts", lr_periods="50, 100, 150, 150, 150", lr_restart_weights="1, 0.5, 0.5, 0.5, 0.5"
    )
    edges = [0, 50, 150, 300, 450, 600]
    for number, (start, end) in enumerate(pairwise(edges)):
        for step in range(start, end):
            theirs = (1 if number == 0 else 0.5) * 0.5 * (1 + math.cos(math.pi * ((step - start) / (end - start))))
            assert schedule.fraction(step, 600, run_config) == pytest.approx(theirs, abs=1e-12)


def test_one_period_of_the_whole_run_is_the_plain_cosine():
    once = run(100, "cosine_restarts", lr_periods="1")
    assert heights(once, *range(1100)) == heights(run(100), *range(1100))


# ---- from points
def test_points_are_joined_by_lines_over_the_phase_after_the_warm_up():
    shape = schedule.from_points([(0, 0.5), (0.5, 1.0), (0.5, 0.2), (1, 0.1)])
    made = [schedule.fraction(step, 1000, run(), shape) for step in (49, 100, 325, 549, 550, 775, 1000, 2000)]
    assert made == pytest.approx([0.5 * 50 / 101, 0.5, 0.75, 1.0, 0.2, 0.15, 0.1, 0.1], abs=2e-3)


@given(st.sampled_from(["cosine", "one_cycle", "constant"]), st.integers(100, 1000))
def test_enough_points_of_a_schedule_draw_it(name, step):
    run_config, shape = run(lr_schedule=name), schedule.SHAPES[name]
    table = [(at / 900, shape(100 + at, 1000, 100, run_config)) for at in range(0, 901, 9)]
    drawn = schedule.fraction(step, 1000, run_config, schedule.from_points(table))
    assert drawn == pytest.approx(schedule.fraction(step, 1000, run_config), abs=3e-3)


@pytest.mark.parametrize("points", [[], [(0.5, 1.0), (0.2, 0.5)]])
def test_points_that_make_no_schedule_are_an_error(points):
    with pytest.raises(ValueError, match="phases do not decrease"):
        schedule.from_points(points)


# ---- the configuration
@pytest.mark.parametrize("key", ["lr_milestones", "lr_periods"])
@pytest.mark.parametrize("text", ["", "0", "0.0", "-1", "0.5,", "0.5; 0.8", "a", "0.5, 0", "nan", "inf", "1 2", "0e5"])
def test_positions_that_are_none_are_refused_in_one_line(key, text):
    (problem,) = config.check_run({**BASE_RUN, key: text})
    assert problem.key == key and "must be a comma-separated list of numbers above 0" in problem.message


@pytest.mark.parametrize("text", ["0.5", ".5,.8", "250000, 400000", "1e5, 2.5e5", "0.50 , 1", "1."])
def test_positions_may_be_written_in_any_way(text):
    assert config.check_run({**BASE_RUN, "lr_milestones": text, "lr_periods": text}) == []
    assert all(
        0 <= height <= 1 for name in NAMES for height in heights(run(0, name, lr_milestones=text, lr_periods=text), 7)
    )


@pytest.mark.parametrize("text", ["0", "1.5", "1, 2", "-0.5", "", "1,,1"])
def test_weights_of_restarts_above_the_peak_are_refused(text):
    (problem,) = config.check_run({**BASE_RUN, "lr_restart_weights": text})
    assert "above 0 and up to 1" in problem.message


def test_a_list_or_a_number_in_yaml_is_taken_as_the_text(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("lr_milestones: [250000, 0.8]\nlr_periods: 0.25\nlr_restart_weights: [1, 0.5]\n")
    run_config, _ = config.resolve("base", file, {})
    assert [run_config[key] for key in ("lr_milestones", "lr_periods", "lr_restart_weights")] == [
        "250000, 0.8", "0.25", "1, 0.5",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "ignored"),
    [
        ("cosine", ["lr_gamma", "lr_peak_at"]),
        ("multi_step", ["lr_peak_at"]),
        ("one_cycle", ["lr_gamma"]),
        ("theirs.py:f", []),
    ],
)
def test_what_the_schedule_does_not_read_is_named(name, ignored):
    assert schedule.without_effect(run(lr_schedule=name, lr_gamma=0.1, lr_peak_at=0.5)) == ignored
    assert schedule.without_effect(run(lr_schedule=name)) == []


@pytest.mark.parametrize(
    ("run_config", "told"),
    [
        (None, True), (run(), True), (run(lr_schedule="constant"), False), (run(lr_schedule="multi_step"), True),
        (run(lr_schedule="multi_step", lr_milestones="500, 800"), False), (run(lr_schedule="cosine_restarts"), True),
    ],
)  # fmt: skip
def test_an_edit_of_max_steps_is_remarked_on_only_if_the_rate_changes_with_it(run_config, told):
    assert (
        any(
            remark["reason_code"] == "warning.schedule"
            for remark in config.warnings(BASE, {"max_steps": 999_999}, run_config)
        )
        == told
    )


# ---- curves
def test_factor_scales_the_height_above_the_floor():
    whole, half = (schedule.learning_rate(550, live(), run(), factor) for factor in (1.0, 0.5))
    assert half - 1e-6 == pytest.approx((whole - 1e-6) / 2)


def test_curve_holds_both_ends_and_every_step_of_a_short_stretch():
    drawn = schedule.curve(10, 15, live(), run())
    assert [step for step, _ in drawn] == [10, 11, 12, 13, 14, 15]
    assert drawn == [(step, schedule.learning_rate(step, live(), run())) for step, _ in drawn]


def test_curve_of_a_long_stretch_has_the_points_asked_for():
    steps_drawn = [step for step, _ in schedule.curve(0, 1_000_000, live(), run(), points=200)]
    assert len(steps_drawn) == len(set(steps_drawn)) == 200
    assert (steps_drawn[0], steps_drawn[-1]) == (0, 1_000_000)


def test_curve_that_ends_before_it_starts_is_empty():
    assert schedule.curve(10, 9, live(), run()) == []
    assert schedule.curve(10, 10, live(), run()) == [(10, schedule.learning_rate(10, live(), run()))]
