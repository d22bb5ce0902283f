"""Bars, as shares and places: loss weights over loss values, the peak activity on its scale, the averages of the streams."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vsrpp.config.schema import LossTerm
from vsrpp.formats import finite, number

DARK_INK, LIGHT_INK = "#0b0d10", "#ffffff"
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


@dataclass(frozen=True, slots=True)
class Segment:
    """One loss term in a bar."""

    term: str
    name: str
    """What people call it."""
    share: float
    label: str
    """Its share in percent, or its value."""
    colour: str
    ink: str
    """The colour of text on it."""


@dataclass(frozen=True, slots=True)
class StackedBar:
    """The shares of the terms in one bar."""

    segments: list[Segment]
    percent: bool
    """Whether the labels are percentages."""
    known: bool
    """False before there is any value."""


def stacked_bar(
    values: Mapping[str, float | None], terms: Sequence[LossTerm], language: str, *, percent: bool
) -> StackedBar:
    """The terms' shares of their sum, labelled with percentages or with the values themselves."""
    parts = shares({term.name: values.get(term.name) for term in terms})
    segments = [
        Segment(
            term.name, term.label_in(language), part,
            f"{part * 100:.0f}%" if percent else number(values.get(term.name), 4), term.colour, ink_on(term.colour),
        )
        for term, part in zip(terms, parts.values(), strict=True)
    ]  # fmt: skip
    return StackedBar(segments, percent, any(value is not None for value in values.values()))


def ink_on(colour: str) -> str:
    """Dark or light text, whichever has the greater contrast on a colour `#rrggbb` (WCAG 2)."""
    light = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in light)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return DARK_INK if luminance > 0.18 else LIGHT_INK


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


@dataclass(frozen=True, slots=True)
class Peak:
    """The most active layer on its scale."""

    layer: str
    value: str
    level: str
    """As `activity_level` names it."""
    at: float
    """Its place on the scale, in percent."""


def peak_bar(activity: Mapping[str, float]) -> Peak | None:
    """None without any layer."""
    peak = peak_of(activity)
    if peak is None:
        return None
    layer, value = peak
    at = 100.0 if not math.isfinite(value) else min(100.0, max(0.0, value / SCALE_TOP * 100))
    return Peak(layer, number(value, 3) if math.isfinite(value) else str(value), activity_level(value), at)


STREAMS = ("backward", "forward", "fusion")


def stream_names(activity: Mapping[str, float]) -> list[str]:
    """Those of STREAMS; in a network of a plug-in, the first parts of its layers' names."""
    found = sorted({name.split(".")[0] for name in activity})
    others = [name for name in found if name not in STREAMS]
    return [*(name for name in STREAMS if name in found), *others] if others else list(STREAMS)


def stream_averages(activity: Mapping[str, float]) -> dict[str, tuple[float | None, int]]:
    """(average, layer count) of each stream; the average leaves out what is not finite."""
    averages: dict[str, tuple[float | None, int]] = {}
    for stream in stream_names(activity):
        of_stream = [value for name, value in activity.items() if name.split(".")[0] == stream]
        good = [value for value in of_stream if math.isfinite(value)]
        averages[stream] = (math.fsum(good) / len(good) if good else None, len(of_stream))
    return averages


@dataclass(frozen=True, slots=True)
class StreamBar:
    """The average activity of one stream."""

    name: str
    average: float | None
    layers: int
    level: str
    width: float
    """In percent of the scale."""


def stream_bars(activity: Mapping[str, float]) -> list[StreamBar]:
    """One for each of `stream_names`."""
    bars = []
    for name, (average, layers) in stream_averages(activity).items():
        width = 0.0 if average is None else min(100.0, max(0.0, average / SCALE_TOP * 100))
        bars.append(StreamBar(name, average, layers, activity_level(average), width))
    return bars


def layer_order(activity: Mapping[str, float], by: str) -> list[tuple[str, float]]:
    """The layers by `value` (highest first) or by `layer` (stream, then number)."""

    def natural(item: tuple[str, float]) -> tuple[int, str, int]:
        stream, _, index = item[0].partition(".")
        place = STREAMS.index(stream) if stream in STREAMS else len(STREAMS)
        return place, stream, int(index) if index.isdigit() else 0

    if by == "value":
        return sorted(activity.items(), key=lambda i: (math.isfinite(i[1]), -i[1] if math.isfinite(i[1]) else 0.0))
    return sorted(activity.items(), key=natural)
