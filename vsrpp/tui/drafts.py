"""An edit while it is being typed: from text to values, and how close they come to what is not allowed. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from vsrpp import config
from vsrpp.config import schema
from vsrpp.formats import finite

NEAR_PART = 0.05
"""Within this part of its range from an end, a value is said to be close to the limit."""
NEAR_SUM = 0.01


RunConfig = Mapping[str, Any] | None
"""Of the run, whose plug-ins may have declared parameters."""


def typed(texts: Mapping[str, str], run_config: RunConfig = None) -> dict[str, Any]:
    """The values as their parameters' types; what cannot be read as such stays text, and the check says so."""
    parameters = config.parameters(run_config)
    pairs = []
    for key, text in texts.items():
        numeric = key in parameters and parameters[key].type in ("number", "integer")
        pairs.append(f"{key}={text.strip().replace(',', '.') if numeric else text.strip()}")
    return config.parse_assignments(pairs, run_config)


def near_limit(parameter: config.Parameter, value: Any) -> float | int | None:
    """The end of the range that the value comes close to, or None; measured on the parameter's own scale."""
    low, high, known = parameter.minimum, parameter.maximum, finite(value)
    if known is None or low is None or high is None or not low <= known <= high:
        return None
    scale = math.log if parameter.scale == "log" and low > 0 else float
    part = (scale(known) - scale(low)) / (scale(high) - scale(low))
    if part <= NEAR_PART and known != low:
        return low
    return high if part >= 1 - NEAR_PART else None


def group_of(key: str, run_config: RunConfig = None) -> tuple[str, ...]:
    """The parameters that are edited as one with this one: those of a rule on their sum; else the key alone."""
    rule = sum_rule(key, run_config)
    return tuple(rule["keys"]) if rule else (key,)


def sum_rule(key: str, run_config: RunConfig = None) -> Mapping[str, Any] | None:
    """The rule on a sum that the key takes part in: {keys, minimum, maximum, …}."""
    rules = schema.of(run_config).rules(schema.LIVE_SCHEMA)
    return next((rule for rule in rules if rule["rule"] == "sum" and key in rule["keys"]), None)


def sum_style(total: float | None, rule: Mapping[str, Any]) -> str:
    """Green inside the bounds, yellow close to one, red beyond."""
    if total is None or not rule["minimum"] - rule["tolerance"] <= total <= rule["maximum"] + rule["tolerance"]:
        return "bad"
    return "warn" if total < rule["minimum"] + NEAR_SUM or total > rule["maximum"] - NEAR_SUM else "good"


def balanced(values: Mapping[str, float], kept: str) -> dict[str, float]:
    """The same with the others scaled so that all sum to 1; in equal parts where they were all 0 (but zeros stay 0)."""
    rest = max(0.0, 1.0 - values[kept])
    others = {key: value for key, value in values.items() if key != kept}
    total = math.fsum(others.values())
    if total <= 0:
        return dict(values)
    scaled = {key: round(value / total * rest, 4) for key, value in others.items()}
    most = max(scaled, key=lambda key: scaled[key])
    scaled[most] = round(scaled[most] + rest - math.fsum(scaled.values()), 4)
    return {key: values[kept] if key == kept else scaled[key] for key in values}
