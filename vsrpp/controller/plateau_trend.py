"""The plateau detector `vsrpp`: tests whether the loss is still falling, given its own noise.

The logarithm of the loss, without spikes, is averaged over blocks of 8 steps. After each block, the last 8, 12, 16 … 256
blocks are tested for being one straight line without a bend. The longest stretch without a significant bend is used
(Lepski's choice of a window): on a quiet curve it begins where the fall stopped; under heavy noise it spans two thousand
steps. Standard errors follow from the noise between blocks and its correlation.

- If the line of that stretch falls by more than its error explains, and its fall since the last improvement reaches the
  threshold of `brief`, that is an improvement, and the count is 0.
- Otherwise steps are counted: fully if the slope is known well, more slowly if it is uncertain or the loss falls slightly.
  The count is backdated to half the length of the stretch, because the loss had stopped falling before the test could tell.

Memory: 256 numbers. Time: about 10 microseconds per step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from vsrpp.controller.detector import EMA_ALPHA, Detector, Observation, adaptive_threshold
from vsrpp.controller.plateau_lines import WINDOWS, believed_line

BLOCK_STEPS = 8
"""Steps averaged into one point of the curve; the test is repeated this often."""

FALLING_Z, CERTAIN_Z, CERTAIN_COUNT = 1.75, 3.0, 250.0
"""A line falls if its slope is below minus this many standard errors: 1.75 at a count of 0, rising to 3 at a count of 250
steps, because after dozens of tests one may succeed by chance."""

SLIGHT_Z = 0.5
"""Below minus this many standard errors, a line falls slightly."""

SLIGHT_COUNT = 0.25
"""What a step counts while the loss falls slightly, relative to what its noise allows."""

WORTH_STEPS = 500
"""A slight fall is counted fully if it would not reach the threshold within this many steps."""

KNOWN_PER_1000 = 0.025
"""Largest standard error of a slope (relative change per 1000 steps) at which steps count fully."""

LEAST_COUNT = 0.2
"""Minimum that a step counts for an uncertain slope, so that the count advances under any noise."""

BACKDATED, MOST_BACKDATED = 0.5, 400.0
"""Fraction of the straight stretch that the count is backdated to, and its maximum in steps."""

NOISE_ALPHA = 0.01
"""Weight of the newest block in the noise estimate (a memory of about 200 blocks, 1600 steps)."""

MOST_CORRELATION = 0.9
"""Upper limit for the estimated correlation of neighbouring blocks."""

LEAST_NOISE = 1e-6
"""Minimum standard deviation of a block's mean (of the logarithm), to avoid dividing by zero on a noiseless curve."""

SPIKE_DEVIATIONS = 5.0
"""A loss is clipped to this many mean deviations (of its logarithm) around the smoothed curve."""

DEVIATION_ALPHA = 0.05
"""Weight of the newest step in the mean deviation (per step)."""

SMALLEST_LOSS, LARGEST_LOSS = 1e-12, 1e12
"""Losses are clipped to this range, so that the logarithm exists and no sum overflows."""


class TrendDetector(Detector):
    """Counts steps since the loss stopped falling, with a trend test over the longest stretch without a bend."""

    kind = "vsrpp"

    def __init__(self) -> None:
        super().__init__()
        self._forget()

    def _forget(self) -> None:
        self.blocks: list[float] = []
        self.partial_sum = 0.0
        self.partial_count = 0
        self.level: float | None = None
        self.deviation = 0.0
        self.seen = 0
        self.noise_one = self.noise_two = 0.0
        self.differences = 0
        self.count_rate = 0.0
        self.since_improved = 0
        self.verdict: dict[str, float] = {}

    def _observe(self, loss: float) -> Observation:
        value = self._despiked(math.log(min(max(loss, SMALLEST_LOSS), LARGEST_LOSS)))
        self.seen += 1
        self.since_improved += 1
        self.partial_sum += value
        self.partial_count += 1
        if self.partial_count < BLOCK_STEPS:
            return Observation(self.count_rate, 0.0, ())
        self._add_block(self.partial_sum / BLOCK_STEPS)
        self.partial_sum, self.partial_count = 0.0, 0
        if len(self.blocks) < WINDOWS[0]:
            return Observation(0.0, 0.0, ())
        return self._judge()

    def _despiked(self, value: float) -> float:
        """Clip a spike, and update the smoothed curve (`ema`, `best`) that defines it."""
        if self.level is None:
            self.level = value
            self.ema = self.best = math.exp(value)
            return value
        gap = value - self.level
        if self.seen >= BLOCK_STEPS:
            reach = SPIKE_DEVIATIONS * self.deviation + LEAST_NOISE
            gap = max(-reach, min(reach, gap))
        self.deviation += max(DEVIATION_ALPHA, 1 / (self.seen + 1)) * (abs(gap) - self.deviation)
        value = self.level + gap
        self.level += EMA_ALPHA * gap
        self.ema = math.exp(self.level)
        if self.best is None or self.ema < self.best:
            self.best = self.ema
        return value

    def _add_block(self, mean: float) -> None:
        """Add a block, and update half the mean squared differences one and two blocks apart: γ (1 − ρ), γ (1 − ρ²)."""
        self.blocks.append(mean)
        if len(self.blocks) > WINDOWS[-1]:
            del self.blocks[0]
        if len(self.blocks) < 3:
            return
        self.differences += 1
        alpha = max(NOISE_ALPHA, 1 / self.differences)
        self.noise_one += alpha * ((mean - self.blocks[-2]) ** 2 / 2 - self.noise_one)
        self.noise_two += alpha * ((mean - self.blocks[-3]) ** 2 / 2 - self.noise_two)

    def _noise(self) -> tuple[float, float]:
        """Long-run variance of a block's mean, γ (1 + ρ) / (1 − ρ) of a first-order process, and its correlation ρ."""
        one, two = self.noise_one, self.noise_two
        correlation = min(MOST_CORRELATION, max(0.0, two / one - 1)) if one > 0 else 0.0
        return max(one * (1 + correlation) / (1 - correlation) ** 2, LEAST_NOISE**2), correlation

    def _judge(self) -> Observation:
        """Repeat the test after a block."""
        variance, correlation = self._noise()
        window, slope, error = believed_line(self.blocks, variance)
        z, fall_per_step = slope / error, -slope / BLOCK_STEPS
        threshold = adaptive_threshold(self.ema or 0.0)
        falling = z < -FALLING_Z
        needed_z = FALLING_Z + (CERTAIN_Z - FALLING_Z) * min(1.0, self.counter / CERTAIN_COUNT)
        improved = z < -needed_z and fall_per_step * self.since_improved > threshold
        known = KNOWN_PER_1000 / (1000 * error / BLOCK_STEPS)
        self.count_rate = min(1.0, max(LEAST_COUNT, known))
        if z < -SLIGHT_Z and fall_per_step * WORTH_STEPS > threshold:
            self.count_rate *= SLIGHT_COUNT
        self.verdict = {
            "slope_percent_per_1000_steps": 1000 * 100 * slope / BLOCK_STEPS,
            "slope_z": z,
            "window_steps": float(window * BLOCK_STEPS),
            "noise_percent": 100 * math.sqrt(variance * BLOCK_STEPS),
            "correlation": correlation,
            "count_rate": self.count_rate,
        }
        if improved:
            self.since_improved = 0
            return Observation(0.0, 0.0, ("trend",))
        backdated = min(MOST_BACKDATED, BACKDATED * window * BLOCK_STEPS * self.count_rate)
        return Observation(self.count_rate, 0.0 if falling else backdated, ())

    def _numbers(self) -> dict[str, float]:
        return self.verdict

    def _own_state(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in _OWN}
        return {**own, "blocks": list(self.blocks), "verdict": dict(self.verdict)}

    def _load_own(self, state: Mapping[str, Any]) -> None:
        for name in _OWN:
            setattr(self, name, state[name])
        self.blocks, self.verdict = list(state["blocks"]), dict(state["verdict"])


_OWN = (
    "partial_sum",
    "partial_count",
    "level",
    "deviation",
    "seen",
    "noise_one",
    "noise_two",
    "differences",
    "count_rate",
    "since_improved",
)
