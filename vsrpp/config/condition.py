"""Conditions that revert an edit on probation: `loss > 2x`, `psnr_y < -0.5`, `loss > 1.5x or gain_window < 0`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from vsrpp.config import messages

VALIDATED = ("quality", "psnr_y", "gain_window", "gain_train_window", "recurrence_growth")
METRICS = ("loss", "grad_norm", *VALIDATED)
"""Metrics that only a validation provides, the last three only of a network with a recurrence."""
ABSOLUTE = frozenset({"gain_window", "gain_train_window", "recurrence_growth"})
"""Metrics compared with 0 or 1 by nature: without `x`, the condition is about their value, not its change."""
_FORM = re.compile(
    r"^\s*(?P<metric>\w+)\s*(?P<op>[<>])\s*(?P<value>[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*(?P<times>x?)\s*$"
)


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison of a metric with its value before the edit; of one in ABSOLUTE, with a number."""

    metric: str
    above: bool
    value: float
    times: bool
    """Whether `value` is a multiple of the earlier value (`2x`); if not, a difference from it (`-0.5`), or the value."""

    def holds(self, before: float, now: float) -> bool:
        """Whether to revert. False if the values cannot be compared (with `x`, an earlier value of 0 or NaN)."""
        if self.times:
            if not before > 0 or not math.isfinite(now):
                return False
            measure = now / before
        else:
            measure = now if self.metric in ABSOLUTE else now - before
        return measure > self.value if self.above else measure < self.value

    def __str__(self) -> str:
        return f"{self.metric} {'>' if self.above else '<'} {self.value:g}{'x' if self.times else ''}"


def parse_conditions(text: str | None) -> list[Condition]:
    """Conditions joined by `or`; none for None or "" (a non-finite loss or gradient always reverts).

    Raises Refused, stating the expected form.
    """
    if text is None or text == "":
        return []
    if not isinstance(text, str) or not text.strip():
        raise messages.CONDITION_FORM(text=repr(str(text)[:60]))
    return [_parse(part) for part in re.split(r"\s+or\s+", text)]


def first_that_holds(
    conditions: list[Condition], before: Mapping[str, float], now: Mapping[str, float]
) -> Condition | None:
    """The first condition that holds, among those whose metric is in both mappings."""
    known = (c for c in conditions if c.metric in before and c.metric in now)
    return next((c for c in known if c.holds(before[c.metric], now[c.metric])), None)


def _parse(text: str) -> Condition:
    match, shown = _FORM.match(text), repr(text.strip())
    if match is None:
        raise messages.CONDITION_FORM(text=shown)
    if match["metric"] not in METRICS:
        raise messages.CONDITION_METRIC(text=shown, metric=match["metric"], metrics=", ".join(METRICS))
    try:
        value = float(match["value"])
    except ValueError:
        raise messages.CONDITION_NUMBER(text=shown, value=match["value"]) from None
    if not math.isfinite(value) or (match["times"] and value <= 0):
        raise messages.CONDITION_NUMBER(text=shown, value=match["value"])
    return Condition(match["metric"], match["op"] == ">", value, bool(match["times"]))
