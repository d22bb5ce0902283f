"""The controller's effects on top of the live config: bounded offsets, pure functions of its state and the config."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from math import ceil, fsum, isfinite, nextafter, sqrt
from typing import Any

_NUDGES = 16

MOST_SHIFT = 0.10
"""Maximum weight moved to the gradient term (in units of the weights, whose sum is about 1)."""

SHIFT_STEP = 0.001
"""Weight moved per step: towards the gradient term in the aggressive phase, back otherwise."""

MOST_TAKEN = 0.5
"""Maximum fraction of the user's L1 and multi-scale weights that is moved away."""

LEAST_PERCEPTUAL = 0.25
"""Minimum fraction of the user's perceptual weight under an unsteady L1; the difference goes to L1."""

STEADY_VARIATION, UNSTEADY_VARIATION = 0.25, 1.0
"""Coefficient of variation of the L1 term (std over mean): the perceptual weight is unchanged at or below the first, and at
its minimum at or above the second."""

VARIATION_ALPHA = 0.02
"""Weight of the newest step in the L1 term's running mean and variance (a memory of about 100 steps)."""

PERCEPTUAL_STEP = 0.002
"""Maximum change per step of the perceptual weight (fraction of the user's weight)."""

REDUCE_FACTOR, LEAST_FACTOR = 0.5, 0.1
"""`reduce_lr` halves the factor on the scheduled rate at each plateau, down to a tenth; the reduction is permanent
(`controller_version` 1)."""

LEAST_RECOVERABLE = 0.25
"""Minimum factor of `reduce_lr` from `controller_version` 2 on, where progress undoes the reduction."""

BOOST_FACTOR, MOST_FACTOR = 1.5, 2.0
"""`boost_lr` multiplies the factor by 1.5 at each plateau, up to 2; the boost ends with the plateau."""

NORMS_KEPT, NORMS_NEEDED = 256, 64
"""Number of recent gradient norms the percentile is taken of, and how many are needed before it is used."""

NORM_PERCENTILE, NORM_ROOM = 90.0, 1.5
"""Adaptive clipping: the clip is this ratio times this running percentile of the norms."""

LEAST_CLIP = 0.05
"""Minimum of the adaptive clip, as a fraction of the live `grad_clip`."""


def set_weights(live: Mapping[str, Any], terms: Iterable[str]) -> dict[str, float]:
    """The weights of the loss terms as set by the user."""
    return {term: float(live[f"{term}_weight"]) for term in terms}


def effective_weights(
    live: Mapping[str, Any], terms: Iterable[str], shift: float, perceptual_part: float
) -> dict[str, float]:
    """The effective weights of the loss terms: each between 0 and 1, with the same sum as in the live config.

    Moved are only those of `l1`, `ms`, `grad` and `perceptual`. A term the user set to 0
    stays off. With `adaptive` off, or nothing to move, they equal the live weights.
    """
    centre = set_weights(live, terms)
    weights = dict(centre)
    if not live["adaptive"] or (shift == 0.0 and perceptual_part == 1.0):
        return weights
    if weights["perceptual"] > 0 and weights["l1"] > 0:
        _move(weights, "perceptual", "l1", weights["perceptual"] * (1 - perceptual_part))
    if weights["grad"] > 0:
        _shift_to_gradient(weights, centre, shift)
    return _sum_kept(weights, centre)


def _shift_to_gradient(weights: dict[str, float], centre: dict[str, float], shift: float) -> None:
    spare = {term: MOST_TAKEN * centre[term] for term in ("l1", "ms")}
    available = spare["l1"] + spare["ms"]
    amount = min(shift, available, 1.0 - weights["grad"])
    if available > 0 and amount > 0:
        for term, part in spare.items():
            _move(weights, term, "grad", amount * (part / available))


def _move(weights: dict[str, float], source: str, target: str, amount: float) -> None:
    amount = max(0.0, min(amount, weights[source], 1.0 - weights[target]))
    weights[source] -= amount
    weights[target] = min(1.0, weights[target] + amount)


def _sum_kept(weights: dict[str, float], centre: dict[str, float]) -> dict[str, float]:
    """Remove the remaining rounding error, so that a sum at the limit of the allowed range stays within it."""
    total = fsum(centre.values())
    inside = [term for term, weight in weights.items() if 0.0 < weight < 1.0]
    for _ in range(_NUDGES if inside else 0):
        now = fsum(weights.values())
        if now == total:
            break
        term = max(inside, key=weights.__getitem__)
        weights[term] = nextafter(weights[term], 0.0 if now > total else 1.0)
    return weights


def effective_factor(live: Mapping[str, Any], factor: float) -> float:
    """The factor on the scheduled rate; 1 unless `adaptive` is on and the current action is the one that produced it."""
    if not live["adaptive"]:
        return 1.0
    action = live["plateau_action"]
    if action == "reduce_lr":
        return max(LEAST_FACTOR, min(1.0, factor))
    if action == "boost_lr":
        return min(MOST_FACTOR, max(1.0, factor))
    return 1.0


def acted_factor(live: Mapping[str, Any], factor: float, least: float = LEAST_FACTOR) -> float:
    """The factor after a plateau was detected, under the current action; `reduce_lr` does not go below `least`."""
    step = {"reduce_lr": REDUCE_FACTOR, "boost_lr": BOOST_FACTOR}.get(live["plateau_action"], 1.0)
    return max(least, effective_factor(live, effective_factor(live, factor) * step))


def recovered_factor(live: Mapping[str, Any], factor: float) -> float:
    """The factor of `reduce_lr` one step later while there is progress: it doubles in `plateau_patience` steps, up to 1."""
    return min(1.0, factor * float(2 ** (1 / float(live["plateau_patience"]))))


class Norms:
    """Recent gradient norms, before clipping, and their running percentile."""

    def __init__(self, recent: list[float] | None = None) -> None:
        self.recent = list(recent or [])
        self._ordered = sorted(self.recent)

    def add(self, norm: float) -> None:
        """Add a norm; one that is negative or not finite is ignored."""
        if not (isfinite(norm) and norm >= 0):
            return
        self.recent.append(norm)
        insort(self._ordered, norm)
        if len(self.recent) > NORMS_KEPT:
            oldest = self.recent.pop(0)
            del self._ordered[bisect_left(self._ordered, oldest)]

    def percentile(self) -> float | None:
        """The `NORM_PERCENTILE`th percentile of the norms; None while there are too few."""
        if len(self._ordered) < NORMS_NEEDED:
            return None
        return self._ordered[ceil(NORM_PERCENTILE / 100 * len(self._ordered)) - 1]

    def clip(self, live: Mapping[str, Any]) -> float:
        """The norm to clip at, at most the live `grad_clip`; exactly that if `adaptive` is off."""
        ceiling = float(live["grad_clip"])
        percentile = self.percentile()
        if not live["adaptive"] or percentile is None:
            return ceiling
        return min(ceiling, max(LEAST_CLIP * ceiling, NORM_ROOM * percentile))


class L1Steadiness:
    """Running coefficient of variation of the L1 term, and the fraction of the perceptual weight it allows."""

    def __init__(self) -> None:
        self.mean: float | None = None
        self.variance = 0.0
        self.part = 1.0

    def add(self, value: float | None) -> None:
        """Add the L1 term of one step; None or a value that is not finite is ignored."""
        if value is None or not isfinite(value) or abs(value) > 1e100:
            return
        if self.mean is None:
            self.mean = value
            return
        gap = value - self.mean
        self.mean += VARIATION_ALPHA * gap
        self.variance = (1 - VARIATION_ALPHA) * (self.variance + VARIATION_ALPHA * gap * gap)
        self.part += max(-PERCEPTUAL_STEP, min(PERCEPTUAL_STEP, self.wanted() - self.part))

    def variation(self) -> float:
        """Standard deviation over mean of the L1 term; 0 with fewer than two values."""
        if self.mean is None or self.mean <= 0:
            return 0.0
        return sqrt(self.variance) / self.mean

    def wanted(self) -> float:
        """The target fraction (0.25 to 1) for the current variation; `part` follows it in small steps."""
        over = (self.variation() - STEADY_VARIATION) / (UNSTEADY_VARIATION - STEADY_VARIATION)
        return 1.0 - (1.0 - LEAST_PERCEPTUAL) * max(0.0, min(1.0, over))
