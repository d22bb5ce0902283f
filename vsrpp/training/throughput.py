"""Where the time goes: assigns every second of the process to one part, and estimates the remaining time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from statistics import fmean, median
from typing import Any

PARTS = ("data_wait", "compute", "validation", "checkpoint", "boundary", "paused")
"""`data_wait`: waiting for the next batch. `compute`: the rest of the step. `validation`: all of it. `checkpoint`: the
time training waits for one, not the background writing. `boundary`: everything else between two steps. `paused`."""

ROUTINE = ("data_wait", "compute", "boundary")
"""Parts of every step; the others are occasional."""

STEPS_KEPT = 128
"""Newest steps in the robust mean."""

TRIMMED = 0.1
"""Fraction left out at either end: the slowest steps (a rollback, a busy moment) and the fastest."""

RENEWED_EVERY = 8
"""Steps between two updates of the mean."""

EACH_KEPT = 5
"""Newest validations and checkpoints whose median predicts the next."""


class Throughput:
    """Adds up seconds by part. Time outside `doing` belongs to `boundary`; parts may be nested."""

    def __init__(self, earlier_s: float = 0.0, now: Callable[[], float] = time.perf_counter) -> None:
        """`earlier_s`: machine time of earlier processes of this run."""
        self._now = now
        self._earlier_s = earlier_s
        self._opened = self._since = now()
        self._part = "boundary"
        self._total = dict.fromkeys(PARTS, 0.0)
        self._each: dict[str, deque[float]] = {
            part: deque(maxlen=EACH_KEPT) for part in PARTS if part not in (*ROUTINE, "paused")
        }
        self._steps: deque[float] = deque(maxlen=STEPS_KEPT)
        self._fresh = 0
        self.step_s = 0.0
        """Robust mean of the seconds per step, without validations, checkpoints and pauses; 0 before two steps."""
        self._step_mark: float | None = None
        self._row_mark = dict(self._total)
        self._row_step = 0

    @property
    def spent_s(self) -> float:
        """Machine time of the run in seconds, over all of its processes, including pauses."""
        return self._earlier_s + self._now() - self._opened

    @property
    def part(self) -> str:
        """The current part."""
        return self._part

    @contextmanager
    def doing(self, part: str) -> Iterator[None]:
        """Count the time inside towards `part`."""
        before, self._part = self._turn(), part
        began = self._total[part]
        try:
            yield
        finally:
            self._turn()
            self._part = before
            if part in self._each:
                self._each[part].append(self._total[part] - began)

    def _turn(self) -> str:
        now = self._now()
        self._total[self._part] += now - self._since
        self._since = now
        return self._part

    def step_begins(self) -> None:
        """Call at the start of every step: a step's time is that since the last call, without the occasional parts."""
        self._turn()
        routine = sum(self._total[part] for part in ROUTINE)
        if self._step_mark is not None:
            self._steps.append(routine - self._step_mark)
            self._fresh += 1
            if self._fresh >= RENEWED_EVERY or len(self._steps) <= RENEWED_EVERY:
                self._fresh = 0
                self.step_s = trimmed_mean(self._steps)
        self._step_mark = routine

    def forget_step(self, step: int) -> None:
        """The run has moved to another step (start, resume or rollback): discard the current measurement."""
        self._turn()
        self._step_mark = None
        self._row_mark, self._row_step = dict(self._total), step

    def row(self, step: int, frames_per_step: int) -> dict[str, float]:
        """`speed/*` since the last row, in seconds per step: each part, and a step without the occasional ones."""
        self._turn()
        steps, self._row_step = step - self._row_step, step
        spent = {part: self._total[part] - self._row_mark[part] for part in PARTS if part != "paused"}
        self._row_mark = dict(self._total)
        routine = sum(spent[part] for part in ROUTINE)
        if steps <= 0 or routine <= 0:
            return {}
        return {
            "speed/steps_per_s": steps / routine,
            "speed/step_s": routine / steps,
            "speed/frames_per_s": frames_per_step * steps / routine,
            **{f"speed/{part}_s": seconds / steps for part, seconds in spent.items()},
        }

    def eta_s(self, step: int, live: Mapping[str, Any]) -> float | None:
        """Seconds to the last step: remaining steps at the robust mean, plus the validations and checkpoints due.

        Each of these counts as the median of the last few, or 0 before the first one. None before the pace is known.
        Pauses are not predicted.
        """
        last = int(live["max_steps"])
        if step >= last:
            return 0.0
        if not self.step_s:
            return None
        rare = sum(
            median(self._each[part]) * _times(step, last, int(live[every]))
            for part, every in (("validation", "validate_every"), ("checkpoint", "checkpoint_every"))
            if self._each[part]
        )
        return (last - step) * self.step_s + rare


def trimmed_mean(values: deque[float]) -> float:
    """The mean without the lowest and the highest tenth."""
    cut = int(TRIMMED * len(values))
    return fmean(sorted(values)[cut : len(values) - cut])


def _times(step: int, last: int, every: int) -> int:
    """How often an action is due after `step`: at every multiple of `every` and at the last step."""
    return last // every - step // every + (last % every != 0)
