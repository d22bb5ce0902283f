"""The plateau detector `vsrpp` of `controller_version` 2: the trend test of `plateau_trend`, confirmed over the whole run.

The trend test sees 2048 steps. In a run of hundreds of thousands, the loss falls by less in that time than its noise hides,
and the test finds a plateau where there is none. Its verdict is therefore a candidate here. It becomes a plateau when a
broken line over the loss and the validations, both against the logarithm of the step, shows that since some step

- the fall, with its error added, is less than is worth having, and
- neither of the two by itself shows a fall (or a rise of the quality) worth having.

Worth having is a fall by `WORTH` over the steps that remain, if it continues as a power law of the step, but never less than
the exponent `LARGEST_EXPONENT`. Where noise hides a fall of that size, there is no plateau.

A loss that does not move at all (`LEAST_MOVE`) needs no test: it is a plateau after the patience, in a run of any length.

In runs of up to `SHORT_RUN` steps the candidate is the verdict: a plateau of such a run ends before this test could tell.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vsrpp.controller.detector import Decision, Observation
from vsrpp.controller.history import History
from vsrpp.controller.plateau_trend import BLOCK_STEPS, LARGEST_LOSS, LEAST_NOISE, SMALLEST_LOSS, TrendDetector

SHORT_RUN = 10_000
"""Up to this `max_steps`, a candidate is a plateau."""

WORTH = 0.04
"""A fall of the loss worth having over the steps that remain (of its logarithm)."""

LARGEST_EXPONENT = 0.035
"""A fall with an exponent above this is never a plateau, however few steps remain. BasicVSR's loss falls with 0.067."""

CONFIRM_Z, CONFIRM_GROWTH = 1.0, 1.0
"""Standard errors added to the fall before it is compared with what is worth having; none while the plateau lasts.

A stretch shorter than the allowed delay needs more, because a run has more of them: `CONFIRM_Z` times the root of
1 + `CONFIRM_GROWTH` times the logarithm of delay over length.
"""

DELAY_SHARE, LEAST_DELAY = 0.05, 2000.0
"""The allowed delay of a plateau's detection: this fraction of the run, and at least this many steps."""

CONTRADICT_Z = 1.0
"""A series contradicts a plateau if its own fall, minus this many standard errors, is worth having."""

LEAST_AGE, AGE_RATIO = 16.0, 1.3
"""The broken line is tried with its corner at these ages in steps: 16, and each next one 1.3 times that, up to half the run.

None lies before the step at which progress last ended a plateau.
"""

REACH = 4.0
"""The line before the corner reaches back this many times the length after it (of the logarithm of the step)."""

QUALITY_PER_FALL = 0.3
"""Rise of the validation quality that corresponds to a fall of the loss's logarithm by 1: 8.7 dB and 0.4 of SSIM."""

QUALITY_NOISE = 0.001
"""Standard deviation of a validation's quality, as assumed until there are enough validations to measure it."""

MOST_QUALITY = 1e6
"""Larger values are ignored: none is a quality, which is in [0, 1], and their squares would overflow the noise estimate."""

LOOK_STEPS = 64
"""Steps between two tests while a candidate lasts."""

LEAST_ERROR = 1e-9
"""Minimum error of an exponent, to avoid dividing by zero on a noiseless curve."""


LEAST_MOVE = 1e-9
"""Change of the loss's logarithm from step to step up to which it stands still: over 10 million steps, 1 %."""


def allowed_delay(max_steps: float) -> float:
    """Steps within which a plateau should be found in a run of this length, where its noise allows."""
    return LEAST_DELAY if math.isinf(max_steps) else max(DELAY_SHARE * max_steps, LEAST_DELAY)


class LongRunDetector(TrendDetector):
    """Reports the trend test's plateau only once the whole run's loss and validations are flat too."""

    def __init__(self) -> None:
        super().__init__()
        self.confirmed = False

    def _forget(self) -> None:
        super()._forget()
        self.losses, self.qualities = History(), History(QUALITY_NOISE)
        self.step, self.max_steps = 0, math.inf
        self.ended = 0
        """Step at which progress last ended a plateau: the next one must be flat since a later step."""
        self.flat, self.looked = False, LOOK_STEPS
        self.last: float | None = None
        """Logarithm of the newest loss."""
        self.still, self.patience = 0, math.inf
        """Steps with this loss, and the patience in force."""
        self.exponents: dict[str, float] = {}

    def update(
        self, step: int, loss: float, live: Mapping[str, Any], *, quality: float | None = None, grace: bool = False
    ) -> Decision:
        self.step, self.max_steps = step, float(live.get("max_steps", math.inf))
        self.looked, self.patience = self.looked + 1, float(live["plateau_patience"])
        if quality is not None and abs(quality) <= MOST_QUALITY:
            self.qualities.add(math.log(max(1, step)), quality)
            self.looked = LOOK_STEPS
        decision = super().update(step, loss, live, quality=quality, grace=grace)
        if decision.cleared and self.held:
            decision = replace(decision, improved=("run",), reason=f"improvement seen in {_RUN}")
        if decision.cleared and decision.improved:
            self.ended = step
        return decision

    def _observe(self, loss: float) -> Observation:
        """A loss without noise that does not move counts from the first step: there is nothing to tell it from.

        What the trend test sees a block later is the fall before.
        """
        seen, value = super()._observe(loss), math.log(min(max(loss, SMALLEST_LOSS), LARGEST_LOSS))
        moved = self.last is not None and abs(value - self.last) > LEAST_MOVE
        self.last, self.still = value, 1 if moved else self.still + 1
        if not moved and (not seen.improved or self.still > BLOCK_STEPS):
            return Observation(1.0, max(seen.backdated, float(self.still)), ())
        return seen if seen.improved or self.deviation > LEAST_NOISE else Observation(1.0, seen.backdated, ())

    def _add_block(self, mean: float) -> None:
        super()._add_block(mean)
        self.losses.add(math.log(max(1.0, self.step - (BLOCK_STEPS - 1) / 2)), mean)

    @property
    def reported(self) -> bool:
        return self.confirmed

    def _verdict(self, candidate: bool) -> bool:
        """A candidate is tested when it begins, at validations, and every `LOOK_STEPS` steps."""
        if not candidate or self.max_steps <= SHORT_RUN:
            self.flat, self.looked = False, LOOK_STEPS
        elif self.looked >= LOOK_STEPS:
            self.flat, self.looked = self._is_flat(), 0
        still = self.still > self.patience
        self.confirmed = candidate and (self.flat or still or self.max_steps <= SHORT_RUN)
        return self.confirmed

    def worth(self) -> float:
        """The exponent of a fall that is worth having at this step."""
        if self.step >= self.max_steps or math.isinf(self.max_steps):
            return LARGEST_EXPONENT
        return min(LARGEST_EXPONENT, WORTH / math.log(self.max_steps / max(1, self.step)))

    def _is_flat(self) -> bool:
        now, worth, age = math.log(max(1, self.step)), self.worth(), LEAST_AGE
        while age <= min(self.step / 2, self.step - self.ended):
            knot, now_age = math.log(self.step - age), age
            age *= AGE_RATIO
            certainty = self._certainty(now_age)
            falls = self._falls(knot, now - knot, worth / certainty)
            if not falls or any(fall - CONTRADICT_Z * error > worth for fall, error in falls):
                continue
            information = sum(error**-2 for _, error in falls)
            fall, error = sum(fall * error**-2 for fall, error in falls) / information, information**-0.5
            if certainty * error >= worth:
                continue
            self.exponents = {"exponent": fall, "exponent_error": error, "exponent_worth": worth}
            if max(0.0, fall) + (0.0 if self.confirmed else certainty * error) < worth:
                return True
        return False

    def _certainty(self, length: float) -> float:
        """Standard errors that a stretch of this many steps needs."""
        shorter = max(0.0, math.log(allowed_delay(self.max_steps) / length))
        return CONFIRM_Z * math.sqrt(1 + CONFIRM_GROWTH * shorter)

    def _falls(self, knot: float, length: float, most_error: float) -> list[tuple[float, float]]:
        """(exponent of the fall since the knot, its error) of the loss and of the validations.

        Empty without the loss's, or if the points after the knot leave a larger error than `most_error`, wherever they lie.
        """
        known = sum(
            history.points_since(knot) / max(history.variance, LEAST_ERROR**2) * unit * unit
            for history, unit in ((self.losses, 1.0), (self.qualities, QUALITY_PER_FALL))
        )
        if known * length * length * most_error * most_error < 1:
            return []
        start = knot - REACH * length
        loss, quality = self.losses.after(knot, start), self.qualities.after(knot, start)
        if loss is None:
            return []
        falls = [(-loss.slope, max(LEAST_ERROR, loss.error))]
        if quality is not None:
            falls.append((quality.slope / QUALITY_PER_FALL, max(LEAST_ERROR, quality.error / QUALITY_PER_FALL)))
        return falls

    def _numbers(self) -> dict[str, float]:
        return {**self.verdict, "candidate": self.counter, **self.exponents}

    def _own_state(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in (*_LONG, "last", "still")}
        histories = {"losses": self.losses.state(), "qualities": self.qualities.state()}
        return {**super()._own_state(), **own, **histories, "exponents": dict(self.exponents)}

    def _load_own(self, state: Mapping[str, Any]) -> None:
        super()._load_own(state)
        for name in _LONG:
            setattr(self, name, state[name])
        self.last, self.still = state.get("last"), state.get("still", 0)
        self.losses.load(state["losses"])
        self.qualities.load(state["qualities"])
        self.exponents = dict(state["exponents"])


_LONG = ("confirmed", "ended", "flat", "looked")
_RUN = "the loss or the validations of the whole run"
