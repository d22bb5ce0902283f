"""A plateau does not end and begin again over and over on a curve that is flat and noisy."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from itertools import pairwise

import pytest

from vsrpp.controller import plateau
from vsrpp.controller.controller import Controller

PATIENCE = 250
STEPS = 6000
SEEDS = range(8)


def white(rng: random.Random, sigma: float) -> list[float]:
    return [rng.gauss(0, sigma) for _ in range(STEPS)]


def correlated(rng: random.Random, sigma: float, rho: float = 0.9) -> list[float]:
    value, noise = 0.0, []
    for _ in range(STEPS):
        value = rho * value + math.sqrt(1 - rho * rho) * rng.gauss(0, sigma)
        noise.append(value)
    return noise


def swinging(rng: random.Random, sigma: float) -> list[float]:
    """Noise whose level swings by a factor of about 3 over a thousand steps."""
    return [rng.gauss(0, sigma) * math.exp(0.5 * math.sin(step / 160)) for step in range(STEPS)]


def edges(losses: list[float]) -> list[tuple[int, str]]:
    """(step, `detected` or `cleared`) as the detector says it."""
    detector, live, found = plateau.make("vsrpp"), {"plateau_patience": PATIENCE}, []
    for step, loss in enumerate(losses, 1):
        said = detector.update(step, loss, live)
        found += [(step, "detected")] if said.detected else [(step, "cleared")] if said.cleared else []
    return found


@pytest.mark.parametrize("noise", [white, correlated, swinging])
def test_on_a_flat_noisy_curve_a_plateau_that_chance_cleared_is_counted_anew_in_full(
    noise: Callable[[random.Random, float], list[float]],
) -> None:
    cleared = 0
    for seed in SEEDS:
        rng = random.Random(seed)
        found = edges([0.05 * math.exp(value) for value in noise(rng, 0.03 * 1.4**seed)])
        assert found and found[0][1] == "detected"
        for (at, edge), (next_at, _) in pairwise(found):
            if edge == "cleared":
                cleared += 1
                assert next_at - at > PATIENCE, f"seed {seed}: cleared at {at}, a plateau again at {next_at}"
    assert cleared < len(SEEDS) * STEPS / 2000


def test_a_plateau_that_a_true_fall_cleared_is_found_again_when_the_fall_stops() -> None:
    rng = random.Random(3)
    level, losses = 0.0, []
    for step in range(5000):
        level -= 6e-4 if 1500 <= step < 3000 else 0.0
        losses.append(0.05 * math.exp(level + rng.gauss(0, 0.05)))
    found = edges(losses)
    assert any(edge == "cleared" and 1500 < at < 2200 for at, edge in found)
    assert any(edge == "detected" and 3000 < at < 3000 + 3 * PATIENCE for at, edge in found)


def test_the_controller_does_not_act_again_before_the_patience_has_passed_anew() -> None:
    live = {
        "plateau_patience": PATIENCE, "plateau_safety_threshold": 5000, "cooldown_duration": 50, "max_lr": 1e-4,
        "min_lr": 1e-7, "grad_clip": 1.0, "adaptive": True, "plateau_action": "reduce_lr", "l1_weight": 0.6,
        "ms_weight": 0.2, "grad_weight": 0.2, "perceptual_weight": 0.0,
    }  # fmt: skip
    cleared = 0
    for seed in SEEDS:
        controller, said = Controller({}), []
        for step, value in enumerate(swinging(random.Random(seed), 0.03 * 1.4**seed), 1):
            loss = 0.05 * math.exp(value)
            outcome = controller.update(
                step, loss=loss, terms={"l1": loss}, quality=None, sharpness=None, finite=True, live=live
            )
            said += [(step, event.type) for event in outcome.events if event.type.startswith("plateau_")]
        for (at, kind), (next_at, _) in pairwise(said):
            if kind == "plateau_cleared":
                cleared += 1
                assert next_at - at > PATIENCE, f"seed {seed}: cleared at {at}, acted again at {next_at}"
    assert cleared > 0
