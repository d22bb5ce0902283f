"""The plateau detectors: what resets and what counts, whatever the numbers, and a state that loses nothing."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsrpp.controller import plateau
from vsrpp.controller.detector import adaptive_threshold
from vsrpp.controller.plateau_lines import believed_line
from vsrpp.controller.plateau_trend import TrendDetector

LIVE = {"plateau_patience": 250}
KINDS = ("vsrpp", "brief")
WILD = st.floats(allow_nan=True, allow_infinity=True) | st.floats(0.0, 1.0)


def feed(detector, losses, live=LIVE, start=1):
    return [detector.update(step, loss, live) for step, loss in enumerate(losses, start)]


def noisy(level, count, sigma=0.1, seed=0, slope=0.0):
    rng = random.Random(seed)
    return [level * math.exp(slope * step + rng.gauss(0, sigma)) for step in range(count)]


@pytest.mark.parametrize(
    ("loss", "threshold"),
    [(1.0, 0.005), (0.11, 0.005), (0.1, 0.003), (0.03, 0.002), (0.02, 0.001), (0.0, 0.001), (-1, 0.001)],
)
def test_threshold_follows_the_level_of_the_loss(loss, threshold):
    assert adaptive_threshold(loss) == threshold


def test_make_names_what_it_knows():
    with pytest.raises(ValueError, match="must be one of vsrpp, brief"):
        plateau.make("best")


@pytest.mark.parametrize("kind", KINDS)
def test_flat_loss_is_a_plateau_and_a_falling_one_is_not(kind):
    flat = feed(plateau.make(kind), [0.05] * 1500)
    assert flat[-1].plateau and sum(d.detected for d in flat) == 1
    falling = feed(plateau.make(kind), [0.05 * 0.9995**step for step in range(3000)])
    assert not any(d.plateau for d in falling)


def test_noisy_fall_is_no_plateau_where_the_old_rule_says_so():
    """The naive 0.3 % on single losses calls this a plateau within its patience of 250; the trend test does not."""
    losses = noisy(0.05, 6000, sigma=0.2, seed=3, slope=-1e-4)
    best, since, old = math.inf, 0, 0
    for loss in losses:
        best, since = (loss, 0) if loss < best * 0.997 else (best, since + 1)
        old += since == 251
    ours = feed(plateau.make("vsrpp"), losses)
    assert old >= 3
    assert sum(d.detected for d in ours) == 0


def test_noisy_plateau_is_found_and_its_end_too():
    losses = noisy(0.05, 1500, 0.05, 1, -6e-4)
    flat = losses + noisy(losses[-1], 1500, 0.05, 2)
    whole = feed(plateau.make("vsrpp"), flat + noisy(losses[-1], 1500, 0.05, 4, -6e-4))
    assert not any(d.plateau for d in whole[:1500])
    assert any(d.detected for d in whole[1750:2500])
    assert whole[2990].plateau
    cleared = [step for step, d in enumerate(whole) if d.cleared and step >= 3000]
    assert cleared and cleared[0] < 3700 and not whole[-1].plateau


@pytest.mark.parametrize("kind", KINDS)
def test_edited_patience_counts_from_the_very_next_step_both_ways(kind):
    """The old system held on to 300 whatever was configured."""
    detector = plateau.make(kind)
    while feed(detector, [0.05])[0].counter < 120:
        pass
    lowered = detector.update(1, 0.05, {"plateau_patience": 60})
    assert lowered.plateau and lowered.detected and "patience 60" in lowered.reason
    raised = detector.update(2, 0.05, {"plateau_patience": 900})
    assert not raised.plateau and raised.cleared and "patience is now 900" in raised.reason
    assert raised.counter > 120


def test_no_patience_is_hard_coded():
    for patience in (50, 250, 299, 301, 1000):
        decisions = feed(plateau.make("brief"), [0.05] * (patience + 2), {"plateau_patience": patience})
        assert [d.detected for d in decisions].index(True) == patience + 1


@pytest.mark.parametrize("kind", KINDS)
def test_better_validation_clears_a_plateau(kind):
    detector = plateau.make(kind)
    detector.update(0, 0.05, LIVE, quality=0.8)
    assert feed(detector, [0.05] * 1500)[-1].plateau
    assert not detector.update(1, 0.05, LIVE, quality=0.8007).cleared
    better = detector.update(2, 0.05, LIVE, quality=0.8009)
    assert better.cleared and better.improved == ("quality",) and better.counter == 0
    assert not feed(detector, [0.05] * 200)[-1].plateau, "the count must not be backdated over the improvement"


def test_creeping_quality_adds_up():
    detector = plateau.make("brief")
    qualities = [0.8 + 0.0003 * n for n in range(4)]
    improved = [detector.update(n, 0.05, LIVE, quality=q).improved for n, q in enumerate(qualities)]
    assert improved == [(), (), (), ("quality",)]


@pytest.mark.parametrize(
    ("losses", "signals"),
    [
        ([1.0, 0.994], ("loss",)),
        ([1.0, 0.996], ()),
        ([1.0] + [0.9955] * 60, ("ema",)),
        ([1.0, 1.1], ()),
    ],
)
def test_brief_rule_signals(losses, signals):
    decisions = feed(plateau.make("brief"), losses)
    assert any(d.improved == signals for d in decisions[1:])


def test_brief_rule_counts_a_slight_improvement_half():
    first, slight, none = feed(plateau.make("brief"), [1.0, 0.999, 1.5])
    assert (first.counter, slight.counter, none.counter) == (0, 0.5, 1.5)


@pytest.mark.parametrize("kind", KINDS)
def test_steps_of_grace_are_not_counted(kind):
    detector = plateau.make(kind)
    for step in range(2000):
        decision = detector.update(step, 0.05, LIVE, grace=True)
    assert decision.counter == 0 and not decision.plateau
    assert detector.update(2000, 0.05, LIVE).counter <= 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_non_finite_losses_leave_no_trace(kind, bad):
    losses = noisy(0.05, 900, 0.1, 5)
    clean, dirty = plateau.make(kind), plateau.make(kind)
    for step, loss in enumerate(losses):
        expected = clean.update(step, loss, LIVE)
        if step % 7 == 0:
            dirty.update(step, bad, LIVE)
        assert dirty.update(step, loss, LIVE) == expected
    assert dirty.state() == clean.state()


def test_spikes_on_a_fall_are_no_plateau_and_do_not_move_the_smoothed_loss_far():
    losses = noisy(0.05, 4000, 0.05, 6, -2e-4)
    for at in range(400, 4000, 333):
        losses[at] *= 50
    decisions = feed(plateau.make("vsrpp"), losses)
    assert not any(d.plateau for d in decisions)
    for at in range(400, 4000, 333):
        before, after = decisions[at - 1].ema, decisions[at].ema
        assert before is not None and after is not None and after < before * 1.1


@pytest.mark.parametrize("kind", KINDS)
def test_restart_forgets_the_curve_and_says_why(kind):
    detector = plateau.make(kind)
    assert feed(detector, [0.05] * 1500)[-1].plateau
    detector.restart("rolled back to step 400")
    after = feed(detector, [0.5] * 60)
    assert after[0].cleared and after[0].reason == "rolled back to step 400"
    assert after[-1].best == pytest.approx(0.5)
    assert not any(d.plateau for d in after)


def test_restart_that_keeps_the_trend_counts_from_zero():
    detector = plateau.make("vsrpp")
    assert feed(detector, [0.05] * 1500)[-1].plateau
    detector.restart("safety reset", keep_trend=True)
    counts = [d.counter for d in feed(detector, [0.05] * 252)]
    assert all(count <= step for step, count in enumerate(counts, 1)) and counts[-1] > 250


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_losses_break_it_and_the_state_survives_json_at_any_step(kind, data):
    losses = data.draw(st.lists(WILD, max_size=60)) * data.draw(st.integers(1, 12))
    cut = data.draw(st.integers(0, len(losses)))
    whole = plateau.make(kind)
    feed(whole, losses[:cut])
    resumed = plateau.make(kind)
    resumed.load(json.loads(json.dumps(whole.state(), allow_nan=False)))
    assert feed(whole, losses[cut:]) == feed(resumed, losses[cut:])
    assert whole.state() == resumed.state()
    assert whole.counter >= 0
    feed(whole, [0.05] * 5000)
    assert whole.held, "no sequence of losses leads to a dead state"


def test_state_of_another_detector_is_refused():
    with pytest.raises(ValueError, match="state of detector brief given to vsrpp"):
        plateau.make("vsrpp").load(plateau.make("brief").state())


def test_memory_and_time_are_bounded():
    detector, losses = plateau.make("vsrpp"), noisy(0.05, 4000, 0.2, 7)
    feed(detector, losses)
    size = len(json.dumps(detector.state()))
    started_s = time.process_time()
    feed(detector, losses)
    assert len(json.dumps(detector.state())) < size + 500 < 10_000
    assert (time.process_time() - started_s) / len(losses) < 100e-6  # 10 µs on a quiet machine; the bar is 20


def test_believed_line_starts_where_the_curve_bends():
    rng = random.Random(8)
    points = [-0.01 * min(n, 180) + rng.gauss(0, 0.02) for n in range(256)]
    window, slope, error = believed_line(points, 0.02**2)
    assert 48 <= window <= 96 and abs(slope) < 3 * error
    straight = [-0.01 * n + rng.gauss(0, 0.02) for n in range(256)]
    window, slope, error = believed_line(straight, 0.02**2)
    assert window >= 128 and slope == pytest.approx(-0.01, abs=4 * error)


@pytest.mark.parametrize("rho", [0.0, 0.6])
def test_noise_is_measured_with_its_correlation(rho):
    rng, value, losses = random.Random(9), 0.0, []
    for _ in range(4096):
        value = rho * value + rng.gauss(0, 0.05)
        losses.append(math.exp(value) * 0.05)
    detector = TrendDetector()
    numbers = feed(detector, losses)[-1].numbers
    long_run = 0.05 / (1 - rho)  # standard deviation whose square is the long-run variance per step
    assert numbers["noise_percent"] / 100 == pytest.approx(long_run, rel=0.35)


@pytest.mark.slow
def test_benchmark_prints_its_document_and_the_goal_holds_on_a_few_curves():
    script = Path(__file__).parents[2] / "scripts" / "bench_plateau"
    command = [sys.executable, str(script), "--json", "--seeds", "12"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=280)
    results = json.loads(answer.stdout)["results"]
    assert [row["detector"] for row in results] == ["vsrpp", "brief", "fixed_0.3", "reduce_lr_on_plateau"]
    assert all(set(row) == {"detector", "false_per_10k", "median_delay_steps", "missed"} for row in results)
    ours, _, fixed, torch = (row["false_per_10k"] for row in results)
    assert ours <= fixed / 2 and ours <= torch / 2
    delays = [row["median_delay_steps"] for row in results]
    assert max(delays) - min(delays) < 30


def test_recorded_curves_are_labelled_by_their_probes_alone():
    import importlib.machinery
    import importlib.util

    folder = Path(__file__).parents[2]
    loader = importlib.machinery.SourceFileLoader("record_curves", str(folder / "scripts" / "record_curves"))
    spec = importlib.util.spec_from_loader("record_curves", loader)
    assert spec is not None
    script = importlib.util.module_from_spec(spec)
    loader.exec_module(script)
    labels = set()
    for name in script.RUNS:
        curve = json.loads((script.CURVES / f"{name}.json").read_text())
        assert len(curve["loss"]) == script.STEPS and all(loss > 0 for loss in curve["loss"])
        made = script.label(curve["probes"], len(curve["loss"]))
        assert made == curve["segments"], name
        labels |= {kind for _, _, kind in made}
    assert labels == {"falling", "plateau"}
