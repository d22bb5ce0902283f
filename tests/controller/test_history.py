"""A curve of any length in a few hundred numbers, and broken lines through it."""

from __future__ import annotations

import json
import math
import random

import pytest

from vsrpp.controller.history import PER_LEVEL, History


def filled(steps: int, value, noise: float = 0.0, seed: int = 1) -> History:
    rng, history = random.Random(seed), History()
    for step in range(1, steps + 1):
        history.add(math.log(step), value(step) + rng.gauss(0, noise))
    return history


def test_it_stays_small_and_fine_where_it_is_new():
    history = filled(20_000, lambda step: 0.0)
    assert sum(len(level) for level in history.levels) <= PER_LEVEL * len(history.levels) <= PER_LEVEL * 12
    assert sum(points for level in history.levels for _, _, points in level) == 20_000
    assert [points for _, _, points in history.levels[0]] == [1.0] * PER_LEVEL


@pytest.mark.parametrize("after", [0.0, -0.03, 0.05])
def test_the_slope_after_a_corner_is_found_within_its_error(after):
    corner = 6000
    history = filled(10_000, lambda n: -0.07 * math.log(min(n, corner)) + after * math.log(max(1.0, n / corner)), 0.05)
    line = history.after(math.log(corner), math.log(2000))
    assert line is not None and line.error < 0.01
    assert line.slope == pytest.approx(after, abs=3.5 * line.error)


def test_a_curve_without_noise_is_measured_exactly():
    line = filled(5000, lambda n: -0.05 * math.log(n)).after(math.log(4000), math.log(1000))
    assert line is not None and line.slope == pytest.approx(-0.05, abs=1e-4)
    flat = filled(5000, lambda n: 0.5).after(math.log(4000), math.log(1000))
    assert flat is not None and flat.slope == 0.0 and flat.error == 0.0


def test_correlated_noise_counts_in_full():
    rng, value, history = random.Random(3), 0.0, History()
    for step in range(1, 20_001):
        value = 0.9 * value + rng.gauss(0, 0.05)
        history.add(math.log(step), value)
    assert history.variance == pytest.approx((0.05 / (1 - 0.9)) ** 2, rel=0.6)


def test_the_assumed_noise_holds_until_there_is_enough_to_measure():
    few, many = History(prior=0.01), History(prior=0.01)
    for step in range(1, 5):
        few.add(math.log(step), 0.7)
    for step in range(1, 60):
        many.add(math.log(step), 0.7)
    assert few.variance > 0.5 * 0.01**2 and many.variance == 0.0


def test_a_step_that_goes_back_starts_the_curve_again_and_the_state_survives_json():
    history = filled(3000, lambda n: 1 / n, 0.01)
    copy = History()
    copy.load(json.loads(json.dumps(history.state())))
    knots = math.log(2000), math.log(1000)
    assert copy.after(*knots) == history.after(*knots) and copy.state() == history.state()
    history.add(math.log(10), 0.0)
    assert history.levels == [[[math.log(10), 0.0, 1.0]]]
