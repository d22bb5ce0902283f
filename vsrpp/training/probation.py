"""An edit on probation: decided purely from what the steps report; carried out by the boundary."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vsrpp.checkpoints.snapshot import Snapshot
from vsrpp.config.condition import VALIDATED, Condition, first_that_holds, parse_conditions
from vsrpp.store import Event

WINDOW_STEPS = 20
"""Steps before the edit that are its baseline, and at most as many since that are held against them."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a probation ended, and the numbers behind it."""

    revert: bool
    why: str
    before: dict[str, float]
    now: dict[str, float]


@dataclass(slots=True)
class Probation:
    """Holds the state from before the edit (one whole state in memory) until it is decided."""

    event: Event
    """The edit, as it was applied."""
    held: Snapshot
    head: tuple[int, str]
    """(sequence number, hash) of the newest event before the edit."""
    revision_before: int
    steps: int
    conditions: list[Condition]
    before: dict[str, float]
    weights: dict[str, float]
    """The loss weights from before the edit: losses are compared under these, or an edit of a weight would judge itself."""
    _since: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def begin(
        cls, event: Event, held: Snapshot, head: tuple[int, str], revision_before: int,
        recent: Iterable[Mapping[str, float]], validated: Mapping[str, float],
    ) -> Probation:  # fmt: skip
        """`recent` are the terms and norms of the steps before the edit, `validated` the figures at its step."""
        asked: dict[str, Any] = event.data["probation"]
        weights = {key: float(value) for key, value in held.live.items() if key.endswith("_weight")}
        made = cls(
            event,
            held,
            head,
            revision_before,
            int(asked["steps"]),
            parse_conditions(asked.get("revert_if")),
            {},
            weights,
        )
        made.before = {**made._means(list(recent)[-WINDOW_STEPS:]), **_figures(validated)}
        return made

    @property
    def last_step(self) -> int:
        return self.held.step + self.steps

    @property
    def needs_validation(self) -> bool:
        return any(condition.metric in VALIDATED for condition in self.conditions)

    def observe(self, step: int, made: Mapping[str, float], validated: Mapping[str, float]) -> Verdict | None:
        """Judge after a step: revert, confirm after the last one, or None to go on.

        `made` are the step's terms (`l1` …) and `grad_norm`; `validated` the figures of a validation at it, or empty.
        """
        if not all(math.isfinite(value) for value in made.values()):
            return Verdict(True, "a loss or gradient was not finite", self.before, dict(made))
        self._since.append(dict(made))
        now = {**self._means(self._since[-WINDOW_STEPS:]), **_figures(validated)}
        held = first_that_holds(self.conditions, self.before, now)
        if held is not None:
            was, became = self.before[held.metric], now[held.metric]
            return Verdict(True, f"{held} held: {held.metric} went from {was:.5g} to {became:.5g}", self.before, now)
        if step >= self.last_step:
            return Verdict(False, f"nothing held within {self.steps} steps", self.before, now)
        return None

    def _means(self, rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
        """Mean loss under the weights from before, and mean gradient norm; {} without a step."""
        if not rows:
            return {}
        losses = [
            math.fsum(w * row.get(key.removesuffix("_weight"), 0.0) for key, w in self.weights.items()) for row in rows
        ]
        norms = [row["grad_norm"] for row in rows]
        return {"loss": math.fsum(losses) / len(rows), "grad_norm": math.fsum(norms) / len(rows)}


def _figures(validated: Mapping[str, float]) -> dict[str, float]:
    return {name: validated[f"val/{name}"] for name in VALIDATED if f"val/{name}" in validated}
