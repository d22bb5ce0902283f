"""The learning rate: its start, peak and end; an edit keeps its phase."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsrpp import config, schedule

_, BASE = config.defaults("base")


def live(max_lr=1e-3, min_lr=1e-6, max_steps=1000):
    return {**BASE, "max_lr": max_lr, "min_lr": min_lr, "max_steps": max_steps}


configs = st.builds(
    live, max_lr=st.floats(1e-4, 1e-3, exclude_min=True), min_lr=st.floats(1e-8, 1e-4), max_steps=st.integers(1, 10**7)
)
steps = st.integers(0, 2 * 10**7)
warmups = st.integers(0, 10**5)
factors = st.floats(0, 10)


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
    assert schedule.learning_rate(step, live(), 100) == pytest.approx(rate, rel=1e-12)


def test_peak_and_end_are_exactly_the_configured_rates():
    assert schedule.learning_rate(100, live(max_lr=1.5e-4), 100) == 1.5e-4
    assert schedule.learning_rate(1000, live(min_lr=3e-7), 100) == 3e-7


def test_without_a_warm_up_the_first_step_is_at_the_peak():
    assert schedule.learning_rate(0, live(), 0) == 1e-3


def test_run_shorter_than_its_warm_up_only_rises_until_it_ends():
    rates = [schedule.learning_rate(step, live(max_steps=10), 20) for step in range(12)]
    assert rates[:10] == sorted(rates[:10]) and rates[10:] == [1e-6, 1e-6]


@given(steps, configs, warmups, factors)
def test_rate_never_leaves_its_bounds(step, config_in_force, warmup_steps, factor):
    rate = schedule.learning_rate(step, config_in_force, warmup_steps, factor)
    assert config_in_force["min_lr"] <= rate <= config_in_force["max_lr"]


@given(st.data(), configs, warmups)
def test_rate_changes_little_from_one_step_to_the_next(data, config_in_force, warmup_steps):
    max_steps = config_in_force["max_steps"]
    warmup_steps = min(warmup_steps, max_steps // 2)
    step = data.draw(st.integers(0, max_steps + 10))
    here, there = (schedule.learning_rate(s, config_in_force, warmup_steps) for s in (step, step + 1))
    height = config_in_force["max_lr"] - config_in_force["min_lr"]
    steepest = max(1 / (warmup_steps + 1), math.pi / 2 / (max_steps - warmup_steps))
    assert abs(there - here) <= height * steepest * (1 + 1e-9) + 1e-15


@given(configs, warmups)
def test_rate_rises_through_the_warm_up_and_then_falls(config_in_force, warmup_steps):
    rates = [
        rate for _, rate in schedule.curve(0, config_in_force["max_steps"], config_in_force, warmup_steps, points=50)
    ]
    peak = rates.index(max(rates))
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)


@given(steps, configs, warmups, st.floats(1.01e-4, 1e-3), factors)
def test_edit_of_max_lr_keeps_the_phase(step, before, warmup_steps, max_lr, factor):
    after = {**before, "max_lr": max_lr}
    heights = [
        (schedule.learning_rate(step, each, warmup_steps, factor) - each["min_lr"]) / (each["max_lr"] - each["min_lr"])
        for each in (before, after)
    ]
    assert heights[0] == pytest.approx(heights[1], abs=1e-9)


def test_factor_scales_the_height_above_the_floor():
    whole, half = (schedule.learning_rate(550, live(), 100, factor) for factor in (1.0, 0.5))
    assert half - 1e-6 == pytest.approx((whole - 1e-6) / 2)


def test_curve_holds_both_ends_and_every_step_of_a_short_stretch():
    drawn = schedule.curve(10, 15, live(), 100)
    assert [step for step, _ in drawn] == [10, 11, 12, 13, 14, 15]
    assert drawn == [(step, schedule.learning_rate(step, live(), 100)) for step, _ in drawn]


def test_curve_of_a_long_stretch_has_the_points_asked_for():
    steps_drawn = [step for step, _ in schedule.curve(0, 1_000_000, live(), 100, points=200)]
    assert len(steps_drawn) == len(set(steps_drawn)) == 200
    assert (steps_drawn[0], steps_drawn[-1]) == (0, 1_000_000)


def test_curve_that_ends_before_it_starts_is_empty():
    assert schedule.curve(10, 9, live(), 100) == []
    assert schedule.curve(10, 10, live(), 100) == [(10, schedule.learning_rate(10, live(), 100))]
