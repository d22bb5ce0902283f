"""Small pictures that Textual has no widget for: activity scale, stacked bars, area charts. Pure: numbers in, lines out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from vsrpp.formats import finite
from vsrpp.tui.lines import Line, Span

EIGHTHS = "▁▂▃▄▅▆▇█"
FILLS = "█▓▒░"
"""The parts of a bar, told apart without colour too; a fifth part begins again."""
ACTIVITY_TOP = 2.0
"""Where the activity scale ends: 2.0+."""
_LEVELS = ((0.5, "low", "good"), (1.0, "moderate", "info"), (1.5, "high", "warn"), (2.0, "unusual", "bad"))
NEAR = 0.8
"""From this part of a limit on, a figure is coloured."""

Value = float | None


def _resampled(values: Sequence[Value], width: int) -> list[Value]:
    """At most `width` values: means of neighbours."""
    count = len(values)
    if count <= width:
        return list(values)
    groups = (values[i * count // width : (i + 1) * count // width] for i in range(width))
    return [_mean([v for v in group if v is not None]) for group in groups]


def _mean(values: Sequence[float]) -> Value:
    return math.fsum(values) / len(values) if values else None


def limit_style(part: float | None, *, near: float = NEAR) -> str:
    """The colour of a figure that stands at `part` of its limit: yellow before it is reached, red from there on."""
    if part is None:
        return ""
    if not math.isfinite(part) or part >= 1.0:
        return "bad"
    return "warn" if part >= near else ""


# ---- activity
def activity_level(value: float) -> tuple[str, str]:
    """(level, style): low, moderate, high, unusual, or extreme above 2.0 and for what is not finite."""
    if math.isfinite(value):
        for top, level, style in _LEVELS:
            if value <= top:
                return level, style
    return "extreme", "bad"


def peak_of(activity: Mapping[str, float]) -> tuple[str, float] | None:
    """The layer with the highest activity; one that is not finite comes before all others."""
    if not activity:
        return None
    return max(activity.items(), key=lambda item: item[1] if math.isfinite(item[1]) else math.inf)


def activity_bar(value: float | None, width: int) -> Line:
    """The scale from 0 to 2.0+, each cell in the colour of its range, filled up to the value."""
    full = 0 if value is None else _cells(value, width)
    spans: Line = []
    for cell in range(width):
        style = activity_level((cell + 0.5) / width * ACTIVITY_TOP)[1]
        spans.append(("█" if cell < full else "░", style if cell < full else f"{style} dim"))
    return merged(spans)


def _cells(value: float, width: int) -> int:
    part = value / ACTIVITY_TOP if math.isfinite(value) else 1.0
    return max(0, min(width, math.ceil(part * width)))


def activity_marker(value: float, width: int) -> Line:
    """The marker below the bar, at the value."""
    return [(" " * max(0, _cells(value, width) - 1), ""), ("▼", activity_level(value)[1])]


def activity_scale(width: int) -> str:
    """`0.0  0.5  1.0  1.5  2.0+` under the places where they belong."""
    row = [" "] * width
    for place, label in enumerate(("0.0", "0.5", "1.0", "1.5", "2.0+")):
        start = min(round(place / 4 * width), width - len(label))
        row[start : start + len(label)] = label
    return "".join(row)[:width]


# ---- stacked bars
def shares(values: Mapping[str, float | None]) -> dict[str, float]:
    """Each value's part of their sum; what is missing, negative or not finite counts as nothing."""
    weights = {term: max(0.0, finite(value) or 0.0) for term, value in values.items()}
    top = max(weights.values(), default=0.0)
    if top <= 0:
        return dict.fromkeys(weights, 0.0)
    total = math.fsum(value / top for value in weights.values())
    return {term: value / top / total for term, value in weights.items()}


def fill(place: int) -> str:
    """The fill of the part at this place, from 0."""
    return FILLS[place % len(FILLS)]


def stacked(values: Mapping[str, float | None], styles: Mapping[str, str], width: int) -> Line:
    """One bar of the parts' shares, each in its style and its own fill."""
    parts = shares(values)
    if not any(parts.values()):
        return [("░" * width, "dim")]
    ends = [0.0]
    for part in parts.values():
        ends.append(ends[-1] + part)
    cells = [round(end * width) for end in ends]
    bar = [(fill(i) * (cells[i + 1] - cells[i]), styles[name]) for i, name in enumerate(parts)]
    return [span for span in bar if span[0]]


# ---- charts
def area(
    values: Sequence[Value], width: int, height: int, style: str = "", left: Sequence[Value] = (),
    scaled_with: Sequence[Value] = (),
) -> tuple[list[Line], float, float, bool]:  # fmt: skip
    """A chart of `height` rows; also its least and greatest value, and whether it is drawn on a logarithmic scale.

    `left`, as long as `values`, is what a turn left behind: drawn faintly where the present line leaves room. The scale
    holds `scaled_with` too, so that two charts can be compared; it is linear then.
    """
    points, faint = _stretched(values, width), _stretched(left, width)
    known = [value for value in (*points, *faint, *scaled_with) if value is not None]
    if not known:
        return [[(" " * width, "")] for _ in range(height)], 0.0, 0.0, False
    low, high = min(known), max(known)
    log = not scaled_with and low > 0 and high / low > 20
    levels, behind = ([None if v is None else _level(v, low, high, height, log) for v in of] for of in (points, faint))
    rows: list[Line] = []
    for row in range(height - 1, -1, -1):
        signs = [" " if n is None else _cell(n, row) for n in levels]
        ghosts = [" " if n is None else _cell(n, row) for n in behind] or [" "] * len(signs)
        cells = [(g, "dim") if s == " " and g != " " else (s, style) for s, g in zip(signs, ghosts, strict=True)]
        rows.append(merged(cells))
    return rows, low, high, log


def _stretched(values: Sequence[Value], width: int) -> list[Value]:
    """Exactly `width` values, where there is one: few values are each as wide as it takes to fill the chart."""
    points = _resampled(values, width)
    return [points[cell * len(points) // width] for cell in range(width)] if points else []


def _level(value: float, low: float, high: float, height: int, log: bool) -> int:
    """Eighths of a row from the bottom, at least one."""
    if high <= low:
        return height * 4
    part = math.log(value / low) / math.log(high / low) if log else (value - low) / (high - low)
    return 1 + round(part * (height * 8 - 1))


def _cell(eighths: int, row: int) -> str:
    inside = eighths - row * 8
    return " " if inside <= 0 else EIGHTHS[min(8, inside) - 1]


def merged(spans: Sequence[Span]) -> Line:
    """Neighbours of one style as one span."""
    joined: Line = []
    for text, style in spans:
        if joined and joined[-1][1] == style:
            joined[-1] = (joined[-1][0] + text, style)
        else:
            joined.append((text, style))
    return joined
