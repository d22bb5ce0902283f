"""Bars: loss weights over loss values, the peak activity on its gradient, the averages of the streams."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from vsrpp.formats import finite, number

from ..format import esc
from ..messages import Texts

TERM_COLOURS = {"l1": "#ef4444", "ms": "#f97316", "grad": "#a855f7", "perceptual": "#06b6d4"}
TERMS = tuple(TERM_COLOURS)
SCALE_TOP = 2.0
"""Where the activity bar ends: 2.0+."""


def shares(values: Mapping[str, float | None]) -> dict[str, float]:
    """Each value's part of their sum; what is missing, negative or not finite counts as nothing."""
    known = {term: max(0.0, finite(value) or 0.0) for term, value in values.items()}
    top = max(known.values(), default=0.0)
    if top <= 0:
        return dict.fromkeys(known, 0.0)
    scaled = {term: value / top for term, value in known.items()}  # a sum of huge values may overflow
    total = math.fsum(scaled.values())
    return {term: value / total for term, value in scaled.items()}


def stacked_bar(
    values: Mapping[str, float | None], *, percent: bool, title: str, hint: str, empty: str, t: Texts
) -> str:
    """One bar of the terms' shares. Labels are percentages, or the values themselves.

    A segment too thin for its label leaves it to the legend below, which always names every term.
    """
    parts = shares(values)
    labels = {term: f"{parts[term] * 100:.0f}%" if percent else number(values[term], 4) for term in values}
    names = {term: esc(t(f"term.{term}")) for term in values}
    if not any(parts.values()) and not any(value is not None for value in values.values()):
        body = f'<div class="stack empty">{esc(empty)}</div>'
        return f'<div class="bar"><h3>{esc(title)} <small>{esc(hint)}</small></h3>{body}</div>'
    segments = "".join(
        f'<div class="seg" data-term="{term}" style="width:{part * 100:.3f}%;background:{TERM_COLOURS[term]}" '
        f'title="{names[term]}: {labels[term]}"><span>{_inside(names[term], labels[term], percent)}</span></div>'
        for term, part in parts.items()
        if part > 0
    )
    legend = "".join(
        f'<li class="{"" if parts[term] > 0 else "off"}"><i style="background:{TERM_COLOURS[term]}"></i>'
        f"{names[term]} <b>{labels[term]}</b></li>"
        for term in values
    )
    spoken = ", ".join(f"{names[term]} {labels[term]}" for term in values)
    return (
        f'<div class="bar"><h3>{esc(title)} <small>{esc(hint)}</small></h3>'
        f'<div class="stack" role="img" aria-label="{esc(title)}: {spoken}">{segments}</div>'
        f'<ul class="legend">{legend}</ul></div>'
    )


def _inside(name: str, text: str, percent: bool) -> str:
    return f"{name}: {text}" if percent else text


def activity_level(value: float | None) -> str:
    """low, moderate, high, unusual (over 1.5) or extreme (over 2.0, or not finite)."""
    if value is None:
        return "low"
    if not math.isfinite(value) or value > 2.0:
        return "extreme"
    if value > 1.5:
        return "unusual"
    return "high" if value > 1.0 else "moderate" if value > 0.5 else "low"


def peak_of(activity: Mapping[str, float]) -> tuple[str, float] | None:
    """The layer with the highest activity; one that is not finite comes before all others."""
    if not activity:
        return None
    return max(activity.items(), key=lambda item: math.inf if not math.isfinite(item[1]) else item[1])


def peak_bar(activity: Mapping[str, float], words: Mapping[str, str]) -> str:
    """The gradient bar with its indicator, the layer's name, the value and a word for the level."""
    peak = peak_of(activity)
    if peak is None:
        return f'<p class="hint">{esc(words["no_activity"])}</p>'
    layer, value = peak
    level = activity_level(value)
    at = 100.0 if not math.isfinite(value) else min(100.0, max(0.0, value / SCALE_TOP * 100))
    side = "right" if at > 60 else "left"
    sign = {"unusual": "⚠ ", "extreme": "🔴 "}.get(level, "")
    readout = number(value, 3) if math.isfinite(value) else str(value)
    ticks = "".join(f'<span style="left:{place * 25}%">{text}</span>' for place, text in enumerate(_TICKS))
    return (
        f'<div class="peak {level}"><p class="peak-word"><b>{esc(layer)}</b> '
        f"<output>{readout}</output> <em>{sign}{esc(words[f'level.{level}'])}</em></p>"
        f'<div class="gradient" role="meter" aria-valuemin="0" aria-valuemax="2" aria-valuenow="{at / 50:.3f}" '
        f'aria-valuetext="{esc(layer)} {readout}, {esc(words[f"level.{level}"])}" '
        f'aria-label="{esc(words["peak_activity"])}">'
        f'<div class="indicator {side}" style="left:{at:.2f}%"><span>{readout}</span></div></div>'
        f'<div class="ticks">{ticks}</div></div>'
    )


_TICKS = ("0.0", "0.5", "1.0", "1.5", "2.0+")
STREAMS = ("backward", "forward", "fusion")
STREAM_SIGNS = {"backward": "⬅", "forward": "➡", "fusion": "⊕"}


def stream_averages(activity: Mapping[str, float]) -> dict[str, tuple[float | None, int]]:
    """(average, layer count) of backward, forward and fusion; the average leaves out what is not finite."""
    averages: dict[str, tuple[float | None, int]] = {}
    for stream in STREAMS:
        of_stream = [value for name, value in activity.items() if name.split(".")[0] == stream]
        good = [value for value in of_stream if math.isfinite(value)]
        averages[stream] = (math.fsum(good) / len(good) if good else None, len(of_stream))
    return averages


def stream_bars(activity: Mapping[str, float], words: Mapping[str, str], layer_count: Sequence[str]) -> str:
    """The three averages; `layer_count` are the texts "16 layers" in the order of STREAMS."""
    rows = []
    for stream, counted in zip(STREAMS, layer_count, strict=True):
        average, _ = stream_averages(activity)[stream]
        width = 0.0 if average is None else min(100.0, max(0.0, average / SCALE_TOP * 100))
        rows.append(
            f'<li><span class="name">{STREAM_SIGNS[stream]} {esc(words[stream])}</span>'
            f'<span class="track"><i class="{activity_level(average)}" style="width:{width:.2f}%"></i></span>'
            f"<output>{number(average, 3)}</output><small>{esc(counted)}</small></li>"
        )
    return f'<ul class="streams">{"".join(rows)}</ul>'


def layer_order(activity: Mapping[str, float], by: str) -> list[tuple[str, float]]:
    """The layers by `value` (highest first) or by `layer` (stream, then number)."""

    def natural(item: tuple[str, float]) -> tuple[int, str, int]:
        stream, _, index = item[0].partition(".")
        place = STREAMS.index(stream) if stream in STREAMS else len(STREAMS)
        return place, stream, int(index) if index.isdigit() else 0

    if by == "value":
        return sorted(activity.items(), key=lambda i: (math.isfinite(i[1]), -i[1] if math.isfinite(i[1]) else 0.0))
    return sorted(activity.items(), key=natural)
