"""Expressions about A minus B that decide whether an evaluation fails: `psnr_y < -0.05`, `ssim_y < -0.001 or lpips > 0.01`."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from vsrpp.metrics import messages
from vsrpp.metrics.difference import Difference
from vsrpp.metrics.measures import MEASURES, Measure

By = Literal["mean", "interval"]
_FORM = re.compile(r"\s*(?P<name>\w+)\s*(?P<op>[<>])\s*(?P<value>[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*")


@dataclass(frozen=True, slots=True)
class GateRule:
    """One comparison: the evaluation fails if A minus B is beyond `limit`."""

    name: str
    above: bool
    limit: float

    @property
    def measure(self) -> Measure:
        return MEASURES[self.name]

    def __str__(self) -> str:
        return f"{self.name} {'>' if self.above else '<'} {self.limit:g}"

    def decided_on(self, difference: Difference, by: By) -> float:
        """The number that is compared: the mean, or the end of the interval that is unfavourable to A."""
        return difference.mean if by == "mean" else difference.worst(self.measure.higher_is_better)

    def fails(self, difference: Difference, by: By) -> bool:
        value = self.decided_on(difference, by)
        return value > self.limit if self.above else value < self.limit

    def verdict(self, difference: Difference, by: By) -> str:
        """Why it fails, or that it holds."""
        text = self.measure.text
        interval = f"[{text(difference.low, signed=True)}, {text(difference.high, signed=True)}]"
        said = f"A − B = {text(difference.mean, signed=True)}, 95 % interval {interval}, decided by the {by}"
        return f"{self} {'holds' if self.fails(difference, by) else 'does not hold'}: {said}"


def parse(text: str, measured: Collection[str]) -> list[GateRule]:
    """The rules, joined by `or`. measured: names of the measures that this evaluation has.

    Raises Refused for another form, an unknown measure, one that is not measured, and a rule that would fail where A is better.
    """
    return [_rule(part, measured) for part in re.split(r"\s+or\s+", text)]


def verdicts(rules: Sequence[GateRule], differences: Mapping[str, Difference], by: By) -> list[tuple[bool, str]]:
    """(whether it fails, the sentence) of each rule. Raises Refused if a measure has no value for these clips."""
    for rule in rules:
        if rule.name not in differences:
            raise messages.GATE_NO_DIFFERENCE(text=f"`{rule}`", measure=rule.name)
    return [(rule.fails(differences[rule.name], by), rule.verdict(differences[rule.name], by)) for rule in rules]


def _rule(text: str, measured: Collection[str]) -> GateRule:
    match, shown = _FORM.fullmatch(text), f"`{text.strip()[:60]}`"
    try:
        limit = float(match["value"]) if match else math.nan
    except ValueError:
        limit = math.nan
    if match is None or not math.isfinite(limit):
        raise messages.GATE_FORM(text=shown)
    rule = GateRule(match["name"], match["op"] == ">", limit)
    if rule.name not in MEASURES:
        raise messages.GATE_MEASURE(text=shown, measure=rule.name, measures=", ".join(MEASURES))
    if rule.name not in measured:
        raise messages.GATE_NOT_MEASURED(text=shown, measure=rule.name, option=rule.measure.option)
    if rule.above == rule.measure.higher_is_better:
        raise messages.GATE_DIRECTION(text=shown, measure=rule.name, better=rule.measure.better)
    return rule
