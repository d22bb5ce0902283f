"""A curve over a whole run in a few hundred numbers: fine where it is new, coarse where it is old.

Level k holds means of 2^k neighbouring points. A full level hands its two oldest means, merged, to the next one, so that
a mean spans about a sixteenth of its own age at any length of the curve. A broken line through the curve over the
logarithm of the step is fitted in closed form, with the error that the curve's own noise explains.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import Any, NamedTuple

PER_LEVEL = 16
"""Means kept in each level before the two oldest are merged."""

NOISE_ALPHA = 1 / 64
"""Weight of the newest second difference of a level in its noise estimate."""

NOISE_POINTS = 24
"""Second differences that a level needs before its noise estimate counts by itself."""


class Line(NamedTuple):
    """The slope of a curve after a knot, per unit of the logarithm of the step, and its standard error."""

    slope: float
    error: float


class History:
    """Points (logarithm of the step, value), in the order of their steps.

    prior: standard deviation of a point that is assumed before the curve has shown its own; counts as three differences.
    """

    def __init__(self, prior: float = 0.0) -> None:
        self.prior = prior
        self.levels: list[list[list[float]]] = []
        """Per level, oldest first: [logarithm of the step, value, points]."""
        self.noise: list[list[float]] = []
        """Per level: [variance of a point, as this level's second differences have it; their number]."""
        self._sums: list[tuple[float, ...]] = []
        self._ages: list[float] = []
        self._variance: float | None = None

    def add(self, log_step: float, value: float) -> None:
        """Add a point. One that is not after the newest starts the curve again."""
        if self.levels and self.levels[0] and log_step <= self.levels[0][-1][0]:
            self.levels, self.noise = [], []
        self._sums, self._variance = [], None
        self._put(0, [log_step, value, 1.0])

    def _put(self, level: int, point: list[float]) -> None:
        if level == len(self.levels):
            self.levels.append([])
            self.noise.append([0.0, 0.0])
        kept = self.levels[level]
        kept.append(point)
        if len(kept) >= 3:
            bend = kept[-1][1] - 2 * kept[-2][1] + kept[-3][1]
            estimate = self.noise[level]
            estimate[1] += 1
            estimate[0] += max(NOISE_ALPHA, 1 / estimate[1]) * (bend * bend / 6 * point[2] - estimate[0])
        if len(kept) > PER_LEVEL:
            (x, value, n), (other_x, other, m) = kept[:2]
            del kept[:2]
            total = n + m
            self._put(level + 1, [(x * n + other_x * m) / total, (value * n + other * m) / total, total])

    @property
    def variance(self) -> float:
        """Long-run variance of one point: the largest of the levels with enough differences, so that correlation counts."""
        if self._variance is None:
            self._variance = self._measured()
        return self._variance

    def _measured(self) -> float:
        known = [value for value, number in self.noise if number >= NOISE_POINTS]
        if known or not self.prior:
            return max(known, default=self.noise[0][0] if self.noise else 0.0)
        value, number = self.noise[0] if self.noise else (0.0, 0.0)
        return (value * number + self.prior**2 * 3) / (number + 3)

    def points_since(self, knot: float) -> float:
        """How many points came after `knot`."""
        return self._prepare()[bisect_right(self._ages, -knot)][0]

    def after(self, knot: float, start: float) -> Line | None:
        """The broken line over [start, now] with its corner at `knot` (logarithms of steps); None if it is not defined."""
        self._prepare()
        middle, first = bisect_right(self._ages, -knot), bisect_right(self._ages, -start)
        w2, u2, uu2, y2, uy2 = self._about(0, middle, knot) if middle else _NOTHING
        if uu2 <= 0:
            return None
        inform, weighted = w2 - u2 * u2 / uu2, y2 - u2 * uy2 / uu2
        if first - middle >= 2:
            w1, u1, uu1, y1, uy1 = self._about(middle, first, knot)
            inform += max(0.0, w1 - u1 * u1 / uu1)
            weighted += y1 - u1 * uy1 / uu1
        if inform <= 1e-6 * w2:
            return None
        corner, share = weighted / inform, u2 / uu2
        return Line(uy2 / uu2 - corner * share, math.sqrt(self.variance * (1 / uu2 + share * share / inform)))

    def _about(self, newer: int, older: int, knot: float) -> tuple[float, float, float, float, float]:
        """Sums of w, wu, wuu, wy, wuy of the means between two positions, newest first; u counts from the knot."""
        sums = self._sums
        w, x, xx, y, xy = (end - begin for begin, end in zip(sums[newer], sums[older], strict=True))
        k = knot + self._ages[0]
        return w, x - k * w, xx - 2 * k * x + k * k * w, y, xy - k * y

    def _prepare(self) -> list[tuple[float, ...]]:
        """Running sums of w, wx, wxx, wy, wxy from the newest mean back; x and y relative to it, against rounding."""
        if not self._sums:
            points = [point for level in self.levels for point in reversed(level)]
            self._ages = [-point[0] for point in points]
            x0, y0 = points[0][:2] if points else (0.0, 0.0)
            sums: list[tuple[float, ...]] = [_NOTHING]
            sw = sx = sxx = sy = sxy = 0.0
            for x, y, w in points:
                x -= x0
                y -= y0
                sw += w
                sx += w * x
                sxx += w * x * x
                sy += w * y
                sxy += w * x * y
                sums.append((sw, sx, sxx, sy, sxy))
            self._sums = sums
        return self._sums

    def state(self) -> dict[str, Any]:
        return {"levels": [[list(p) for p in level] for level in self.levels], "noise": [list(n) for n in self.noise]}

    def load(self, state: dict[str, Any]) -> None:
        self.levels = [[list(p) for p in level] for level in state["levels"]]
        self.noise = [list(n) for n in state["noise"]]
        self._sums, self._variance = [], None


_NOTHING = (0.0, 0.0, 0.0, 0.0, 0.0)
