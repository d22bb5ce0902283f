"""Line charts over steps: the loss curves with their event marks, and small ones for rates and histories."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vsrpp.control.curves import Point, Series
from vsrpp.formats import number, short_count

from ..format import esc
from .axis import Axis, label, span_of

COLOURS = {
    "loss/total": "var(--ink)",
    "loss/l1": "#ef4444",
    "loss/ms": "#f97316",
    "loss/grad": "#a855f7",
    "loss/perceptual": "#06b6d4",
}
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 30, 26
MARK_GAP = 9.0
"""Marks nearer than this many pixels become one."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at a step, drawn as a vertical line with a sign."""

    step: int
    kind: str
    """edit, plateau, checkpoint, rollback or fault: the CSS class."""
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
    """The pieces of the run's present line as one series each; what was left behind stays apart."""
    whole: dict[str, Series] = {}
    for segment in sorted(series, key=lambda piece: piece.points[0].step if piece.points else 0):
        if not segment.abandoned:
            before = whole[segment.key].points if segment.key in whole else ()
            whole[segment.key] = Series(segment.key, segment.branch, False, (*before, *segment.points))
    return [segment for segment in series if segment.abandoned] + list(whole.values())


def loss_chart(
    series: Sequence[Series], marks: Sequence[Mark], *, width: int = 900, height: int = 320, smooth: float = 0.0,
    log: bool = False, names: dict[str, str] | None = None, from_step: int = 0, to_step: int | None = None,
    words: dict[str, str] | None = None,
) -> str:  # fmt: skip
    """The curves as one SVG. Abandoned branches are faint; a bucket with a value that is not finite gets a red foot."""
    names, words = names or {}, words or {}
    lines = [(curve, smoothed(curve.points, smooth)) for curve in joined(series)]
    steps = [point.step for curve in series for point in curve.points]
    if not steps:
        return ""
    low, high, cut = span_of((v for _, line in lines for _, v in line), log=log)
    first = from_step if from_step > 0 else min(0, *steps)
    last = max(to_step if to_step is not None else max(steps), first + 1)
    x = Axis(first, last, LEFT, width - RIGHT)
    y = Axis(low, high, height - BOTTOM, TOP, log)
    parts = [_grid(x, y, width, height)]
    parts += [_marks(marks, x, height)]
    for curve, line in sorted(lines, key=lambda pair: (not pair[0].abandoned, pair[0].key == "loss/total")):
        parts.append(_band(curve, x, y) if smooth > 0 and curve.key == "loss/total" and not curve.abandoned else "")
        parts.append(_line(curve, line, x, y, names.get(curve.key, curve.key)))
    parts += [_not_finite(series, x, height, words.get("not_finite", "not finite"))]
    if cut:
        parts.append(f'<text class="cut" x="{width - RIGHT}" y="{TOP - 6}" text-anchor="end">▲</text>')
    data = (
        f'data-x0="{first}" data-x1="{last}" data-px0="{LEFT}" data-px1="{width - RIGHT}" data-y0="{low:.9g}" '
        f'data-y1="{high:.9g}" data-py0="{height - BOTTOM}" data-py1="{TOP}" data-log="{int(log)}"'
    )
    return (
        f'<svg class="chart" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" tabindex="0" '
        f'aria-label="{esc(_spoken(lines, names))}" {data}>{"".join(parts)}<g class="cursor" data-keep=""></g></svg>'
    )


def line_chart(
    lines: Sequence[tuple[str, str, Sequence[tuple[float, float]]]], *, width: int = 560, height: int = 170,
    log: bool = False, spoken: str = "",
) -> str:  # fmt: skip
    """A small chart of (name, css class, [(step, value)]) lines; nothing to show gives an empty string."""
    points = [(s, v) for _, _, line in lines for s, v in line if math.isfinite(v)]
    if not points:
        return ""
    low, high, _ = span_of((v for _, v in points), log=log)
    first, last = min(s for s, _ in points), max(s for s, _ in points)
    x = Axis(first, max(last, first + 1), LEFT, width - RIGHT)
    y = Axis(low, high, height - BOTTOM, 10, log)
    parts = [_grid(x, y, width, height, top=10)]
    for name, css, line in lines:
        drawn = [(x(s), y(v)) for s, v in line if math.isfinite(v)]
        if len(drawn) == 1:
            parts.append(f'<circle class="{css}" cx="{drawn[0][0]:.1f}" cy="{drawn[0][1]:.1f}" r="3"/>')
        parts.append(f'<path class="line {css}" d="{_path(drawn)}"><title>{esc(name)}</title></path>')
    return (
        f'<svg class="chart small" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{esc(spoken)}">{"".join(parts)}</svg>'
    )


def spark(values: Sequence[float], *, width: int = 72, height: int = 18) -> str:
    """A trend without axes; empty below two finite values."""
    finite = [v for v in values if math.isfinite(v)]
    if len(finite) < 2:
        return ""
    low, high = min(finite), max(finite)
    x, y = Axis(0, len(finite) - 1, 1, width - 1), Axis(low, high, height - 2, 2)
    drawn = [(x(i), y(v)) for i, v in enumerate(finite)]
    return (
        f'<svg class="spark" viewBox="0 0 {width} {height}" width="{width}" height="{height}" aria-hidden="true">'
        f'<path d="{_path(drawn)}"/></svg>'
    )


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{px:.1f} {py:.1f}" for px, py in points) if points else ""


def _grid(x: Axis, y: Axis, width: int, height: int, *, top: int = TOP) -> str:
    parts = []
    for value in y.ticks(max(3, height // 45)):
        at = y(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{width - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{label(value)}</text>')
    for value in x.ticks(max(2, width // 130)):
        at = x(value)
        anchor = "end" if at > width - RIGHT - 16 else "middle"
        parts.append(
            f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{height - BOTTOM}" y2="{height - BOTTOM + 4}"/>'
        )
        parts.append(f'<text x="{at:.1f}" y="{height - 8}" text-anchor="{anchor}">{short_count(value)}</text>')
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{width - RIGHT}" y1="{height - BOTTOM}" y2="{height - BOTTOM}"/>')
    return "".join(parts)


def _line(curve: Series, line: Sequence[tuple[int, float]], x: Axis, y: Axis, name: str) -> str:
    colour = COLOURS.get(curve.key, "var(--accent)")
    faint = " faint" if curve.abandoned else ""
    strong = " strong" if curve.key == "loss/total" else ""
    drawn = [(x(step), y(value)) for step, value in line]
    if len(drawn) == 1:
        return (
            f'<circle class="{faint.strip()}" cx="{drawn[0][0]:.1f}" '
            f'cy="{drawn[0][1]:.1f}" r="3" style="fill:{colour}"/>'
        )
    return (
        f'<path class="line{strong}{faint}" data-name="{esc(name)}" data-branch="{curve.branch}" '
        f'd="{_path(drawn)}" style="stroke:{colour}"/>'
    )


def _band(curve: Series, x: Axis, y: Axis) -> str:
    """Least to greatest value of every bucket, behind a smoothed line."""
    known = [(p.step, p.low, p.high) for p in curve.points if p.low is not None and p.high is not None]
    if len(known) < 2:
        return ""
    upper = [(x(step), y(high)) for step, _, high in known]
    lower = [(x(step), y(low)) for step, low, _ in reversed(known)]
    return f'<path class="band" d="{_path(upper + lower)}Z"/>'


def _not_finite(series: Sequence[Series], x: Axis, height: int, word: str) -> str:
    steps = sorted({p.step for curve in series for p in curve.points if p.bad})
    return "".join(
        f'<path class="bad" d="M{x(step) - 4:.1f} {height - BOTTOM + 5}l4 -9l4 '
        f'9z"><title>{esc(word)}: {step}</title></path>'
        for step in steps[-50:]
    )


def _rank(mark: Mark) -> int:
    return WEIGHT.index(mark.kind) if mark.kind in WEIGHT else len(WEIGHT)


def _marks(marks: Sequence[Mark], x: Axis, height: int) -> str:
    """The events as vertical lines; those too near to tell apart share one, with all their texts in the tooltip."""
    groups: list[list[Mark]] = []
    for mark in sorted(marks, key=lambda m: m.step):
        if not x.low <= mark.step <= x.high:
            continue
        if groups and x(mark.step) - x(groups[-1][0].step) < MARK_GAP:
            groups[-1].append(mark)
        else:
            groups.append([mark])
    parts, free_from = [], 0.0
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
        parts.append(
            f'<g class="mark {esc(chief.kind)}"><title>{esc(title)}</title>'
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{TOP - 8}" y2="{height - BOTTOM}"/>'
            f'<text x="{at:.1f}" y="{TOP - 12}" text-anchor="middle">{SIGNS.get(chief.kind, "•")}</text>'
            + (f'<text class="words" x="{at + 9:.1f}" y="{TOP - 12}">{esc(text)}</text>' if fits else "")
            + "</g>"
        )
    return "".join(parts)


def _spoken(lines: Sequence[tuple[Series, Sequence[tuple[int, float]]]], names: dict[str, str]) -> str:
    ends = [
        f"{names.get(curve.key, curve.key)} {number(line[-1][1], 4)} ({line[-1][0]})"
        for curve, line in lines
        if line and not curve.abandoned
    ]
    return "; ".join(ends)
