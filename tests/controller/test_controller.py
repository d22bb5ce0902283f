"""The adaptive controller: every transition, bounded effects, live edits, and a state that loses nothing."""

from __future__ import annotations

import json
import math
import random
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vsrpp.config.schema import loss_terms
from vsrpp.controller.controller import SETTLING_STEPS, Controller
from vsrpp.controller.effects import (
    LEAST_FACTOR,
    MOST_FACTOR,
    MOST_SHIFT,
    L1Steadiness,
    Norms,
    acted_factor,
    effective_factor,
    effective_weights,
    set_weights,
)
from vsrpp.controller.phases import (
    AGGRESSIVE,
    CONDITIONS,
    COOLDOWN,
    PHASES,
    SETTLING,
    STABLE,
    TRANSITIONS,
    WARMUP,
    Facts,
    next_transition,
)

LIVE = {
    "plateau_patience": 60,
    "plateau_safety_threshold": 200,
    "cooldown_duration": 30,
    "max_lr": 1.5e-4,
    "min_lr": 1e-6,
    "grad_clip": 1.0,
    "log_every": 10,
    "validate_every": 500,
    "checkpoint_every": 1000,
    "max_steps": 10_000,
    "adaptive": True,
    "plateau_action": "reduce_lr",
    "l1_weight": 0.6,
    "ms_weight": 0.2,
    "grad_weight": 0.2,
    "perceptual_weight": 0.0,
}
RUN = {"warmup_steps": 0, "detector": "brief"}
TERMS = tuple(term.name for term in loss_terms())
EVENTS = {"plateau_detected", "plateau_cleared", "safety_reset", "phase_changed"}

CALM = Facts(
    restarted="",
    step=5000,
    warmup_steps=100,
    phase_steps=1,
    adaptive=True,
    finite=True,
    plateau=False,
    counter=0.0,
    patience=250.0,
    safety_threshold=800.0,
    cooldown_duration=50.0,
    sharpness=0.6,
    sharpness_threshold=0.7,
    settling_steps=100,
    aggressive_patiences=1.0,
)
PLATEAU = {"plateau": True, "counter": 251.0}
UNSAFE = {"plateau": True, "counter": 801.0}

TABLE = [
    (WARMUP, {"step": 99}, None),
    (WARMUP, {"step": 100}, SETTLING),
    (WARMUP, {"step": 99, **UNSAFE}, None),
    (SETTLING, {"step": 99}, WARMUP),
    (SETTLING, {"phase_steps": 99}, None),
    (SETTLING, {"phase_steps": 100}, STABLE),
    (SETTLING, {"phase_steps": 100, "restarted": "again"}, SETTLING),
    (SETTLING, {**UNSAFE}, None),
    (STABLE, {}, None),
    (STABLE, {"restarted": "rolled back"}, SETTLING),
    (STABLE, PLATEAU, AGGRESSIVE),
    (STABLE, {**PLATEAU, "sharpness": 0.70}, None),
    (STABLE, {**PLATEAU, "sharpness": None}, None),
    (STABLE, {**PLATEAU, "adaptive": False}, None),
    (STABLE, {**PLATEAU, "finite": False}, None),
    (STABLE, {"sharpness": 0.1}, None),
    (STABLE, {"counter": 800.0, "plateau": True, "sharpness": 0.9}, None),
    (STABLE, UNSAFE, COOLDOWN),
    (STABLE, {**UNSAFE, "sharpness": 0.9}, COOLDOWN),
    (STABLE, {**UNSAFE, "adaptive": False}, None),
    (AGGRESSIVE, PLATEAU, None),
    (AGGRESSIVE, {}, None),
    (AGGRESSIVE, {"restarted": "rolled back"}, SETTLING),
    (AGGRESSIVE, {"adaptive": False}, STABLE),
    (AGGRESSIVE, {"finite": False}, COOLDOWN),
    (AGGRESSIVE, UNSAFE, COOLDOWN),
    (AGGRESSIVE, {"sharpness": 0.70}, COOLDOWN),
    (AGGRESSIVE, {"sharpness": None}, None),
    (AGGRESSIVE, {"phase_steps": 249}, None),
    (AGGRESSIVE, {"phase_steps": 250}, COOLDOWN),
    (AGGRESSIVE, {"phase_steps": 250, "patience": 251.0}, None),
    (COOLDOWN, {"phase_steps": 49, **UNSAFE}, None),
    (COOLDOWN, {"phase_steps": 50}, STABLE),
    (COOLDOWN, {"phase_steps": 50, "cooldown_duration": 51.0}, None),
    (COOLDOWN, {"adaptive": False}, STABLE),
    (COOLDOWN, {"restarted": "rolled back"}, SETTLING),
]


@pytest.mark.parametrize(("phase", "changed", "target"), TABLE)
def test_transition(phase, changed, target):
    facts = CALM._replace(**changed)
    taken = next_transition(phase, facts)
    assert (taken.target if taken else None) == target
    if taken:
        assert "{" not in taken.why.format(**facts._asdict())


def test_the_table_is_tested_whole_and_every_phase_can_be_left():
    tested = set()
    for phase, changed, target in TABLE:
        if target:
            taken = next_transition(phase, CALM._replace(**changed))
            assert taken is not None
            tested.add((taken.source, taken.when, taken.target))
    assert tested == {(t.source, t.when, t.target) for t in TRANSITIONS}
    assert {t.source for t in TRANSITIONS} == set(PHASES) == {t.target for t in TRANSITIONS}
    assert {t.when for t in TRANSITIONS} == set(CONDITIONS)


class Trainer:
    """Calls the controller as the trainer does, and keeps what it said."""

    def __init__(self, run=RUN, **live):
        self.controller, self.live, self.step = Controller(run), {**LIVE, **live}, 0
        self.events, self.outcome = [], None

    def go(self, steps=1, loss=0.05, *, sharpness=None, quality=None, finite=True, **live):
        self.live.update(live)
        for index in range(steps):
            self.step += 1
            last = index == steps - 1
            used = self.controller.effective(self.live).weights
            terms = {term: loss if used[term] else 0.0 for term in TERMS}
            total = sum(used[term] * terms[term] for term in TERMS)
            self.outcome = self.controller.update(
                self.step,
                loss=total,
                terms=terms,
                quality=quality if last else None,
                sharpness=sharpness if last else None,
                finite=finite,
                live=self.live,
            )
            self.events += [(self.step, event) for event in self.outcome.events]
        return self.outcome

    def until(self, phase, most=5000, **how):
        while self.controller.phase != phase:
            self.go(**how)
            most -= 1
            assert most, f"never reached {phase}"
        return self.step

    def phases(self):
        return [event.data["to"] for _, event in self.events if event.type == "phase_changed"]


def test_a_run_goes_through_warmup_plateau_aggressive_cooldown_and_back():
    trainer = Trainer({"warmup_steps": 40, "detector": "vsrpp"})
    trainer.go(1, sharpness=0.5)
    for phase in (SETTLING, STABLE, AGGRESSIVE, COOLDOWN, STABLE, AGGRESSIVE):
        trainer.until(phase)
    assert trainer.phases() == [SETTLING, STABLE, AGGRESSIVE, COOLDOWN, STABLE, AGGRESSIVE]
    types = [event.type for _, event in trainer.events]
    assert types.index("plateau_detected") < types.index("phase_changed", types.index("plateau_detected"))
    assert all(event.type in EVENTS and event.reason for _, event in trainer.events)
    json.dumps([event.data for _, event in trainer.events], allow_nan=False)


def test_aggressive_follows_the_live_patience_and_not_three_hundred():
    """The brief's first fault: patience was written into the code as 300."""
    for patience in (50, 120, 299, 450):
        trainer = Trainer(plateau_patience=patience, plateau_safety_threshold=5000)
        trainer.go(SETTLING_STEPS, sharpness=0.5)
        assert trainer.controller.phase == STABLE
        assert trainer.until(AGGRESSIVE) == SETTLING_STEPS + patience + 1


def test_lower_patience_begins_and_higher_patience_ends_what_it_rules_at_the_next_step():
    trainer = Trainer(plateau_patience=500, plateau_safety_threshold=5000)
    trainer.go(SETTLING_STEPS + 100, sharpness=0.5)
    assert trainer.controller.phase == STABLE
    assert trainer.go(1, plateau_patience=80).phase == AGGRESSIVE
    trainer.go(79)
    assert trainer.go(1, plateau_patience=300).phase == AGGRESSIVE, "its time follows the live patience"
    assert trainer.outcome.metrics["plateau/active"] == 0.0
    assert trainer.go(1, plateau_patience=50).phase == COOLDOWN


def test_safety_threshold_and_cooldown_count_from_the_next_step():
    trainer = Trainer(plateau_safety_threshold=5000)
    trainer.go(SETTLING_STEPS + 150, sharpness=0.9)
    assert trainer.go(1).phase == STABLE
    outcome = trainer.go(1, plateau_safety_threshold=100)
    assert outcome.phase == COOLDOWN and [e.type for e in outcome.events] == ["safety_reset", "phase_changed"]
    assert "above plateau_safety_threshold 100" in outcome.events[0].reason
    trainer.go(25)
    assert trainer.go(1, cooldown_duration=200).phase == COOLDOWN
    trainer.go(100)
    assert trainer.go(1, cooldown_duration=20).phase == STABLE


def test_safety_reset_puts_weights_back_at_once_and_counting_starts_again():
    trainer = Trainer(plateau_patience=150, plateau_safety_threshold=220)
    trainer.until(AGGRESSIVE, sharpness=0.5)
    before = trainer.go(40)
    assert before.weights != set_weights(LIVE, TERMS)
    trainer.until(COOLDOWN)
    assert trainer.events[-2][1].type == "safety_reset"
    assert trainer.outcome.weights == set_weights(LIVE, TERMS)
    after = trainer.go(1)
    assert [e.type for e in after.events] == ["plateau_cleared"] and "safety reset" in after.events[0].reason
    assert after.metrics["plateau/counter"] == 0.0


def test_aggressive_moves_to_the_gradient_term_by_small_steps_and_back():
    trainer = Trainer(plateau_patience=200, plateau_safety_threshold=5000)
    trainer.until(AGGRESSIVE, sharpness=0.5)
    grads = [trainer.go(1).weights["grad"] for _ in range(150)]
    assert grads == sorted(grads) and max(b - a for a, b in pairwise(grads)) < 0.0011
    assert grads[-1] == pytest.approx(0.2 + MOST_SHIFT)
    assert trainer.go(1, sharpness=0.75).phase == COOLDOWN
    trainer.go(120)
    assert trainer.outcome.weights["grad"] < 0.3
    trainer.until(STABLE, sharpness=0.9)
    trainer.go(100, sharpness=0.9)
    assert trainer.outcome.weights == set_weights(LIVE, TERMS)


def test_a_weight_set_by_hand_is_the_new_centre_at_once():
    trainer = Trainer(plateau_patience=200, plateau_safety_threshold=5000)
    trainer.until(AGGRESSIVE, sharpness=0.5)
    trainer.go(50)
    shift = trainer.controller.shift
    edited = {**trainer.live, "l1_weight": 0.5, "grad_weight": 0.3}
    effect = trainer.controller.effective(edited)
    assert effect.weights["grad"] == pytest.approx(0.3 + shift)
    assert trainer.controller.shift == shift, "asking changes nothing"
    assert sum(effect.weights.values()) == pytest.approx(1.0)


def test_adaptive_off_takes_everything_away_from_the_next_step_and_the_detector_counts_on():
    trainer = Trainer(plateau_patience=200, plateau_safety_threshold=5000)
    for _ in range(100):
        trainer.controller.observe_norm(0.01)
    trainer.until(AGGRESSIVE, sharpness=0.5)
    changed = trainer.go(30)
    assert changed.lr_factor == 0.5 and changed.clip < 1.0 and changed.weights != set_weights(LIVE, TERMS)
    off = trainer.controller.effective({**trainer.live, "adaptive": False})
    assert (off.weights, off.lr_factor, off.clip) == (set_weights(LIVE, TERMS), 1.0, 1.0)
    counter = changed.metrics["plateau/counter"]
    outcome = trainer.go(10, adaptive=False)
    assert (outcome.weights, outcome.lr_factor, outcome.clip, outcome.phase) == (
        set_weights(LIVE, TERMS),
        1.0,
        1.0,
        STABLE,
    )
    assert outcome.metrics["plateau/counter"] == counter + 10
    again = trainer.go(1, adaptive=True)
    assert again.lr_factor == 1.0 and again.weights["grad"] <= 0.2 + 0.0011, "it begins anew"


def test_the_controllers_own_weights_do_not_pass_for_progress():
    """The gradient term is far smaller than L1: moving weight to it lowers the sum, which is no improvement."""
    controller, live = Controller(RUN), {**LIVE, "plateau_patience": 150, "plateau_safety_threshold": 5000}
    counts = []
    for step in range(1, 500):
        used = controller.effective(live).weights
        terms = {"l1": 0.1, "ms": 0.1, "grad": 0.001, "perceptual": 0.0}
        loss = sum(used[term] * terms[term] for term in TERMS)
        outcome = controller.update(step, loss=loss, terms=terms, quality=None, sharpness=0.5, finite=True, live=live)
        counts.append(outcome.metrics["plateau/counter"])
    assert counts == sorted(counts) and counts[-1] > 300


@pytest.mark.parametrize("action", ["none", "reduce_lr", "boost_lr"])
def test_plateau_action_counts_both_ways_from_the_next_step(action):
    trainer = Trainer(plateau_action=action, plateau_safety_threshold=5000)
    trainer.go(SETTLING_STEPS + 100, sharpness=0.9)
    assert trainer.outcome.lr_factor == {"none": 1.0, "reduce_lr": 0.5, "boost_lr": 1.5}[action]
    for other in {"none", "reduce_lr", "boost_lr"} - {action}:
        assert trainer.controller.effective({**trainer.live, "plateau_action": other}).lr_factor == 1.0


def test_a_reduced_rate_lasts_and_a_boost_ends_with_its_plateau():
    for action, during, after in (("reduce_lr", 0.5, 0.5), ("boost_lr", 1.5, 1.0)):
        trainer = Trainer(plateau_action=action, plateau_safety_threshold=5000)
        trainer.go(SETTLING_STEPS + 100, sharpness=0.9)
        assert trainer.outcome.lr_factor == during
        outcome = trainer.go(1, loss=0.02)
        assert [e.type for e in outcome.events] == ["plateau_cleared"]
        assert outcome.lr_factor == after
        data = outcome.events[0].data
        assert (data["lr_factor_before"], data["lr_factor"]) == (during, after)


def test_factor_stays_within_its_bounds():
    for action, bound in (("reduce_lr", LEAST_FACTOR), ("boost_lr", MOST_FACTOR)):
        live, factor = {**LIVE, "plateau_action": action}, 1.0
        for _ in range(10):
            factor = acted_factor(live, factor)
        assert factor == bound == effective_factor(live, factor)


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        ({"l1_weight": 0.5, "ms_weight": 0.3}, "l1_weight, ms_weight edited"),
        ({"max_lr": 3e-4}, "max_lr edited to 2 times"),
        ({"max_lr": 5e-5}, "max_lr edited to 0.33 times"),
    ],
)
def test_a_big_edit_restarts_the_detector_and_says_so(edit, why):
    trainer = Trainer(plateau_safety_threshold=5000)
    trainer.go(SETTLING_STEPS + 100, sharpness=0.9)
    outcome = trainer.go(1, **edit)
    assert [e.type for e in outcome.events] == ["plateau_cleared"] and why in outcome.events[0].reason


def test_small_edits_of_the_rate_do_not_restart_it_until_they_add_up():
    trainer = Trainer(plateau_safety_threshold=5000)
    trainer.go(SETTLING_STEPS + 100, sharpness=0.9)
    assert not trainer.go(1, max_lr=1.9e-4).events
    assert [e.type for e in trainer.go(1, max_lr=2.4e-4).events] == ["plateau_cleared"]


def test_restart_takes_the_offsets_away_and_settles_through_the_table():
    trainer = Trainer(plateau_safety_threshold=5000, plateau_patience=200)
    trainer.until(AGGRESSIVE, sharpness=0.5)
    trainer.go(50)
    trainer.controller.restart("rolled back to step 40")
    effect = trainer.controller.effective(trainer.live)
    assert (effect.weights, effect.lr_factor) == (set_weights(LIVE, TERMS), 1.0)
    outcome = trainer.go(1)
    assert outcome.phase == SETTLING
    assert [e.reason for e in outcome.events] == [
        "rolled back to step 40",
        "aggressive → settling: rolled back to step 40",
    ]
    assert trainer.go(SETTLING_STEPS).phase == STABLE


def test_non_finite_step_while_aggressive_takes_the_weights_back_and_cools_down():
    trainer = Trainer(plateau_patience=200, plateau_safety_threshold=5000)
    trainer.until(AGGRESSIVE, sharpness=0.5)
    trainer.go(50)
    outcome = trainer.go(1, loss=math.nan, finite=False)
    assert outcome.phase == COOLDOWN and outcome.weights == set_weights(LIVE, TERMS)


def test_perceptual_weight_follows_the_steadiness_of_l1():
    live = {**LIVE, "l1_weight": 0.5, "perceptual_weight": 0.1}
    calm, wild = L1Steadiness(), L1Steadiness()
    rng = random.Random(1)
    for _ in range(3000):
        calm.add(0.05 * math.exp(rng.gauss(0, 0.1)))
        wild.add(0.05 * math.exp(rng.gauss(0, 1.2)))
    assert calm.part == 1.0 and effective_weights(live, TERMS, 0.0, calm.part) == set_weights(live, TERMS)
    assert 0.25 <= wild.part < 0.6
    weights = effective_weights(live, TERMS, 0.0, wild.part)
    assert weights["perceptual"] == pytest.approx(0.1 * wild.part)
    assert weights["l1"] > 0.5 and math.fsum(weights.values()) == pytest.approx(1.0)


def test_terms_set_to_zero_stay_off():
    off = {**LIVE, "l1_weight": 0.7, "ms_weight": 0.3, "grad_weight": 0.0}
    assert effective_weights(off, TERMS, MOST_SHIFT, 0.25) == set_weights(off, TERMS)


def test_clip_follows_the_percentile_under_the_ceiling():
    norms = Norms()
    for _ in range(63):
        norms.add(0.1)
    assert norms.clip(LIVE) == 1.0, "too few yet"
    norms.add(0.1)
    assert norms.clip(LIVE) == pytest.approx(0.15)
    assert norms.clip({**LIVE, "grad_clip": 0.12}) == 0.12
    for bad in (math.nan, math.inf, -1.0):
        norms.add(bad)
    assert len(norms.recent) == 64
    for _ in range(300):
        norms.add(1e-9)
    assert norms.clip(LIVE) == 0.05 and len(norms.recent) == 256
    assert norms.clip({**LIVE, "adaptive": False}) == 1.0


@settings(max_examples=300, deadline=None)
@given(
    parts=st.tuples(*[st.floats(0, 1)] * 4).filter(lambda parts: sum(parts) > 0.1),
    wanted=st.sampled_from([0.95, 1.0, 1.05]) | st.floats(0.95, 1.05),
    shift=st.floats(0, MOST_SHIFT),
    part=st.floats(0.25, 1.0),
)
def test_weights_stay_within_their_ranges_and_keep_their_sum(parts, wanted, shift, part):
    values = [min(1.0, value / sum(parts) * wanted) for value in parts]
    live = {**LIVE, **{f"{term}_weight": value for term, value in zip(TERMS, values, strict=True)}}
    total = math.fsum(values)
    weights = effective_weights(live, TERMS, shift, part)
    assert all(0.0 <= weight <= 1.0 for weight in weights.values())
    assert math.fsum(weights.values()) == pytest.approx(total, abs=1e-15)
    if 0.95 <= total <= 1.05:
        assert 0.95 <= math.fsum(weights.values()) <= 1.05


FLOATS = st.floats(allow_nan=True, allow_infinity=True) | st.floats(0.0, 0.2)
EDITS = st.fixed_dictionaries(
    {},
    optional={
        "plateau_patience": st.integers(50, 150),
        "plateau_safety_threshold": st.integers(160, 400),
        "cooldown_duration": st.integers(20, 200),
        "adaptive": st.booleans(),
        "plateau_action": st.sampled_from(["none", "reduce_lr", "boost_lr"]),
        "grad_clip": st.floats(0.1, 10),
        "max_lr": st.floats(1e-5, 1e-3),
        "max_steps": st.sampled_from([10_000, 300_000]),
    },
)
MAYBE = st.none() | FLOATS
CHUNKS = st.lists(
    st.tuples(st.integers(1, 80), FLOATS, FLOATS, MAYBE, MAYBE, st.booleans(), EDITS),
    max_size=6,
)
HUGE_QUALITY = [(1, 0.05, 0.1, 1.4e154, None, True, {}), (3, 0.05, 0.1, 0.0, None, True, {})]
"""Its square is no longer a finite number."""


def play(controller, chunks, live, step=0):
    """Outcomes of every step; each chunk is (steps, loss, norm, quality, sharpness, finite, edit)."""
    outcomes = []
    for steps, loss, norm, quality, sharpness, finite, edit in chunks:
        live.update(edit)
        for _ in range(steps):
            step += 1
            controller.observe_norm(norm)
            terms = {"l1": loss, "ms": loss, "grad": loss, "perceptual": 0.0}
            outcomes.append(
                controller.update(
                    step, loss=loss, terms=terms, quality=quality, sharpness=sharpness, finite=finite, live=live
                )
            )
            effect = controller.effective(live)
            last = outcomes[-1]
            assert (effect.weights, effect.lr_factor, effect.clip) == (last.weights, last.lr_factor, last.clip)
    return outcomes


@pytest.mark.parametrize(("kind", "version"), [("vsrpp", 1), ("vsrpp", 2), ("brief", 1)])
@settings(max_examples=20, deadline=None)
@example(before=HUGE_QUALITY, after=HUGE_QUALITY)
@given(before=CHUNKS, after=CHUNKS)
def test_no_sequence_breaks_it_and_the_state_survives_json_at_any_step(kind, version, before, after):
    run = {"warmup_steps": 20, "detector": kind, "controller_version": version}
    whole, live = Controller(run), {**LIVE}
    outcomes = play(whole, before, live)
    resumed = Controller(run)
    resumed.load(json.loads(json.dumps(whole.state(), allow_nan=False)))
    step, copy = len(outcomes), dict(live)
    later = play(whole, after, live, step)
    assert play(resumed, after, copy, step) == later
    assert resumed.state() == whole.state()
    for outcome in outcomes + later:
        assert all(0 <= weight <= 1 for weight in outcome.weights.values())
        assert 0.95 <= sum(outcome.weights.values()) <= 1.05
        assert LEAST_FACTOR <= outcome.lr_factor <= MOST_FACTOR and 0 < outcome.clip <= 10
        assert outcome.phase in PHASES and all(math.isfinite(value) for value in outcome.metrics.values())
    alive = play(
        whole, [(1500, 0.05, 0.1, None, 0.5, True, {"adaptive": True, "max_steps": 10_000})], live, step + len(later)
    )
    assert {outcome.phase for outcome in alive} >= {STABLE, AGGRESSIVE, COOLDOWN}, "no dead state"


def test_metrics_are_those_of_the_record():
    trainer = Trainer({"warmup_steps": 0, "detector": "vsrpp"})
    metrics = trainer.go(300, quality=0.8).metrics
    named = ("counter", "ema_loss", "best_loss", "best_quality", "progress_percent", "threshold")
    assert {f"plateau/{name}" for name in named} <= set(metrics)
    assert metrics["plateau/ema_loss"] == pytest.approx(0.05) and metrics["plateau/best_quality"] == 0.8
    assert metrics["plateau/progress_percent"] == 100.0


def test_warmup_is_not_counted():
    trainer = Trainer({"warmup_steps": 400, "detector": "brief"})
    assert trainer.go(399).phase == WARMUP and trainer.outcome.metrics["plateau/counter"] == 0.0
    assert trainer.go(1).phase == SETTLING
