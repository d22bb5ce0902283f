"""The numbers that every face shows beside the losses, read from the record: one place for command line, panel and terminal.

The trainer computes and records them (`vsrpp.training.progress`, `vsrpp.training.throughput`); the cost follows here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from vsrpp.control.runs import FINAL_STATES

CONVERGENCE = ("unknown", "falling", "flat", "rising", "noisy")
"""What `progress/convergence` counts; the trainer's own order."""
SCORE_PARTS = ("gain", "sharpness", "convergence", "stability")
TIME_PARTS = ("data_wait", "compute", "validation", "checkpoint", "boundary")
LIMITS = ("max_hours", "cost_per_hour")
"""Startup keys that a resume may set anew; the newest `restored` event holds what is in force."""


def numbers(
    metrics: Mapping[str, float | None], trainer: Mapping[str, Any], state: str, live: Mapping[str, Any],
    run_config: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """eta_s, convergence, score, momentum, time, device_use, hours, cost: None where a figure is not known.

    `metrics`: the newest value of every metric; `trainer`: the trainer's last word on itself.
    """

    def metric(key: str) -> float | None:
        return finite(metrics.get(key))

    ended = state in FINAL_STATES | {"dead"}
    eta_s = None if ended else eta(trainer, live)
    limits = {key: finite(trainer[key] if key in trainer else run_config.get(key)) for key in LIMITS}
    spent_s = finite(trainer.get("spent_s"))
    spent_s = metric("progress/spent_s") if spent_s is None else spent_s
    return {
        "eta_s": eta_s,
        "convergence": _convergence(metric),
        "score": _parts(metric, "score", "progress/score_{}", SCORE_PARTS, metric("progress/score")),
        "momentum": metric("optimizer/momentum"),
        "time": _parts(metric, "step_s", "speed/{}_s", TIME_PARTS, metric("speed/step_s")),
        "device_use": _device(metric),
        "hours": _hours(spent_s, limits["max_hours"]),
        "cost": _cost(spent_s, eta_s, limits),
    }


def eta(trainer: Mapping[str, Any], live: Mapping[str, Any]) -> float | None:
    """Seconds to go: the trainer's own figure; of a record without one, the steps left at its speed."""
    if "eta_s" in trainer:
        return finite(trainer["eta_s"])
    steps_left, speed = (
        max(0, int(live.get("max_steps", 0)) - int(trainer.get("step", 0))),
        finite(trainer.get("steps_per_s")),
    )
    return steps_left / speed if speed else None


def finite(value: Any) -> float | None:
    """A JSON-safe float: what is missing, NaN or infinite becomes None."""
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def _convergence(metric: Any) -> dict[str, Any] | None:
    number = metric("progress/convergence")
    if number is None:
        return None
    return {
        "state": CONVERGENCE[int(number)] if 0 <= number < len(CONVERGENCE) else "unknown",
        "slope_percent_per_1000_steps": metric("progress/slope_percent_per_1000_steps"),
        "slope_error_percent": metric("progress/slope_error_percent"),
    }


def _parts(metric: Any, whole: str, key: str, parts: tuple[str, ...], value: float | None) -> dict[str, Any] | None:
    if value is None:
        return None
    unit = "_s" if whole.endswith("_s") else ""
    return {whole if unit else "total": value, **{f"{part}{unit}": metric(key.format(part)) for part in parts}}


def _device(metric: Any) -> dict[str, Any] | None:
    """{kind: `gpu` or `cpu`, percent}: of the GPU, else of the process, where one core is 100."""
    for kind, key in (("gpu", "system/gpu_percent"), ("cpu", "system/process_cpu_percent")):
        percent = metric(key)
        if percent is not None:
            return {"kind": kind, "percent": percent}
    return None


def _hours(spent_s: float | None, most: float | None) -> dict[str, Any] | None:
    """Machine time: {spent, max, left} in hours."""
    if spent_s is None:
        return None
    spent = spent_s / 3600
    return {"spent": spent, "max": most, "left": None if most is None else max(0.0, most - spent)}


def _cost(spent_s: float | None, eta_s: float | None, limits: Mapping[str, float | None]) -> dict[str, Any] | None:
    """{per_hour, spent, to_come}; to come is at most what max_hours still allows."""
    per_hour, most = limits["cost_per_hour"], limits["max_hours"]
    if per_hour is None or spent_s is None:
        return None
    ahead_s = eta_s if eta_s is None or most is None else min(eta_s, max(0.0, 3600 * most - spent_s))
    to_come = None if ahead_s is None else per_hour * ahead_s / 3600
    return {"per_hour": per_hour, "spent": per_hour * spent_s / 3600, "to_come": to_come}
