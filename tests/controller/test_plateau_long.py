"""`controller_version` 2: a candidate becomes a plateau only once the whole run's loss and validations are flat."""

from __future__ import annotations

import importlib.util
import json
import math
import random
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from vsrpp.controller import plateau
from vsrpp.controller.controller import Controller
from vsrpp.controller.plateau_long import SHORT_RUN, LongRunDetector

ROOT = Path(__file__).parents[2]
NEWEST = {"controller_version": 2}
LONG = 300_000
LIVE = {
    "plateau_patience": 250, "plateau_safety_threshold": 800, "cooldown_duration": 50, "max_lr": 1.5e-4,
    "min_lr": 1e-6, "grad_clip": 1.0, "adaptive": True, "plateau_action": "reduce_lr", "l1_weight": 0.6,
    "ms_weight": 0.2, "grad_weight": 0.2, "perceptual_weight": 0.0, "max_steps": LONG,
}  # fmt: skip


def power_law(steps, *, corner=math.inf, sigma=0.1, seed=1, exponent=0.067):
    rng = random.Random(seed)
    return [0.02 * (min(n, corner) / 5000) ** -exponent * math.exp(rng.gauss(0, sigma)) for n in range(1, steps + 1)]


def quality_of(losses_corner=math.inf, seed=2):
    rng = random.Random(seed)
    return lambda n: 0.6 + 0.0195 * math.log(min(n, losses_corner) / 5000) + rng.gauss(0, 3e-4)


def feed(detector, losses, every=500, quality=None, max_steps=LONG, patience=250):
    live, out = {"plateau_patience": patience, "max_steps": max_steps}, []
    for n, loss in enumerate(losses, 1):
        seen = quality(n) if quality and n % every == 0 else None
        out.append(detector.update(n, loss, live, quality=seen))
    return out


def test_records_without_the_key_keep_their_arithmetic_and_new_runs_do_not():
    assert type(plateau.make("vsrpp")) is type(plateau.make("vsrpp", {"controller_version": 1}))
    assert isinstance(plateau.make("vsrpp", NEWEST), LongRunDetector)
    assert not isinstance(plateau.make("vsrpp", {}), LongRunDetector)
    assert "recovering" not in Controller({}).state() and "recovering" in Controller(NEWEST).state()


def test_a_slow_fall_of_a_long_run_is_no_plateau_where_version_1_saw_dozens():
    losses = power_law(30_000)
    old = feed(plateau.make("vsrpp"), losses, quality=quality_of())
    new = feed(plateau.make("vsrpp", NEWEST), losses, quality=quality_of())
    assert sum(d.detected for d in old) > 8
    assert sum(d.detected for d in new) == 0
    assert max(d.counter for d in new) == 250, "the count waits at the patience"
    assert max(d.numbers["candidate"] for d in new) > 800, "the candidate counts on"


@pytest.mark.parametrize("every", [500, 5000, None])
def test_a_true_plateau_is_found_within_a_twentieth_of_the_run(every):
    corner = 8000
    losses, quality = power_law(corner + LONG // 20, corner=corner, sigma=0.07), quality_of(corner)
    said = feed(plateau.make("vsrpp", NEWEST), losses, every or 500, quality if every else None)
    assert not any(d.plateau for d in said[:corner])
    assert any(d.detected for d in said[corner:])


def test_rising_validations_speak_against_a_flat_loss():
    corner = 8000
    losses = power_law(corner + 15_000, corner=corner, sigma=0.07)
    with_rise = feed(plateau.make("vsrpp", NEWEST), losses, 500, quality_of())
    assert not any(d.plateau for d in with_rise[corner + 2000 :])


@pytest.mark.parametrize("patience", [50, 100, 250, 1000])
@pytest.mark.parametrize("max_steps", [3000, 20_000, LONG])
def test_a_loss_that_is_flat_without_noise_is_a_plateau_after_the_patience(patience, max_steps):
    said = feed(plateau.make("vsrpp", NEWEST), [0.05] * (patience + 2), max_steps=max_steps, patience=patience)
    assert [d.detected for d in said].index(True) == patience


FALLS: dict[str, Callable[[float], float]] = {
    "power": lambda n: 0.1 * max(n, 1) ** -0.067,
    "exponential": lambda n: 0.05 + 0.1 * math.exp(-n / 700),
    "linear": lambda n: 0.2 - 5e-5 * n,
}


@pytest.mark.parametrize("patience", [50, 600])
@pytest.mark.parametrize("max_steps", [6000, 20_000, LONG])
@pytest.mark.parametrize("fall", FALLS)
def test_a_loss_that_falls_and_then_stands_still_is_a_plateau_after_the_patience(fall, max_steps, patience):
    corner = 1500
    losses = [FALLS[fall](min(n, corner)) for n in range(corner + patience * 11 // 10 + 1)]
    said = feed(plateau.make("vsrpp", NEWEST), losses, max_steps=max_steps, patience=patience)
    assert said[-1].plateau
    if max_steps > SHORT_RUN:
        assert not any(d.plateau for d in said[: corner + patience * 9 // 10])


def test_a_state_of_before_resumes_and_one_of_a_loss_that_stands_still_goes_on():
    whole, first, second = (plateau.make("vsrpp", NEWEST) for _ in range(3))
    expected = feed(whole, [0.05] * 300)
    feed(first, [0.05] * 200)
    state = json.loads(json.dumps(first.state()))
    second.load(state)
    assert [second.update(201 + n, 0.05, LIVE) for n in range(100)] == expected[200:]
    plateau.make("vsrpp", NEWEST).load({key: value for key, value in state.items() if key not in ("last", "still")})


def test_in_a_short_run_the_candidate_is_the_verdict():
    rng = random.Random(4)
    losses = [0.05 * math.exp(-1e-4 * min(n, 1500) + rng.gauss(0, 0.15)) for n in range(4000)]
    old = feed(plateau.make("vsrpp"), losses, quality=quality_of())
    new = feed(plateau.make("vsrpp", NEWEST), losses, quality=quality_of(), max_steps=SHORT_RUN)
    assert [(d.plateau, d.detected, d.cleared, d.reason) for d in new] == [
        (d.plateau, d.detected, d.cleared, d.reason) for d in old
    ]
    assert any(d.plateau for d in new)


def test_an_edited_patience_or_length_counts_from_the_next_step():
    detector = plateau.make("vsrpp", NEWEST)
    feed(detector, [0.05] * 300, patience=1000)
    assert detector.update(301, 0.05, {"plateau_patience": 200, "max_steps": LONG}).detected
    assert detector.update(302, 0.05, {"plateau_patience": 900, "max_steps": LONG}).cleared
    noisy = plateau.make("vsrpp", NEWEST)
    feed(noisy, power_law(6000, sigma=0.2))
    assert noisy.held and not noisy.reported
    assert noisy.update(6001, 0.02, {"plateau_patience": 250, "max_steps": SHORT_RUN}).detected


def test_the_state_survives_json_and_stays_small():
    losses, quality = power_law(9000, corner=5000, sigma=0.05), quality_of(5000)
    whole = plateau.make("vsrpp", NEWEST)
    feed(whole, losses[:6000], quality=quality)
    text = json.dumps(whole.state(), allow_nan=False)
    resumed = plateau.make("vsrpp", NEWEST)
    resumed.load(json.loads(text))
    live = {"plateau_patience": 250, "max_steps": LONG}
    for n, loss in enumerate(losses[6000:], 6001):
        seen = 0.7 if n % 500 == 0 else None
        assert whole.update(n, loss, live, quality=seen) == resumed.update(n, loss, live, quality=seen)
    assert whole.state() == resumed.state() and len(text) < 20_000


def controlled(losses, run=NEWEST, **live):
    """(step, event) of a controller, the way the trainer calls it."""
    controller, found, live = Controller(run), [], {**LIVE, **live}
    factors = []
    for n, loss in enumerate(losses, 1):
        seen = controller.update(n, loss=loss, terms={"l1": loss}, quality=None, sharpness=0.9, finite=True, live=live)
        found += [(n, event) for event in seen.events]
        factors.append(seen.lr_factor)
    return found, factors


def test_reduced_rate_recovers_with_progress_and_never_falls_below_a_quarter():
    flat = [0.05] * 4000
    falling = [0.05 * math.exp(-4e-4 * n) for n in range(3000)]
    found, factors = controlled([*flat, *falling])
    assert min(factors) == 0.25 and factors[3999] == 0.25
    assert factors[-1] == 1.0
    rising = factors[4000:]
    assert all(later >= earlier for earlier, later in pairwise(rising))
    floors = [(n, event) for n, event in found if event.type == "lr_floor"]
    assert len(floors) == 1 and floors[0][1].data == {"lr_factor": 0.25, "max_steps": LONG}


def test_a_floor_in_the_second_half_of_the_schedule_is_no_alert():
    found, factors = controlled([0.05] * 4000, max_steps=1000)
    assert min(factors) == 0.25 and not any(event.type == "lr_floor" for _, event in found)


def test_version_1_reduces_for_good():
    found, factors = controlled([*([0.05] * 6000), *(0.05 * math.exp(-4e-4 * n) for n in range(3000))], {})
    assert factors[-1] == 0.1 and not any(event.type == "lr_floor" for _, event in found)


def test_no_safety_reset_and_no_cut_on_a_slow_fall():
    found, factors = controlled(power_law(12_000))
    assert not [event.type for _, event in found if event.type != "phase_changed"] and set(factors) == {1.0}


def test_version_1_decides_as_it_always_did():
    """Decisions recorded with the code that had no version: steps, rate factors and phases."""
    rng = random.Random(7)
    losses = [0.02 * (min(n, 1500) / 5000) ** -0.067 * math.exp(rng.gauss(0, 0.05)) for n in range(1, 3001)]
    controller, found = Controller({}), []
    for n, loss in enumerate(losses, 1):
        quality, sharpness = (0.6, 0.6) if n % 500 == 0 else (None, None)
        seen = controller.update(
            n, loss=loss, terms={"l1": loss}, quality=quality, sharpness=sharpness, finite=True,
            live={**LIVE, "plateau_action": "reduce_lr"},
        )  # fmt: skip
        found += [(n, event.type, event.data.get("lr_factor") or event.data["to"]) for event in seen.events]
    assert found == [
        (100, "phase_changed", "stable"), (1832, "plateau_detected", 0.5), (1832, "phase_changed", "aggressive"),
        (2082, "phase_changed", "cooldown"), (2132, "phase_changed", "stable"), (2133, "phase_changed", "aggressive"),
        (2136, "plateau_cleared", 0.5), (2383, "phase_changed", "cooldown"), (2433, "phase_changed", "stable"),
        (2984, "plateau_detected", 0.25), (2984, "phase_changed", "aggressive"),
    ]  # fmt: skip


@pytest.mark.slow
def test_benchmark_of_long_runs_has_a_short_form():
    command = [sys.executable, str(ROOT / "scripts" / "bench_plateau"), "--long", "--short", "--json"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=280).stdout)
    (table,) = found["by_confirm_z"].values()
    total = table[-1]
    assert total["family"] == "all" and total["ours_false_per_100k"] < total["today_false_per_100k"] / 3
    assert total["ours_found"] >= total["plateaus"] - 1


def test_the_ideal_test_is_the_likelihood_ratio_of_its_formula(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    spec = importlib.util.spec_from_file_location("long_curves", ROOT / "scripts" / "long_curves.py")
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "long_curves", script)
    spec.loader.exec_module(script)
    import numpy as np

    rng = np.random.default_rng(5)
    made = script.corner(rng, 20_000)
    curve = script.curve("corner", made, rng, correlated=False)
    (start,) = script.plateaus(curve, 2000)
    exponent = float(curve.exponent[start - start // 20 : start].mean())
    fell = exponent * np.log((start + np.arange(1, 2001)) / start)
    assert script.ideal_z(curve, start, 2000, 0) == pytest.approx(math.sqrt((fell**2).sum() / curve.loss_variance))
    assert script.ideal_z(curve, start, 2000, 500) > script.ideal_z(curve, start, 2000, 0)
    assert script.allowed_delay(300_000) == 15_000 and script.allowed_delay(10_000) == 2000
