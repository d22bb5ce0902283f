"""Fits straight lines to the newest points of a curve and tests them for bends: least squares in closed form.

Ages count backwards: the newest point has age 0. The table below holds, for each window and each place of a bend, one row
of the inverse normal equations. It is computed from integers, so it is identical on every machine.
"""

from __future__ import annotations

import math
from typing import NamedTuple

WINDOWS = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""Lengths of the lines, in points."""

BENDS = (4, 6, *WINDOWS[:-1])
"""Ages at which bends are tested, in points."""

BEND_Z = 2.0
"""A line is rejected if a bend exceeds this many of its standard errors, up or down."""


class _Bend(NamedTuple):
    age: int
    total: float
    weighted: float
    hinged: float
    error: float


def _bend_row(window: int, age: int) -> _Bend:
    """The hinge's row of (XᵀX)⁻¹ for X = [1, −u, max(0, age − u)], u = 0 … window − 1: integer cofactors over the
    determinant, with signs for sums of y and of u · y."""
    ages = range(window)
    hinge = [max(0, age - u) for u in ages]
    n, u1, u2 = window, sum(ages), sum(u * u for u in ages)
    h1, uh, h2 = sum(hinge), sum(u * h for u, h in zip(ages, hinge, strict=True)), sum(h * h for h in hinge)
    first, second, third = u1 * uh - u2 * h1, n * uh - u1 * h1, n * u2 - u1 * u1
    determinant = h1 * first - uh * second + h2 * third
    return _Bend(age, first / determinant, -second / determinant, third / determinant, math.sqrt(third / determinant))


_BEND_ROWS = {
    window: tuple(_bend_row(window, age) for age in BENDS if window / 16 <= age <= 0.75 * window) for window in WINDOWS
}


def _sums(points: list[float]) -> dict[int, tuple[float, float]]:
    """(Σ y, Σ age · y) of the newest points for every length in `BENDS` and `WINDOWS`; y is relative to the newest point."""
    newest = points[-1]
    lengths = iter(sorted({*BENDS, *WINDOWS}))
    wanted = next(lengths)
    total = weighted = 0.0
    sums = {}
    for age, value in enumerate(reversed(points)):
        value -= newest
        total += value
        weighted += age * value
        if age + 1 == wanted:
            sums[wanted] = (total, weighted)
            wanted = next(lengths, 0)
    return sums


def slope_of(window: int, total: float, weighted: float) -> float:
    """Least-squares slope per point of the newest `window` points."""
    return -(weighted - (window - 1) / 2 * total) * 12 / (window * (window * window - 1))


def _bends(window: int, sums: dict[int, tuple[float, float]], deviation: float) -> bool:
    total, weighted = sums[window]
    for row in _BEND_ROWS[window]:
        bend_total, bend_weighted = sums[row.age]
        bend = row.total * total + row.weighted * weighted + row.hinged * (row.age * bend_total - bend_weighted)
        if abs(bend) >= BEND_Z * row.error * deviation:
            return True
    return False


def believed_line(points: list[float], variance: float) -> tuple[int, float, float]:
    """(window, slope per point, its standard error) of the longest line without a significant bend.

    points: at least `WINDOWS[0]`. variance: the long-run variance of a point.
    """
    sums, deviation = _sums(points), math.sqrt(variance)
    window = WINDOWS[0]
    for longer in reversed(WINDOWS[1:]):
        if longer in sums and not _bends(longer, sums, deviation):
            window = longer
            break
    error = deviation * math.sqrt(12 / (window * (window * window - 1)))
    return window, slope_of(window, *sums[window]), error
