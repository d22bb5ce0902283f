"""Line charts over steps, as geometry: the loss curves with their event marks, and small ones for rates and histories.

Pixels are floats; a path is the text of an SVG `d` attribute. The markup stands in `ui/templates/chart.html`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vsrpp.control.curves import Point, Series
from vsrpp.formats import short_count

from .axis import Axis, label, span_of

TOTAL, TOTAL_COLOUR = "loss/total", "var(--ink)"
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 30, 26
MARK_GAP = 9.0
"""Marks nearer than this many pixels become one."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at a step, drawn as a vertical line with a sign."""

    step: int
    kind: str
    """edit, plateau, checkpoint, rollback or fault."""
    text: str


SIGNS = {"edit": "⚙", "plateau": "▬", "checkpoint": "●", "rollback": "↶", "fault": "!"}
WEIGHT = ("fault", "rollback", "edit", "plateau", "checkpoint")
"""Which kind shows when several marks fall together."""


def smoothed(points: Sequence[Point], amount: float) -> list[tuple[int, float]]:
    """(step, mean) of every bucket with a finite value, exponentially smoothed; amount 0 leaves them as they are.

    Corrected for its start, so that the first values are not pulled towards zero.
    """
    amount = min(0.99, max(0.0, amount))
    smooth_points, average, weight = [], 0.0, 0.0
    for point in points:
        if point.mean is None:
            continue
        average = amount * average + (1 - amount) * point.mean
        weight = amount * weight + (1 - amount)
        smooth_points.append((point.step, average / weight))
    return smooth_points


def joined(series: Sequence[Series]) -> list[Series]:
    """The pieces of the run's present line as one series each; abandoned branches stay separate."""
    whole: dict[str, Series] = {}
    for segment in sorted(series, key=lambda piece: piece.points[0].step if piece.points else 0):
        if not segment.abandoned:
            before = whole[segment.key].points if segment.key in whole else ()
            whole[segment.key] = Series(segment.key, segment.branch, False, (*before, *segment.points))
    return [segment for segment in series if segment.abandoned] + list(whole.values())


@dataclass(frozen=True, slots=True)
class Frame:
    """The size of a chart and the edges of what is drawn in it, in pixels."""

    width: int
    height: int
    top: int = TOP
    left: int = LEFT

    @property
    def right(self) -> int:
        return self.width - RIGHT

    @property
    def foot(self) -> int:
        return self.height - BOTTOM


Pixel = tuple[float, float]
Ticks = list[tuple[float, str]]
"""Where each tick stands on its axis, and its label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnMark:
    """Events that share one vertical line."""

    kind: str
    at: float
    sign: str
    title: str
    """All their texts, one a line."""
    words: str
    """The text beside the line; empty where there is no room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One loss on one branch."""

    key: str
    branch: int
    abandoned: bool
    colour: str
    path: str
    dot: Pixel | None
    """In place of the path, for a curve of a single point."""
    band: str
    """From the least to the greatest value of every bucket; empty but for the smoothed total."""
    last: tuple[int, float] | None
    """The newest (step, value)."""

    @property
    def strong(self) -> bool:
        return self.key == TOTAL


@dataclass(frozen=True, slots=True, kw_only=True)
class LossChart:
    """The loss curves."""

    frame: Frame
    first: int
    last: int
    """The steps at its edges."""
    low: str
    high: str
    """The values at its edges."""
    log: bool
    cut: bool
    """An outlier lies above what is shown."""
    y_ticks: Ticks
    x_ticks: Ticks
    marks: list[DrawnMark]
    curves: list[Curve]
    """In the order of the series."""
    bad: list[tuple[int, float]]
    """(step, pixel) of the newest values that were not finite."""

    @property
    def drawn(self) -> list[Curve]:
        """The curves from back to front: abandoned branches first, the total last."""
        return sorted(self.curves, key=lambda curve: (not curve.abandoned, curve.strong))


@dataclass(frozen=True, slots=True)
class SmallLine:
    name: str
    kind: str
    path: str
    dot: Pixel | None


@dataclass(frozen=True, slots=True)
class SmallChart:
    """A few named lines over steps."""

    frame: Frame
    y_ticks: Ticks
    x_ticks: Ticks
    lines: list[SmallLine]


@dataclass(frozen=True, slots=True)
class Spark:
    """A trend without axes."""

    width: int
    height: int
    path: str


def loss_chart(
    series: Sequence[Series], marks: Sequence[Mark], colours: Mapping[str, str], *, width: int = 900, height: int = 320,
    smooth: float = 0.0, log: bool = False, from_step: int = 0, to_step: int | None = None,
) -> LossChart | None:  # fmt: skip
    """The curves of the series, each in the colour of its key; None without a point."""
    smooth_lines = [(one, smoothed(one.points, smooth)) for one in joined(series)]
    steps = [point.step for one in series for point in one.points]
    if not steps:
        return None
    low, high, cut = span_of((v for _, line in smooth_lines for _, v in line), log=log)
    first = from_step if from_step > 0 else min(0, *steps)
    last = max(to_step if to_step is not None else max(steps), first + 1)
    frame = Frame(width, height)
    x = Axis(first, last, frame.left, frame.right)
    y = Axis(low, high, frame.foot, frame.top, log)
    bad = sorted({point.step for one in series for point in one.points if point.bad})
    return LossChart(
        frame=frame, first=first, last=last, low=f"{low:.9g}", high=f"{high:.9g}", log=log, cut=cut,
        y_ticks=_y_ticks(y, frame), x_ticks=_x_ticks(x, frame), marks=_marks(marks, x),
        curves=[
            _curve(one, line, x, y, colours.get(one.key, "var(--accent)"), band=smooth > 0) for one, line in smooth_lines
        ],
        bad=[(step, x(step)) for step in bad[-50:]],
    )  # fmt: skip


def line_chart(
    lines: Sequence[tuple[str, str, Sequence[tuple[float, float]]]], *, width: int = 560, height: int = 170,
    log: bool = False,
) -> SmallChart | None:  # fmt: skip
    """A small chart of (name, kind, [(step, value)]) lines; None without a point. The kind gives the colour."""
    points = [(s, v) for _, _, line in lines for s, v in line if math.isfinite(v)]
    if not points:
        return None
    low, high, _ = span_of((v for _, v in points), log=log)
    first, last = min(s for s, _ in points), max(s for s, _ in points)
    frame = Frame(width, height, top=10)
    x = Axis(first, max(last, first + 1), frame.left, frame.right)
    y = Axis(low, high, frame.foot, frame.top, log)
    drawn = []
    for name, kind, line in lines:
        pixels = [(x(s), y(v)) for s, v in line if math.isfinite(v)]
        drawn.append(SmallLine(name, kind, _path(pixels), _dot(pixels)))
    return SmallChart(frame, _y_ticks(y, frame), _x_ticks(x, frame), drawn)


def spark(values: Sequence[float], *, width: int = 72, height: int = 18) -> Spark | None:
    """None below two finite values."""
    finite = [v for v in values if math.isfinite(v)]
    if len(finite) < 2:
        return None
    low, high = min(finite), max(finite)
    x, y = Axis(0, len(finite) - 1, 1, width - 1), Axis(low, high, height - 2, 2)
    return Spark(width, height, _path([(x(i), y(v)) for i, v in enumerate(finite)]))


def _path(points: Sequence[Pixel]) -> str:
    return "M" + "L".join(f"{px:.1f} {py:.1f}" for px, py in points) if points else ""


def _dot(points: Sequence[Pixel]) -> Pixel | None:
    return points[0] if len(points) == 1 else None


def _y_ticks(y: Axis, frame: Frame) -> Ticks:
    return [(y(value), label(value)) for value in y.ticks(max(3, frame.height // 45))]


def _x_ticks(x: Axis, frame: Frame) -> Ticks:
    return [(x(value), short_count(value)) for value in x.ticks(max(2, frame.width // 130))]


def _curve(of: Series, line: Sequence[tuple[int, float]], x: Axis, y: Axis, colour: str, *, band: bool) -> Curve:
    pixels = [(x(step), y(value)) for step, value in line]
    return Curve(
        key=of.key, branch=of.branch, abandoned=of.abandoned, colour=colour,
        path=_path(pixels), dot=_dot(pixels), last=line[-1] if line else None,
        band=_band(of, x, y) if band and of.key == TOTAL and not of.abandoned else "",
    )  # fmt: skip


def _band(of: Series, x: Axis, y: Axis) -> str:
    """Least to greatest value of every bucket, behind a smoothed line."""
    known = [(p.step, p.low, p.high) for p in of.points if p.low is not None and p.high is not None]
    if len(known) < 2:
        return ""
    upper = [(x(step), y(high)) for step, _, high in known]
    lower = [(x(step), y(low)) for step, low, _ in reversed(known)]
    return f"{_path(upper + lower)}Z"


def _rank(mark: Mark) -> int:
    return WEIGHT.index(mark.kind) if mark.kind in WEIGHT else len(WEIGHT)


def _marks(marks: Sequence[Mark], x: Axis) -> list[DrawnMark]:
    """The events as vertical lines; those too near to tell apart share one, with all their texts in the tooltip."""
    groups: list[list[Mark]] = []
    for mark in sorted(marks, key=lambda m: m.step):
        if not x.low <= mark.step <= x.high:
            continue
        if groups and x(mark.step) - x(groups[-1][0].step) < MARK_GAP:
            groups[-1].append(mark)
        else:
            groups.append([mark])
    drawn, free_from = [], 0.0
    chiefs = [min(group, key=_rank) for group in groups]
    for place, (group, chief) in enumerate(zip(groups, chiefs, strict=True)):
        at = x(chief.step)
        marks_shown = [chief, *(mark for mark in group if mark is not chief)]
        title = "\n".join(f"{m.step}: {m.text}" for m in marks_shown[:12]) + (
            f"\n… {len(group)}" if len(group) > 12 else ""
        )
        text = chief.text if chief.kind in ("edit", "rollback", "fault", "plateau") else ""
        room = len(text) * 6.2 + 16
        end = x(chiefs[place + 1].step) - 6 if place + 1 < len(chiefs) else x.at_high + 4
        fits = bool(text) and at > free_from and at + room < end
        if fits:
            free_from = at + room
        sign = SIGNS.get(chief.kind, "•")
        drawn.append(DrawnMark(kind=chief.kind, at=at, sign=sign, title=title, words=text if fits else ""))
    return drawn
