"""The adaptive controller: a pure state machine that decides once per optimizer step; the trainer acts and records.

The live config holds the user's values and is never changed here. The controller adds an offset, a pure function of its
state and of the config in force (`controller.effects`), so that an edit applies from the next step. Phases change only
through one table (`controller.phases`). There is no clock and no randomness: the same calls give the same decisions,
including in a replay.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vsrpp.config.schema import loss_terms
from vsrpp.controller import plateau
from vsrpp.controller.detector import Decision
from vsrpp.controller.effects import (
    LEAST_FACTOR,
    LEAST_RECOVERABLE,
    MOST_SHIFT,
    SHIFT_STEP,
    L1Steadiness,
    Norms,
    acted_factor,
    effective_factor,
    effective_weights,
    recovered_factor,
    set_weights,
)
from vsrpp.controller.phases import AGGRESSIVE, COOLDOWN, PHASES, SETTLING, WARMUP, Facts, next_transition
from vsrpp.plugins import registry

SHARPNESS_THRESHOLD = 0.70
"""Sharpness of the output relative to the truth below which a plateau starts the aggressive phase. Overridden by
`sharpness_threshold` in the run config."""

SETTLING_STEPS = 100
"""Steps after warm-up, a restart or a rollback before anything is decided."""

AGGRESSIVE_PATIENCES = 1.0
"""Maximum length of the aggressive phase, in multiples of the live `plateau_patience`."""

BIG_RATE_CHANGE = 1.5
"""An edit of `max_lr` by this ratio or more, up or down, restarts the detector, because the loss curve changes."""


@dataclass(frozen=True, slots=True)
class ControllerEvent:
    """An event to record. `type` is plateau_detected, plateau_cleared, lr_floor, safety_reset or phase_changed."""

    type: str
    reason: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StepSettings:
    """The settings in force for the next optimizer step."""

    weights: dict[str, float]
    """Effective loss weights by term."""
    lr_factor: float
    """Factor on the scheduled learning rate."""
    clip: float
    """Norm at which the gradient is clipped."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The controller's answer to one step: the settings for the next one, and what to record."""

    weights: dict[str, float]
    lr_factor: float
    clip: float
    phase: str
    events: list[ControllerEvent]
    metrics: dict[str, float]


class Controller:
    """Call `update` once per optimizer step. `effective` gives the settings under an edited config without advancing."""

    def __init__(self, run_config: Mapping[str, Any]) -> None:
        self.warmup_steps = int(run_config.get("warmup_steps") or 0)
        self.sharpness_threshold = float(run_config.get("sharpness_threshold") or SHARPNESS_THRESHOLD)
        self.terms = tuple(term.name for term in loss_terms(run_config))
        self.recovers = plateau.version(run_config) >= 2
        """Whether progress undoes a reduction of the rate; in version 1 it is permanent."""
        self.recovering = False
        self.detector = plateau.make(run_config.get("detector") or "vsrpp", run_config)
        self._of_detector = registry.live_parameters(run_config, "detector", str(run_config.get("detector")))
        self.norms = Norms()
        self.steadiness = L1Steadiness()
        self.phase = WARMUP if self.warmup_steps > 0 else SETTLING
        self.phase_steps = 0
        self.shift = 0.0
        self.factor = 1.0
        self.sharpness: float | None = None
        self.restarted = ""
        """Why `restart` was called; cleared by the next step."""
        self.seen_live: dict[str, float] = {}

    def observe_norm(self, norm: float) -> None:
        """Add the gradient norm of a step, before clipping."""
        self.norms.add(norm)

    def effective(self, live: Mapping[str, Any]) -> StepSettings:
        """Weights, rate factor and clip for the next step under `live`; does not change the state."""
        return StepSettings(
            effective_weights(live, self.terms, self.shift, self.steadiness.part),
            effective_factor(live, self.factor),
            self.norms.clip(live),
        )

    def update(
        self,
        step: int,
        *,
        loss: float,
        terms: Mapping[str, float],
        quality: float | None,
        sharpness: float | None,
        finite: bool,
        live: Mapping[str, Any],
    ) -> Outcome:
        """Decide after optimizer step `step`.

        loss, terms: that step's loss and unweighted terms. quality, sharpness: from a validation at this step, else None.
        finite: False if the loss or a gradient was not finite. live: the config the step ran under.
        Never raises, whatever the numbers.
        """
        self._notice_edits(live)
        measured = self._at_set_weights(loss, terms, live) if finite else math.nan
        if sharpness is not None and math.isfinite(sharpness):
            self.sharpness = sharpness
        if finite:
            self.steadiness.add(terms.get("l1"))
        grace = bool(self.restarted) or self.phase in (WARMUP, SETTLING, COOLDOWN)
        for key in self._of_detector:
            setattr(self.detector, key, live[key])
        decision = self.detector.update(step, measured, live, quality=quality, grace=grace)
        events = self._edges(step, decision, live)
        events += self._advance(step, finite, decision, live)
        self._drift(live)
        settings = self.effective(live)
        metrics = self._metrics(decision, settings, float(live["plateau_patience"]))
        return Outcome(settings.weights, settings.lr_factor, settings.clip, self.phase, events, metrics)

    def restart(self, reason: str) -> None:
        """Start over after a rollback or a restart: drop the offsets and counts, and settle from the next step on.

        The gradient norms and the best quality are kept.
        """
        self.detector.restart(reason)
        self.restarted = reason
        self.shift, self.factor = 0.0, 1.0
        self.steadiness = L1Steadiness()
        self.sharpness = None

    def state(self) -> dict[str, Any]:
        """Everything a decision depends on, as JSON values; floats survive a round trip exactly."""
        return {
            **{name: getattr(self, name) for name in self._plain()},
            "seen_live": dict(self.seen_live),
            "norms": list(self.norms.recent),
            "l1": [self.steadiness.mean, self.steadiness.variance, self.steadiness.part],
            "detector": self.detector.state(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore a `state()`. Raises ValueError if it is of another detector."""
        self.detector.load(state["detector"])
        for name in self._plain():
            setattr(self, name, state[name])
        self.seen_live = dict(state["seen_live"])
        self.norms = Norms(state["norms"])
        self.steadiness.mean, self.steadiness.variance, self.steadiness.part = state["l1"]

    def _plain(self) -> tuple[str, ...]:
        return (*_PLAIN, "recovering") if self.recovers else _PLAIN

    def _notice_edits(self, live: Mapping[str, Any]) -> None:
        """Restart the detector after an edit that changes the loss curve: of weights, or a large one of the rate."""
        now = {**set_weights(live, self.terms), "max_lr": float(live["max_lr"])}
        before, self.seen_live = self.seen_live, now
        if not before or before == now:
            return
        weights = [term for term in self.terms if before.get(term, 0.0) != now[term]]
        ratio = now["max_lr"] / before["max_lr"]
        if weights:
            keys = ", ".join(f"{term}_weight" for term in weights)
            self.detector.restart(f"{keys} edited: the loss is another sum now")
        elif not 1 / BIG_RATE_CHANGE < ratio < BIG_RATE_CHANGE:
            self.detector.restart(f"max_lr edited to {ratio:.2g} times what it was")
        else:
            self.seen_live["max_lr"] = before["max_lr"]  # small edits add up to a big one

    def _at_set_weights(self, loss: float, terms: Mapping[str, float], live: Mapping[str, Any]) -> float:
        """The loss under the user's weights, so that the controller's own offset does not look like progress."""
        if self.shift == 0.0 and self.steadiness.part == 1.0:
            return loss
        used = effective_weights(live, self.terms, self.shift, self.steadiness.part)
        wanted = set_weights(live, self.terms)
        return loss - sum((used[term] - wanted[term]) * terms.get(term, 0.0) for term in self.terms)

    def _edges(self, step: int, decision: Decision, live: Mapping[str, Any]) -> list[ControllerEvent]:
        """Events for a plateau that begins or ends. When one begins, the rate factor is changed."""
        if not live["adaptive"]:
            self.factor, self.shift = 1.0, 0.0
        self.factor = effective_factor(live, self.factor)
        self._recover(decision, live)
        if not (decision.detected or decision.cleared):
            return []
        before, least = self.factor, LEAST_RECOVERABLE if self.recovers else LEAST_FACTOR
        if decision.detected:
            self.factor = acted_factor(live, before, least)
        elif live["plateau_action"] == "boost_lr":
            self.factor = 1.0
        data = {
            **_counted(decision, live),
            **decision.numbers,
            "signals": list(decision.improved),
            "lr_factor_before": before,
            "lr_factor": self.factor,
        }
        edge = ControllerEvent("plateau_detected" if decision.detected else "plateau_cleared", decision.reason, data)
        if self.recovers and self.factor == least < before and step < live["max_steps"] / 2:
            return [edge, _floor(step, self.factor, live)]
        return [edge]

    def _recover(self, decision: Decision, live: Mapping[str, Any]) -> None:
        """Give back a reduced rate while there is progress: from an improvement to the next plateau."""
        if not self.recovers or live["plateau_action"] != "reduce_lr":
            return
        if decision.plateau:
            self.recovering = False
        elif decision.improved:
            self.recovering = True
        if self.recovering:
            self.factor = recovered_factor(live, self.factor)

    def _advance(self, step: int, finite: bool, decision: Decision, live: Mapping[str, Any]) -> list[ControllerEvent]:
        """Take the transition that the table allows now, if any."""
        self.phase_steps += 1
        facts = Facts(
            restarted=self.restarted,
            step=step,
            warmup_steps=self.warmup_steps,
            phase_steps=self.phase_steps,
            adaptive=bool(live["adaptive"]),
            finite=finite,
            plateau=decision.plateau,
            counter=decision.counter,
            patience=float(live["plateau_patience"]),
            safety_threshold=float(live["plateau_safety_threshold"]),
            cooldown_duration=float(live["cooldown_duration"]),
            sharpness=self.sharpness,
            sharpness_threshold=self.sharpness_threshold,
            settling_steps=SETTLING_STEPS,
            aggressive_patiences=AGGRESSIVE_PATIENCES,
        )
        self.restarted = ""
        taken = next_transition(self.phase, facts)
        if taken is None:
            return []
        numbers = {key: value for key, value in facts._asdict().items() if value not in (None, "")}
        reason = taken.why.format(**facts._asdict())
        events = []
        if taken.when == "safety":
            events.append(self._safety_reset(reason, numbers))
        elif taken.when == "not_finite":
            self.shift = 0.0
        self.phase, self.phase_steps = taken.target, 0
        change = {"from": taken.source, "to": taken.target, "condition": taken.when}
        told = f"{taken.source} → {taken.target}: {reason}"
        return [*events, ControllerEvent("phase_changed", told, {**change, **numbers})]

    def _safety_reset(self, reason: str, numbers: dict[str, Any]) -> ControllerEvent:
        """Restore the user's weights and end a boost; counting restarts after the cooldown."""
        data = {**numbers, "weight_shift_before": self.shift, "lr_factor_before": self.factor}
        self.shift = 0.0
        self.factor = min(1.0, self.factor)
        self.detector.restart("safety reset: counting starts again", keep_trend=True)
        return ControllerEvent("safety_reset", reason, {**data, "lr_factor": self.factor})

    def _drift(self, live: Mapping[str, Any]) -> None:
        """Move the weight offset by one small step: up in the aggressive phase, back otherwise."""
        step = SHIFT_STEP if self.phase == AGGRESSIVE else -SHIFT_STEP
        self.shift = max(0.0, min(MOST_SHIFT, self.shift + step)) if live["adaptive"] else 0.0

    def _metrics(self, decision: Decision, settings: StepSettings, patience: float) -> dict[str, float]:
        values: dict[str, float | None] = {
            "plateau/counter": decision.counter,
            "plateau/ema_loss": decision.ema,
            "plateau/best_loss": decision.best,
            "plateau/best_quality": self.detector.quality_best,
            "plateau/progress_percent": min(100.0, 100.0 * decision.counter / patience),
            "plateau/threshold": decision.threshold,
            "plateau/active": float(decision.plateau),
            "plateau/phase": float(PHASES.index(self.phase)),
            "plateau/weight_shift": self.shift,
            "plateau/perceptual_part": self.steadiness.part,
            "plateau/lr_factor": settings.lr_factor,
            "plateau/clip": settings.clip,
            **{f"plateau/{name}": value for name, value in decision.numbers.items()},
        }
        return {key: value for key, value in values.items() if value is not None and math.isfinite(value)}


def _counted(decision: Decision, live: Mapping[str, Any]) -> dict[str, Any]:
    known = {"ema_loss": decision.ema, "best_loss": decision.best}
    numbers = {key: value for key, value in known.items() if value is not None}
    patience = live["plateau_patience"]
    return {"counter": decision.counter, "patience": patience, "threshold": decision.threshold, **numbers}


def _floor(step: int, factor: float, live: Mapping[str, Any]) -> ControllerEvent:
    """The rate is as low as `reduce_lr` makes it before the schedule is half over."""
    reason = f"reduced to {factor:g} of the scheduled rate at step {step} of {live['max_steps']}, before half of the schedule"
    return ControllerEvent("lr_floor", reason, {"lr_factor": factor, "max_steps": live["max_steps"]})


_PLAIN = ("phase", "phase_steps", "shift", "factor", "sharpness", "restarted")
