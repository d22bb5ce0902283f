"""The controller's phases and the table of all transitions between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

WARMUP, SETTLING, STABLE, AGGRESSIVE, COOLDOWN = "warmup", "settling", "stable", "aggressive", "cooldown"
PHASES = (WARMUP, SETTLING, STABLE, AGGRESSIVE, COOLDOWN)


class Facts(NamedTuple):
    """Everything a transition may depend on, for the step just completed."""

    restarted: str
    """Why `restart` was called since the previous step; empty if it was not."""
    step: int
    warmup_steps: int
    phase_steps: int
    """Steps in the current phase, including this one."""
    adaptive: bool
    finite: bool
    plateau: bool
    counter: float
    patience: float
    safety_threshold: float
    cooldown_duration: float
    sharpness: float | None
    """Sharpness of the output relative to the truth at the last validation; None before the first."""
    sharpness_threshold: float
    settling_steps: int
    aggressive_patiences: float


class Transition(NamedTuple):
    """`source` becomes `target` when the condition named `when` holds."""

    source: str
    when: str
    target: str
    why: str
    """Reason for the timeline, a template of the facts."""


_SAFETY = "counter {counter:g} above plateau_safety_threshold {safety_threshold:g}"
_BLURRED = (
    "counter {counter:g} above plateau_patience {patience:g}"
    " and sharpness {sharpness:.3f} below {sharpness_threshold:g}"
)

TRANSITIONS = (
    Transition(WARMUP, "warmed_up", SETTLING, "the rate's warm-up of {warmup_steps} steps is over"),
    Transition(SETTLING, "restarted", SETTLING, "{restarted}"),
    Transition(SETTLING, "in_warmup", WARMUP, "step {step} lies in the warm-up of {warmup_steps} steps"),
    Transition(SETTLING, "settled", STABLE, "{settling_steps} steps to settle are over"),
    Transition(STABLE, "restarted", SETTLING, "{restarted}"),
    Transition(STABLE, "safety", COOLDOWN, _SAFETY),
    Transition(STABLE, "blurred_plateau", AGGRESSIVE, _BLURRED),
    Transition(AGGRESSIVE, "restarted", SETTLING, "{restarted}"),
    Transition(AGGRESSIVE, "adaptive_off", STABLE, "adaptive is off"),
    Transition(AGGRESSIVE, "not_finite", COOLDOWN, "the step was not finite"),
    Transition(AGGRESSIVE, "safety", COOLDOWN, _SAFETY),
    Transition(AGGRESSIVE, "sharp", COOLDOWN, "sharpness {sharpness:.3f} is back at {sharpness_threshold:g} or more"),
    Transition(AGGRESSIVE, "time_over", COOLDOWN, "{phase_steps} steps ({aggressive_patiences:g} × patience) are over"),
    Transition(COOLDOWN, "restarted", SETTLING, "{restarted}"),
    Transition(COOLDOWN, "adaptive_off", STABLE, "adaptive is off"),
    Transition(COOLDOWN, "cooled", STABLE, "{phase_steps} steps are over (cooldown_duration {cooldown_duration:g})"),
)
"""In order of precedence: the first whose condition holds is taken, at most one per step."""


def _blurred(facts: Facts) -> bool:
    return facts.sharpness is not None and facts.sharpness < facts.sharpness_threshold


CONDITIONS: dict[str, Callable[[Facts], bool]] = {
    "restarted": lambda f: bool(f.restarted),
    "warmed_up": lambda f: f.step >= f.warmup_steps,
    "in_warmup": lambda f: f.step < f.warmup_steps,
    "settled": lambda f: f.phase_steps >= f.settling_steps,
    "safety": lambda f: f.adaptive and f.counter > f.safety_threshold,
    "blurred_plateau": lambda f: f.adaptive and f.plateau and f.finite and _blurred(f),
    "adaptive_off": lambda f: not f.adaptive,
    "not_finite": lambda f: not f.finite,
    "sharp": lambda f: f.sharpness is not None and not _blurred(f),
    "time_over": lambda f: f.phase_steps >= f.aggressive_patiences * f.patience,
    "cooled": lambda f: f.phase_steps >= f.cooldown_duration,
}


def next_transition(phase: str, facts: Facts) -> Transition | None:
    """The transition taken from `phase` under these facts, or None."""
    for transition in TRANSITIONS:
        if transition.source == phase and CONDITIONS[transition.when](facts):
            return transition
    return None
