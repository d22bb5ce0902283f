"""A real training without edits, which the controller takes through its phases."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.runs import Steered
from vsrpp import control
from vsrpp.store import RunReader

PROVOKED = {
    "max_steps": 420, "log_every": 10, "validate_every": 100, "detector": "brief", "checkpoint_every": 10_000,
    "max_lr": 1e-5, "min_lr": 1e-8, "plateau_action": "reduce_lr",
    "plateau_patience": 50, "plateau_safety_threshold": 5000, "cooldown_duration": 20, "sharpness_threshold": 1.0,
}  # fmt: skip
"""A rate too low to learn with, the least patience there is, and the detector that counts every step whole."""


@pytest.mark.slow
def test_a_real_training_goes_through_plateau_aggressive_cooldown_and_back(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip, **PROVOKED)
    assert run.train() == "finished"
    events = [event for event in control.history(run.paths) if event.type in ("phase_changed", "plateau_detected")]
    phases = [event.data["to"] for event in events if event.type == "phase_changed"]
    assert phases[:5] == ["settling", "stable", "aggressive", "cooldown", "stable"], phases
    types = [event.type for event in events]
    assert types.index("plateau_detected") < types.index("phase_changed", types.index("plateau_detected"))
    assert all(event.reason for event in events)
    into = next(e.step for e in events if e.data.get("to") == "aggressive")
    out = next(e.step for e in events if e.data.get("to") == "cooldown")
    with RunReader(run.paths.run_db) as reader:
        weights = {row.step: row.value for row in reader.series("weight/grad")}
        rates = {row.step: row.value for row in reader.series("lr_factor")}
    meanwhile = [weight for step, weight in weights.items() if into + 10 < step <= out]
    assert min(meanwhile) > 0.2 and weights[into // 10 * 10 - 10] == pytest.approx(0.2), "aggressive shifts the weights"
    assert run.context.live["grad_weight"] == 0.2, "the controller never edits the live config"
    assert rates[420] < 1.0, "the plateau lowered the rate, phase kept"
