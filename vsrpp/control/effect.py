"""What followed an intervention: the mean loss and the last validation before and since.

This does not show cause: the loss usually falls anyway. "Before" covers the rows right before the intervention (back to
the previous one, if there are any), and "since" ends at the next intervention.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from vsrpp.control.best import PSNR_Y, score
from vsrpp.control.config_history import sets, value_in_force
from vsrpp.control.lineage import TURNS, acts_at, validation_figures
from vsrpp.store import Event, MetricRow, RunReader

LOG_EVERY = "log_every"
WINDOW_ROWS = 20
"""Number of loss rows averaged on either side."""
INTERVENTIONS = frozenset({"config_applied", *TURNS})
"""The events that changed the course of training; a pause, for example, changes nothing."""
LossRows = Callable[[int, int, int], Sequence[tuple[int, float]]]
"""(branch, first step, last step) -> (step, total loss) in order."""


@dataclass(frozen=True, slots=True)
class InterventionEffect:
    """Mean total loss and last PSNR-Y (dB) on either side; None without data."""

    loss_before: float | None
    loss_since: float | None
    psnr_y_before: float | None
    psnr_y_since: float | None
    until_step: int | None
    """End of "since": the step of the next intervention; None if there is none yet."""

    @property
    def loss_ratio(self) -> float | None:
        """Loss since / loss before."""
        return self.loss_since / self.loss_before if self.loss_before and self.loss_since is not None else None

    @property
    def psnr_y_gain_db(self) -> float | None:
        if self.psnr_y_before is None or self.psnr_y_since is None:
            return None
        return self.psnr_y_since - self.psnr_y_before

    def to_json(self) -> dict[str, Any]:
        return {
            "loss_before": self.loss_before, "loss_since": self.loss_since, "psnr_y_before": self.psnr_y_before,
            "psnr_y_since": self.psnr_y_since, "until_step": self.until_step,
        }  # fmt: skip


class Effects:
    """The effects of a run's interventions; a complete effect is computed only once."""

    def __init__(self, rows: LossRows) -> None:
        self._rows = rows
        self._known: dict[int, InterventionEffect] = {}

    def of(self, events: Sequence[Event], newest: int = 60) -> dict[int, InterventionEffect]:
        """{event number: effect} of the newest interventions in a run's whole record."""
        marks = [place for place, event in enumerate(events) if event.type in INTERVENTIONS]
        known = _Known(events)
        effects: dict[int, InterventionEffect] = {}
        for number, place in list(enumerate(marks))[-newest:]:
            seq = events[place].seq
            following = marks[number + 1] if number + 1 < len(marks) else None
            if seq not in self._known:
                preceding = events[marks[number - 1]] if number else None
                effect = self._effect(events, known, place, preceding, following)
                if following is None or effect.loss_since is None:
                    effects[seq] = effect
                    continue
                self._known[seq] = effect
            effects[seq] = self._known[seq]
        return effects

    def _effect(
        self, events: Sequence[Event], known: _Known, place: int, preceding: Event | None, following: int | None
    ) -> InterventionEffect:
        event = events[place]
        turned = event.type in TURNS
        left = int(event.data.get("from_branch", event.branch - 1)) if turned else event.branch
        at = int(event.data.get("from_step", event.step)) if turned else event.step
        start = acts_at(event)
        until = _end(events[following], event.branch) if following is not None else None
        every = known.log_every(place)
        before = self._rows(left, max(0, at - WINDOW_ROWS * every) + 1, at)
        if preceding is not None and preceding.branch == left:
            before = [row for row in before if row[0] > acts_at(preceding)] or before
        since = self._since(event.branch, start, until, every)
        return InterventionEffect(
            _mean(before[-WINDOW_ROWS:]), _mean(since), known.last_psnr_y(-1, place),
            known.last_psnr_y(place, len(events) if following is None else following), until,
        )  # fmt: skip

    def _since(self, branch: int, start: int, until: int | None, every: int) -> Sequence[tuple[int, float]]:
        """The newest rows of the stretch, without reading all of it."""
        if until is not None:
            return self._rows(branch, max(start + 1, until - WINDOW_ROWS * every), until)[-WINDOW_ROWS:]
        return self._rows(branch, start + 1, -1)[-WINDOW_ROWS:]


def rows_of(reader: RunReader) -> LossRows:
    """A function that reads loss rows from an open record; last step -1 returns the newest rows."""

    def rows(branch: int, first: int, last: int) -> list[tuple[int, float]]:
        if last < 0:
            newest = reader.latest("loss/total").get("loss/total")
            if newest is None or newest.branch != branch:
                return []
            last, first = newest.step, max(first, newest.step - WINDOW_ROWS * 500)
        return pairs(reader.series("loss/total", branch=branch, from_step=first, to_step=last))

    return rows


def pairs(rows: Iterable[MetricRow]) -> list[tuple[int, float]]:
    return [(row.step, row.value) for row in rows]


def _end(following: Event, branch: int) -> int:
    """The step a branch had reached when the next intervention came."""
    if following.type in TURNS and following.branch != branch:
        return int(following.data.get("from_step", following.step))
    return following.step


class _Known:
    """What was known at each of a run's events, found in one pass over them."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._intervals: list[tuple[int, int]] = []
        self._scores: list[tuple[int, float]] = []
        for place, event in enumerate(events):
            if event.type == "validated":
                psnr_y = psnr_y_of(event)
                self._scores += [] if psnr_y is None else [(place, psnr_y)]
            elif sets(event, LOG_EVERY):
                self._intervals.append((place, int(value_in_force([event], LOG_EVERY) or 0)))

    def log_every(self, place: int) -> int:
        """The `log_every` in force after an event."""
        found = bisect_right(self._intervals, place, key=itemgetter(0))
        return max(1, (self._intervals[found - 1][1] if found else 0) or 10)

    def last_psnr_y(self, after: int, before: int) -> float | None:
        """The PSNR-Y (dB) of the last validation between two events, both exclusive."""
        found = bisect_left(self._scores, before, key=itemgetter(0))
        return self._scores[found - 1][1] if found and self._scores[found - 1][0] > after else None


def _mean(rows: Sequence[tuple[int, float]]) -> float | None:
    values = [value for _, value in rows if math.isfinite(value)]
    return math.fsum(values) / len(values) if values else None


def psnr_y_of(event: Event) -> float | None:
    """PSNR-Y (dB) of a `validated` event."""
    return score(validation_figures(event), PSNR_Y)
