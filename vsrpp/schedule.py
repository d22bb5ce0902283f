"""The learning rate schedules: pure functions of step and configs, bit-identical for equal arguments.

A schedule gives a fraction in [0, 1] of the way from min_lr to max_lr. It does not depend on the two rates, so an edit
of max_lr keeps its phase, and max_lr is the peak under each schedule. An edit of max_steps moves all positions that are
given as a fraction of max_steps, and leaves those given in steps.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vsrpp import config
from vsrpp.config.number import read_numbers
from vsrpp.plugins import registry

Shape = Callable[[int, int, int, Mapping[str, Any]], float]
"""A schedule after its warm-up: (step, max_steps, warmup_steps, run config) -> fraction in [0, 1].

Called with step ≥ warmup_steps, also beyond max_steps; `phase` gives its position between the two. The warm-up itself
rises in a line to the fraction at step = warmup_steps.
"""

POINTS = 200
"""Intervals of the recorded course of a plug-in's schedule."""
DEFAULT = "cosine"
"""The schedule of records without `lr_schedule`."""
ONE_CYCLE_START = 1 / 25
"""Fraction at which `one_cycle` starts: torch's `div_factor` of 25."""


def cosine(step: int, max_steps: int, warmup: int, _parameters: Mapping[str, Any]) -> float:
    """Half a cosine from the warm-up's end to max_steps (SGDR without restarts, arXiv:1608.03983)."""
    return _half_cosine(phase(step, warmup, max_steps))


def constant(_step: int, _max_steps: int, _warmup: int, _parameters: Mapping[str, Any]) -> float:
    """Always the peak."""
    return 1.0


def multi_step(step: int, max_steps: int, _warmup: int, parameters: Mapping[str, Any]) -> float:
    """The fraction is multiplied by `lr_gamma` at each of `lr_milestones`.

    As torch's MultiStepLR and BasicSR's MultiStepRestartLR (without restarts): a milestone is the number of steps made
    when the lower rate begins, counted from the start of the run, and one that is listed twice counts twice. There,
    the whole rate is multiplied; here, its height above min_lr, so that it never falls below that.
    """
    milestones = _positions(parameters, "lr_milestones", max_steps)
    return float(parameters["lr_gamma"]) ** sum(step >= milestone for milestone in milestones)


def one_cycle(step: int, max_steps: int, warmup: int, parameters: Mapping[str, Any]) -> float:
    """From 1/25 up to the peak at `lr_peak_at` of max_steps, then down to min_lr, each along half a cosine.

    As torch's OneCycleLR (arXiv:1708.07120) with its `pct_start`, `div_factor` and `anneal_strategy="cos"`, but the
    betas stay fixed, and the end is min_lr. A warm-up that ends after the peak replaces the rise.
    """
    peak = round(float(parameters["lr_peak_at"]) * max_steps)
    if step < peak:
        return 1.0 - (1.0 - ONE_CYCLE_START) * _half_cosine(phase(step, warmup, peak))
    return _half_cosine(phase(step, max(warmup, peak), max_steps))


def cosine_restarts(step: int, max_steps: int, warmup: int, parameters: Mapping[str, Any]) -> float:
    """Half a cosine in each of `lr_periods`, from a peak of `lr_restart_weights`; the last of either list repeats.

    As BasicSR's CosineAnnealingRestartLR, with periods counted from the start of the run, so that the first one
    contains the warm-up. A restart takes effect in the first step of its period, as in SGDR (arXiv:1608.03983) and
    torch's CosineAnnealingWarmRestarts; in BasicSR one step later. max_steps cuts the last period.
    """
    lengths = [max(1.0, length) for length in _positions(parameters, "lr_periods", max_steps)]
    weights = read_numbers(parameters["lr_restart_weights"])
    number, start, end = _period(min(step, max_steps - 1), lengths)
    weight = weights[min(number, len(weights) - 1)]
    return weight * _half_cosine(phase(min(step, max_steps), max(start, warmup), end))


SHAPES: dict[str, Shape] = {
    "cosine": cosine,
    "multi_step": multi_step,
    "constant": constant,
    "one_cycle": one_cycle,
    "cosine_restarts": cosine_restarts,
}
"""The built-in schedules by their name in `lr_schedule`."""
PARAMETERS: dict[str, tuple[str, ...]] = {
    "multi_step": ("lr_milestones", "lr_gamma"),
    "one_cycle": ("lr_peak_at",),
    "cosine_restarts": ("lr_periods", "lr_restart_weights"),
}
"""The startup parameters that only one schedule reads."""


def name_of(run_config: Mapping[str, Any]) -> str:
    """The schedule of a run, also of a record from before there was a choice."""
    return str(run_config.get("lr_schedule") or DEFAULT)


def shape_of(run_config: Mapping[str, Any]) -> Shape:
    """The schedule that a run config names: a built-in one, or that of a plug-in. Raises KeyError for another name.

    Where the plug-in is loaded, its function is called; elsewhere its course is interpolated between the points on record.
    """
    name = name_of(run_config)
    entry = None if name in SHAPES else registry.entry_of(run_config, "schedule", name)
    if entry is None:
        return SHAPES[name]
    record, about = entry
    if registry.source_of(record["sha256"]) is None:
        return from_points([(at, value) for at, value in about["points"]])
    function = registry.provided(run_config, "schedule", name)
    settings = registry.parameters(run_config, "schedule", name, run_config)
    assert function is not None

    def foreign(step: int, max_steps: int, warmup: int, _parameters: Mapping[str, Any]) -> float:
        return float(function(phase(step, warmup, max_steps), **settings))

    return foreign


def with_points(run_config: dict[str, Any]) -> None:
    """Record the course of a plug-in's schedule, which is loaded, so that it can be drawn where it is not.

    Raises Refused, with file and line, for a function that fails or leaves [0, 1].
    """
    name = name_of(run_config)
    entry = None if name in SHAPES else registry.entry_of(run_config, "schedule", name)
    if entry is None:
        return
    trial = registry.Trial.of(run_config, "schedule", name)
    assert trial is not None
    shape, points = shape_of(run_config), []
    for number in range(POINTS + 1):
        with trial.attempt():
            value = shape(number, POINTS, 0, run_config)
        if not 0.0 <= value <= 1.0:
            raise trial.refusal(f"it gives {value!r} at phase {number / POINTS:g}, not a number from 0 to 1")
        points.append([number / POINTS, value])
    entry[1]["points"] = points  # type: ignore[index]


def from_points(points: Sequence[tuple[float, float]]) -> Shape:
    """A schedule through (phase, fraction) points, linear between them and level outside.

    The phase is 0 at the end of the warm-up and 1 at max_steps. Two points at one phase make a jump. Raises ValueError
    without points, or if their phases decrease.
    """
    phases, fractions = [float(at) for at, _ in points], [float(value) for _, value in points]
    if not points or phases != sorted(phases):
        raise ValueError("a schedule needs points whose phases do not decrease")

    def interpolated(step: int, max_steps: int, warmup: int, _parameters: Mapping[str, Any]) -> float:
        at = phase(step, warmup, max_steps)
        right = bisect_right(phases, at)
        if right in (0, len(phases)):
            return fractions[min(right, len(phases) - 1)]
        left = right - 1
        part = (at - phases[left]) / (phases[right] - phases[left])
        return fractions[left] + part * (fractions[right] - fractions[left])

    return interpolated


def phase(step: int, start: float, end: float) -> float:
    """The position of a step (≥ start) between two others: 0 at `start`, 1 from `end` on."""
    return 1.0 if step >= end or start >= end else (step - start) / (end - start)


def learning_rate(
    step: int, live: Mapping[str, Any], run_config: Mapping[str, Any], factor: float = 1.0, shape: Shape | None = None
) -> float:
    """The rate of the optimizer step that leads from `step` (≥ 0) to `step + 1`, always within [min_lr, max_lr].

    `factor` (≥ 0) comes from the controller: it multiplies the fraction, which is clipped to [0, 1]. `shape`: a
    schedule other than the built-in one that `run_config` names.
    """
    low, high = live["min_lr"], live["max_lr"]
    part = min(1.0, max(0.0, factor * fraction(step, live["max_steps"], run_config, shape)))
    return high if part == 1.0 else min(high, low + (high - low) * part)  # low + (high - low) may round off high


def fraction(step: int, max_steps: int, run_config: Mapping[str, Any], shape: Shape | None = None) -> float:
    """The schedule without its rates: the fraction in [0, 1] between min_lr and max_lr.

    The first step of the warm-up is at 1 / (warmup_steps + 1) of the warm-up's end, so that no step is wasted at
    min_lr.
    """
    shape = shape or shape_of(run_config)
    warmup = int(run_config.get("warmup_steps", 0))
    if step >= warmup or step >= max_steps:
        return shape(step, max_steps, warmup, run_config)
    top = shape(warmup, max(max_steps, warmup + 1), warmup, run_config)
    return top * (step + 1) / (warmup + 1)


def curve(
    start: int, stop: int, live: Mapping[str, Any], run_config: Mapping[str, Any], factor: float = 1.0,
    points: int = 200, shape: Shape | None = None,
) -> list[tuple[int, float]]:  # fmt: skip
    """Future rates, for plotting: (step, rate) at up to `points` evenly spaced steps from `start` to `stop` inclusive.

    Empty if `stop` is before `start`.
    """
    if stop < start:
        return []
    count = max(1, min(points, stop - start + 1))
    steps = [start + round(index * (stop - start) / max(1, count - 1)) for index in range(count)]
    return [(step, learning_rate(step, live, run_config, factor, shape)) for step in steps]


def without_effect(run_config: Mapping[str, Any]) -> list[str]:
    """Parameters of other built-in schedules that differ from their defaults: the run's own schedule ignores them."""
    name, known = name_of(run_config), config.startup_parameters()
    if name not in SHAPES:
        return []
    return [
        key
        for other, keys in PARAMETERS.items()
        for key in keys
        if other != name and run_config.get(key, known[key].default) != known[key].default
    ]


def _half_cosine(at: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * at))


def _positions(parameters: Mapping[str, Any], key: str, max_steps: int) -> list[float]:
    """The positions or lengths a parameter lists, in steps: values up to 1 are fractions of max_steps."""
    return [value * max_steps if value <= 1 else value for value in read_numbers(parameters[key])]


def _period(step: int, lengths: Sequence[float]) -> tuple[int, float, float]:
    """(number, start, end) of the period that contains a step; the last length repeats."""
    start = 0.0
    for number, length in enumerate(lengths):
        if step < start + length:
            return number, start, start + length
        start += length
    more = int((step - start) // lengths[-1])
    start += more * lengths[-1]
    return len(lengths) + more, start, start + lengths[-1]
