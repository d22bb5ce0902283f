"""The figures shown beside the losses, read from the record for command line, panel and terminal.

The trainer computes and records them (`vsrpp.training.progress`, `vsrpp.training.throughput`), except for the cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from vsrpp.control.runs import ENDED_STATES
from vsrpp.formats import finite

CONVERGENCE = ("unknown", "falling", "flat", "rising", "noisy")
"""States by the number in `progress/convergence`; same order as in the trainer."""
SCORE_PARTS = ("gain", "sharpness", "convergence", "stability")
TIME_PARTS = ("data_wait", "compute", "validation", "checkpoint", "boundary")
LIMITS = ("max_hours", "cost_per_hour")
"""Startup keys that a resume may override; the newest `restored` event has the values in force."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossCourse:
    """The trend of the loss."""

    state: str
    """One of CONVERGENCE."""
    slope_percent_per_1000_steps: float | None
    slope_error_percent: float | None
    """Standard error of the slope."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The training score (0 to 100) and its parts."""

    total: float
    gain: float | None
    sharpness: float | None
    convergence: float | None
    stability: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTime:
    """Seconds per step, in total and by part."""

    step_s: float
    data_wait_s: float | None
    compute_s: float | None
    validation_s: float | None
    checkpoint_s: float | None
    boundary_s: float | None

    def parts(self) -> dict[str, float | None]:
        """Part of TIME_PARTS -> seconds."""
        return {part: getattr(self, f"{part}_s") for part in TIME_PARTS}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceUse:
    """Utilisation of the device."""

    kind: str
    """`gpu`; or `cpu`, for the process, where one core is 100."""
    percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineHours:
    """Machine time in hours."""

    spent: float
    max: float | None
    left: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Cost of the run, in the currency of `cost_per_hour`."""

    per_hour: float
    spent: float
    to_come: float | None
    """Maximum further cost that max_hours allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunNumbers:
    """The figures of a run; None if unknown."""

    eta_s: float | None = None
    """Seconds remaining."""
    convergence: LossCourse | None = None
    score: Score | None = None
    momentum: float | None = None
    """The optimizer's momentum, 0 to 1."""
    time: StepTime | None = None
    device_use: DeviceUse | None = None
    hours: MachineHours | None = None
    cost: Cost | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def numbers(
    metrics: Mapping[str, float | None], trainer: Mapping[str, Any], state: str, live: Mapping[str, Any],
    run_config: Mapping[str, Any],
) -> RunNumbers:  # fmt: skip
    """The figures of a run.

    `metrics`: the newest value of every metric; `trainer`: the trainer's last published state.
    """

    def metric(key: str) -> float | None:
        return finite(metrics.get(key))

    eta_s = None if state in ENDED_STATES else eta(trainer, live)
    limits = {key: finite(trainer[key] if key in trainer else run_config.get(key)) for key in LIMITS}
    spent_s = finite(trainer.get("spent_s"))
    spent_s = metric("progress/spent_s") if spent_s is None else spent_s
    total, step_s = metric("progress/score"), metric("speed/step_s")
    score = {part: metric(f"progress/score_{part}") for part in SCORE_PARTS}
    time = {f"{part}_s": metric(f"speed/{part}_s") for part in TIME_PARTS}
    return RunNumbers(
        eta_s=eta_s, convergence=_convergence(metric), score=None if total is None else Score(total=total, **score),
        momentum=metric("optimizer/momentum"), time=None if step_s is None else StepTime(step_s=step_s, **time),
        device_use=_device(metric), hours=_hours(spent_s, limits["max_hours"]), cost=_cost(spent_s, eta_s, limits),
    )  # fmt: skip


def eta(trainer: Mapping[str, Any], live: Mapping[str, Any]) -> float | None:
    """Seconds remaining: the trainer's estimate, or for a record without one, the remaining steps at its speed."""
    if "eta_s" in trainer:
        return finite(trainer["eta_s"])
    steps_left, speed = (
        max(0, int(live.get("max_steps", 0)) - int(trainer.get("step", 0))),
        finite(trainer.get("steps_per_s")),
    )
    return steps_left / speed if speed else None


def _convergence(metric: Callable[[str], float | None]) -> LossCourse | None:
    number = metric("progress/convergence")
    if number is None:
        return None
    return LossCourse(
        state=CONVERGENCE[int(number)] if 0 <= number < len(CONVERGENCE) else "unknown",
        slope_percent_per_1000_steps=metric("progress/slope_percent_per_1000_steps"),
        slope_error_percent=metric("progress/slope_error_percent"),
    )


def _device(metric: Callable[[str], float | None]) -> DeviceUse | None:
    for kind, key in (("gpu", "system/gpu_percent"), ("cpu", "system/process_cpu_percent")):
        percent = metric(key)
        if percent is not None:
            return DeviceUse(kind=kind, percent=percent)
    return None


def _hours(spent_s: float | None, most: float | None) -> MachineHours | None:
    if spent_s is None:
        return None
    spent = spent_s / 3600
    return MachineHours(spent=spent, max=most, left=None if most is None else max(0.0, most - spent))


def _cost(spent_s: float | None, eta_s: float | None, limits: Mapping[str, float | None]) -> Cost | None:
    per_hour, most = limits["cost_per_hour"], limits["max_hours"]
    if per_hour is None or spent_s is None:
        return None
    ahead_s = eta_s if eta_s is None or most is None else min(eta_s, max(0.0, 3600 * most - spent_s))
    to_come = None if ahead_s is None else per_hour * ahead_s / 3600
    return Cost(per_hour=per_hour, spent=per_hour * spent_s / 3600, to_come=to_come)
