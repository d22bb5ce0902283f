"""What the charts show in each state: full, empty, not a number, huge."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vsrpp_ui.charts import axis, bars, lines
from vsrpp_ui.markup import piece, render
from vsrpp_ui.messages import texts

from vsrpp.config.schema import loss_terms
from vsrpp.control.curves import Point, Series

EN = texts("en")
EXTREME = [0.0, -0.0, 1e-300, 1e300, -1e300, math.nan, math.inf, -math.inf, 1.7976931348623157e308]


def bar_drawn(values: Mapping[str, float | None], *, percent: bool) -> str:
    bar = bars.stacked_bar(values, loss_terms(), "en", percent=percent)
    return render(piece("bars", weights=bar, losses=bar), EN)


def peak_drawn(activity: Mapping[str, float]) -> str:
    return render(piece("peak", peak=bars.peak_bar(activity)), EN)


def chart_drawn(chart: lines.LossChart | None) -> str:
    """The SVG of the losses chart on the monitoring page."""
    losses = piece(
        "losses", chart=chart, names={}, present=[], colours={}, abandoned=False, complete=True, log_every=10
    )
    return re.search(r"<svg.*</svg>", render(losses, EN), re.DOTALL)[0]  # type: ignore[index]


def point(step: int, value: float) -> Point:
    good = math.isfinite(value)
    return Point(step, *((value,) * 4 if good else (None,) * 4), rows=1, bad=int(not good))


def series(values: list[float], key: str = "loss/total", *, abandoned: bool = False) -> Series:
    return Series(key, 0, abandoned, tuple(point(step, value) for step, value in enumerate(values)))


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours by WCAG 2."""
    light = sorted(map(luminance, (one, other)))
    return (light[1] + 0.05) / (light[0] + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def numbers_in(markup: str) -> list[float]:
    return [float(n) for n in re.findall(r"-?\d+\.?\d*(?:e[+-]?\d+)?", " ".join(re.findall(r' d="([^"]*)"', markup)))]


def test_the_colours_are_exactly_those_asked_for() -> None:
    bar = bars.stacked_bar({"l1": 1.0}, loss_terms(), "de", percent=True)
    assert [(one.name, one.colour, one.ink) for one in bar.segments] == [
        ("L1", "#ef4444", bars.DARK_INK), ("MS", "#f97316", bars.DARK_INK), ("Grad", "#a855f7", bars.DARK_INK),
        ("Perzeptuell", "#06b6d4", bars.DARK_INK),
    ]  # fmt: skip


@given(st.integers(0, 0xFFFFFF))
def test_the_label_of_a_segment_can_be_read_on_any_colour(number: int) -> None:
    colour = f"#{number:06x}"
    assert contrast(bars.ink_on(colour), colour) >= 4.4


def test_a_weight_bar_is_labelled_in_percent_and_a_loss_bar_with_absolute_values() -> None:
    weights = bar_drawn({"l1": 0.6, "ms": 0.2, "grad": 0.2, "perceptual": 0.0}, percent=True)
    assert "L1: 60%" in weights and "width:60.000%" in weights and "MS: 20%" in weights
    losses = bar_drawn({"l1": 0.0122, "ms": 0.0056, "grad": 0.0044, "perceptual": None}, percent=False)
    assert "0.0122" in losses and "width:54.955%" in losses and "Perceptual <b>–</b>" in losses


def test_a_thin_segment_keeps_its_label_in_the_legend() -> None:
    markup = bar_drawn({"l1": 0.98, "ms": 0.01, "grad": 0.01, "perceptual": 0.0}, percent=True)
    assert markup.count("<li") == 2 * 4 and "MS <b>1%</b>" in markup  # two bars are drawn, weights and losses


@pytest.mark.parametrize("value", [None, *EXTREME])
def test_no_value_breaks_a_bar(value: float | None) -> None:
    found = bars.shares({"l1": value, "ms": 0.5, "grad": value})
    assert all(0 <= share <= 1 for share in found.values())
    for percent in (True, False):
        assert "MS" in bar_drawn({"l1": value, "ms": 1e308, "grad": 1e308}, percent=percent)


def test_a_bar_without_values_says_so() -> None:
    assert EN("no_values") in bar_drawn({}, percent=False)


@pytest.mark.parametrize(
    ("value", "level"),
    [(0.0, "low"), (0.5, "low"), (0.7, "moderate"), (1.2, "high"), (1.5, "high"), (1.51, "unusual"), (2.0, "unusual"),
     (2.01, "extreme"), (math.nan, "extreme"), (math.inf, "extreme"), (None, "low")],
)  # fmt: skip
def test_activity_levels(value: float | None, level: str) -> None:
    assert bars.activity_level(value) == level


def test_the_peak_bar_names_the_layer_and_stays_inside_its_scale() -> None:
    markup = peak_drawn({"backward.0": 0.4, "forward.1": 7.5})
    assert "forward.1" in markup and "left:100.00%" in markup and "extreme" in markup
    for tick in ("0.0", "0.5", "1.0", "1.5", "2.0+"):
        assert f">{tick}<" in markup
    assert "left:35.10%" in peak_drawn({"backward.2": 0.702})
    assert EN("no_activity") in peak_drawn({})
    assert "backward.0" in peak_drawn({"backward.0": 1.7, "forward.9": 0.2}), "by value, not by name"


def test_a_layer_that_is_not_finite_is_the_peak() -> None:
    assert bars.peak_of({"backward.0": 9.0, "forward.0": math.nan}) == (
        "forward.0",
        pytest.approx(math.nan, nan_ok=True),
    )


def test_stream_averages_count_layers_and_leave_out_what_is_not_finite() -> None:
    activity = {"backward.0": 0.5, "backward.1": 1.5, "forward.0": math.nan, "fusion.0": 0.2}
    assert bars.stream_averages(activity) == {"backward": (1.0, 2), "forward": (None, 1), "fusion": (0.2, 1)}
    assert [(bar.average, bar.width) for bar in bars.stream_bars(activity)] == [(1.0, 50.0), (None, 0.0), (0.2, 10.0)]


def test_layers_sort_by_number_not_by_letter() -> None:
    activity = {"backward.10": 0.1, "backward.9": 0.9, "fusion.0": 0.5}
    assert [name for name, _ in bars.layer_order(activity, "layer")] == ["backward.9", "backward.10", "fusion.0"]
    assert [name for name, _ in bars.layer_order(activity, "value")] == ["backward.9", "fusion.0", "backward.10"]


def test_no_points_draw_no_chart() -> None:
    assert lines.loss_chart([], [], {}) is None
    assert lines.line_chart([("a", "b", [])]) is None and lines.spark([math.nan]) is None


@pytest.mark.parametrize("log", [False, True])
@given(values=st.lists(st.one_of(st.sampled_from(EXTREME), st.floats()), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_whatever_the_losses_are_the_chart_is_well_formed_and_inside_its_frame(log: bool, values: list[float]) -> None:
    mark = lines.Mark(1, "edit", "<b> & more")
    drawn = chart_drawn(lines.loss_chart([series(values)], [mark], {}, log=log, width=600, height=300))
    ET.fromstring(drawn)
    assert "nan" not in " ".join(re.findall(r' (?:d|x|y|x1|y1)="([^"]*)"', drawn))
    assert all(-12 <= n <= 610 for n in numbers_in(drawn))


def test_a_value_that_is_not_finite_gets_a_mark_of_its_own() -> None:
    drawn = chart_drawn(lines.loss_chart([series([1.0, math.nan, 0.5])], [], {}))
    assert 'class="bad"' in drawn and f"{EN('not_finite')}: 1" in drawn


def test_an_abandoned_branch_is_faint_and_the_present_line_is_one_piece() -> None:
    before = Series("loss/total", 0, False, (point(0, 1.0), point(10, 0.8)))
    left = Series("loss/total", 0, True, (point(20, 0.9), point(30, 0.9)))
    after = Series("loss/total", 1, False, (point(20, 0.7),))
    drawn = chart_drawn(lines.loss_chart([before, left, after], [], {}))
    assert drawn.count("faint") == 1 and drawn.count('class="line strong"') == 1


def test_marks_too_near_to_tell_apart_become_one_with_all_their_texts() -> None:
    marks = [lines.Mark(step, "checkpoint", f"checkpoint {step}") for step in range(50) for _ in range(3)] + [
        lines.Mark(25, "edit", "max_lr")
    ]
    drawn = chart_drawn(lines.loss_chart([series([1.0] * 1000)], marks, {}, width=900))
    assert drawn.count('<g class="mark') < 12 and "max_lr" in drawn and "… " in drawn


def test_one_explosion_does_not_flatten_the_rest() -> None:
    low, high, cut = axis.span_of([1.0] * 99 + [1e9])
    assert cut and high < 2 and low <= 1


@given(low=st.floats(-1e12, 1e12), high=st.floats(-1e12, 1e12))
def test_ticks_are_few_and_inside(low: float, high: float) -> None:
    found = axis.linear_ticks(low, high)
    assert 1 <= len(found) <= 20
    slack = abs(high - low) * 1e-6 + 1e-9
    assert all(low - slack <= t <= high + slack for t in found) or high <= low


def test_smoothing_does_not_pull_the_start_towards_zero() -> None:
    points = [point(step, 5.0) for step in range(10)]
    assert all(value == pytest.approx(5.0) for _, value in lines.smoothed(points, 0.9))
