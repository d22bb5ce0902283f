"""Axes: which part of the numbers is shown, where the ticks stand, how a value becomes a pixel."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

LARGEST = 1e100
SMALLEST = 1e-12
"""A logarithmic axis ends here: zero and less are drawn at its foot."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Values low … high onto pixels at_low … at_high."""

    low: float
    high: float
    at_low: float
    at_high: float
    log: bool = False
    _start: float = field(init=False, repr=False)
    _span: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_start", self._t(self.low))
        object.__setattr__(self, "_span", self._t(self.high) - self._start)

    def __call__(self, value: float) -> float:
        """The pixel of a value; what lies outside lands on the edge. Called for every point of every curve."""
        share = (self._t(value) - self._start) / self._span if self._span else 0.5
        share = 1.0 if share > 1.0 else share if share > 0.0 else 0.0
        return self.at_low + share * (self.at_high - self.at_low)

    def _t(self, value: float) -> float:
        return math.log10(max(value, SMALLEST)) if self.log else value

    def ticks(self, tick_count: int = 5) -> list[float]:
        return log_ticks(self.low, self.high, tick_count) if self.log else linear_ticks(self.low, self.high, tick_count)


def linear_ticks(low: float, high: float, tick_count: int = 5) -> list[float]:
    """Round numbers between low and high: multiples of 1, 2 or 5 times a power of ten."""
    if not high > low or not math.isfinite(high - low):
        return [low]
    raw = (high - low) / max(1, tick_count)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.75)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float, tick_count: int = 5) -> list[float]:
    """Powers of ten, with 2 and 5 times them when the range is short."""
    low, high = max(low, SMALLEST), max(high, SMALLEST)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    factors = (1, 2, 5) if last - first <= 2 else (1,)
    ticks = [f * 10.0**e for e in range(first, last + 1) for f in factors if low * 0.999 <= f * 10.0**e <= high * 1.001]
    every = max(1, math.ceil(len(ticks) / (tick_count + 2)))
    return ticks[::every] or [low]


def span_of(values: Iterable[float], *, log: bool = False) -> tuple[float, float, bool]:
    """(low, high, cut): the range worth showing.

    An outlier far above all else (a loss that once exploded) is left out, and the rest stays readable: `cut` says so.
    """
    finite = sorted(min(LARGEST, max(-LARGEST, v)) for v in values if math.isfinite(v))
    if log:
        finite = [v for v in finite if v > SMALLEST] or [SMALLEST, 1.0]
    if not finite:
        return 0.0, 1.0, False
    low, high = finite[0], finite[-1]
    usual = finite[min(len(finite) - 1, int(len(finite) * 0.97))]
    cut = not log and len(finite) > 20 and usual > 0 and high > 6 * usual
    if cut:
        high = usual * 1.3
    if log:
        return low / 1.1, high * 1.1, cut
    if low == high:
        pad = abs(low) * 0.1 or 1.0
        return low - pad, high + pad, cut
    if 0 <= low < high * 0.35:
        low = 0.0
    return low, high + (high - low) * 0.06, cut


def label(value: float) -> str:
    """A tick's text, short."""
    if value == 0:
        return "0"
    if abs(value) >= 1e6 or abs(value) < 1e-4:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
    return f"{value:.6f}".rstrip("0").rstrip(".") if abs(value) < 1 else f"{value:.6g}"
