"""Figures drawn with characters, lines cut and padded, and text for ASCII-only terminals."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.geometry import Region

from tests.support.tui_fakes import half_way
from vsrpp import config
from vsrpp.tui import drafts
from vsrpp.tui.drawing import (
    activity_bar,
    activity_level,
    activity_marker,
    activity_scale,
    area,
    limit_style,
    peak_of,
    shares,
    stacked,
)
from vsrpp.tui.lines import cut, ends, fit, length, line, text_of
from vsrpp.tui.pages.views import slope
from vsrpp.tui.run_watcher import SnapshotReader
from vsrpp.tui.terminal import plain, speaks_unicode
from vsrpp.tui.widgets import Canvas, TerminalFilter, changed_cells, finite_values


@pytest.mark.parametrize(
    ("value", "level", "style"),
    [
        (0.0, "low", "good"), (0.5, "low", "good"), (0.51, "moderate", "info"), (0.702, "moderate", "info"),
        (1.0, "moderate", "info"), (1.2, "high", "warn"), (1.6, "unusual", "bad"), (2.1, "extreme", "bad"),
        (math.nan, "extreme", "bad"), (math.inf, "extreme", "bad"),
    ],
)  # fmt: skip
def test_activity_has_the_levels_and_colours_of_the_brief(value: float, level: str, style: str) -> None:
    assert activity_level(value) == (level, style)


def test_the_activity_bar_is_coloured_by_range_and_marked_at_the_value() -> None:
    bar = activity_bar(0.702, 40)
    assert text_of(bar) == "█" * 15 + "░" * 25
    assert [style for _, style in bar] == ["good", "info", "info dim", "warn dim", "bad dim"]
    assert text_of(activity_marker(0.702, 40)) == " " * 14 + "▼"
    assert activity_scale(40).split() == ["0.0", "0.5", "1.0", "1.5", "2.0+"]


@pytest.mark.parametrize("value", [-1.0, 0.0, 2.0, 99.0, math.nan, math.inf])
def test_the_activity_bar_never_leaves_its_width(value: float) -> None:
    assert length(activity_bar(value, 20)) == 20
    assert length(activity_marker(value, 20)) <= 20


def test_the_peak_is_a_number_chosen_by_value_not_by_name() -> None:
    layer, value = peak_of({"backward.0": 1.7, "forward.9": 0.2}) or ("", 0.0)
    assert (layer, value / 2.0) == ("backward.0", 0.85), "the brief's display took the largest tuple, and crashed on /"


def test_the_peak_is_the_highest_and_a_broken_value_comes_before_all() -> None:
    assert peak_of({"a": 0.2, "b": 0.9}) == ("b", 0.9)
    assert peak_of({"a": 0.2, "b": math.nan})[0] == "b"  # type: ignore[index]
    assert peak_of({}) is None


def test_a_course_leaves_out_what_is_not_finite() -> None:
    assert finite_values([None, 1.0, math.nan, math.inf, 2.0]) == (1.0, 2.0)
    assert finite_values([]) == ()


def test_two_charts_of_one_scale_can_be_compared() -> None:
    before, after = [1.0, 1.0, 1.0, 1.0], [4.0, 4.0, 4.0, 4.0]
    assert text_of(area(before, 4, 1, scaled_with=after)[0][0]) == "▁▁▁▁"
    assert text_of(area(after, 4, 1, scaled_with=before)[0][0]) == "████"


def test_stacked_bars_fill_their_width_exactly() -> None:
    values = {"l1": 0.6, "ms": 0.2, "grad": 0.2, "perceptual": 0.0}
    assert shares(values) == pytest.approx(values)
    styles = {name: f"#00000{place}" for place, name in enumerate(values)}
    drawn = [(len(text), style) for text, style in stacked(values, styles, 10)]
    assert drawn == [(6, "#000000"), (2, "#000001"), (2, "#000002")]
    assert length(stacked({"l1": math.nan, "ms": -1.0, "grad": None, "perceptual": None}, styles, 10)) == 10
    assert math.isclose(sum(shares({"l1": 1e308, "ms": 1e308}).values()), 1.0)


def test_a_chart_of_steep_values_is_drawn_on_a_log_scale() -> None:
    rows, low, high, log = area([1.0, 0.1, 0.01], 6, 4)
    assert (len(rows), low, high, log) == (4, 0.01, 1.0, True)
    assert all(length(row) == 6 for row in rows)
    assert area([], 6, 2)[1:] == (0.0, 0.0, False)


def test_lines_are_cut_and_padded_by_cells() -> None:
    assert text_of(fit(line("abc"), 5)) == "abc  "
    assert text_of(fit(line("ab", ("cdef", "dim")), 4)) == "abc…"
    assert length(fit(line("🔥🔥🔥"), 4)) == 4
    assert text_of(fit(line("abc"), 0)) == ""
    assert cut("abcdef", 4) == "abc…"
    assert text_of(ends(line("left"), line("right"), 12)) == "left   right"
    assert text_of(ends(line("left"), line("right"), 3)) == "ri…"


def test_only_the_rows_that_differ_are_repainted() -> None:
    repainted: list[tuple[Region, ...]] = []

    class Recorded(Canvas):
        def refresh(self, *regions: Region, **options: Any) -> Recorded:
            repainted.append(regions)
            return self

    canvas = Recorded()
    canvas.show([line("VSR++"), line("step 1230"), line("r1")])
    repainted.clear()
    canvas.show([line("VSR++"), line("step 1231"), line("r1")])
    canvas.show(canvas.lines)
    assert [region.y for regions in repainted for region in regions] == [1]


@pytest.mark.parametrize(
    ("before", "after", "cells"),
    [("VSR++ 1230 x", "VSR++ 1231 x", 10), ("ab", "cd", 2), ("🔥 a", "🔥 b", 4), ("abc", "a", 3)],
)
def test_a_row_is_repainted_up_to_its_last_cell_that_differs(before: str, after: str, cells: int) -> None:
    assert changed_cells(line(before), line(after), 20) == cells


def test_what_goes_to_the_terminal_is_joined_and_in_ascii_where_it_must_be() -> None:
    green, red = Style(color="green"), Style(color="red")
    bars = [Segment("▁", green), Segment("▂", green), Segment("━╸", red)]
    black = Color(0, 0, 0)
    assert TerminalFilter(unicode=True).apply(bars, black) == [Segment("▁▂", green), Segment("━╸", red)]
    assert TerminalFilter(unicode=False).apply(bars, black) == [Segment("_.", green), Segment("=-", red)]


@pytest.mark.parametrize(
    ("environ", "unicode"),
    [
        ({}, True), ({"LANG": "C"}, False), ({"LANG": "POSIX"}, False), ({"LANG": "de_DE.UTF-8"}, True),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, False), ({"LC_CTYPE": "C.UTF-8"}, True),
        ({"LC_ALL": "C", "LANG": "de_DE.UTF-8"}, False), ({"LANG": "de_DE.ISO-8859-1"}, False),
        ({"LANG": "C.UTF-8", "TERM": "linux"}, False), ({"LANG": "C.UTF-8", "VSRPP_ASCII": "1"}, False),
    ],
)  # fmt: skip
def test_the_locale_and_the_terminal_say_whether_there_is_unicode(environ: dict[str, str], unicode: bool) -> None:
    assert speaks_unicode(environ) is unicode


def test_ascii_stand_ins_keep_every_cell_in_its_place() -> None:
    text = "🔥 PEAK ▁▂▃▄▅▆▇█░ → ×4 – … ★ ‖ Größe 日本 é"
    assert plain(text).isascii()
    assert cell_len(plain(text)) == cell_len(text)


@pytest.mark.parametrize(("part", "style"), [(0.5, ""), (0.8, "warn"), (0.99, "warn"), (1.0, "bad"), (math.nan, "bad")])
def test_a_figure_is_coloured_before_it_reaches_its_limit(part: float, style: str) -> None:
    assert limit_style(part) == style


@pytest.mark.parametrize(
    ("key", "value", "limit"),
    [
        ("max_lr", 1e-4, None), ("max_lr", 9.5e-4, 1e-3), ("max_lr", 1.1e-5, 1e-5), ("plateau_patience", 990, 1000),
        ("plateau_patience", 400, None), ("max_lr", 1.0, None), ("adaptive", True, None),
    ],
)  # fmt: skip
def test_a_value_close_to_the_end_of_its_range_is_noticed(key: str, value: object, limit: float | None) -> None:
    assert drafts.near_limit(config.parameters()[key], value) == limit


@pytest.mark.parametrize(
    ("total", "style"), [(1.0, "good"), (0.955, "warn"), (1.05, "warn"), (1.06, "bad"), (0.94, "bad"), (None, "bad")]
)
def test_the_sum_of_the_weights_is_coloured_before_it_is_refused(total: float | None, style: str) -> None:
    rule = drafts.sum_rule("l1_weight")
    assert rule is not None and drafts.sum_style(total, rule) == style


def test_balancing_keeps_one_weight_and_makes_the_sum_one() -> None:
    found = drafts.balanced({"a": 0.7, "b": 0.2, "c": 0.1, "d": 0.0}, "a")
    assert found["a"] == 0.7 and found["d"] == 0.0
    assert math.isclose(sum(found.values()), 1.0)
    assert drafts.balanced({"a": 1.0, "b": 0.0}, "a") == {"a": 1.0, "b": 0.0}


def test_a_trend_is_the_newest_quarter_against_the_oldest() -> None:
    assert slope([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.5, 1.5]) == pytest.approx(0.5)
    assert math.isnan(slope([1.0]))


def test_what_a_turn_left_behind_is_drawn_faintly_where_the_present_line_leaves_room() -> None:
    rows, low, high, _ = area([1.0, 2.0, 2.0, None], 4, 2, "good", [None, None, 4.0, 4.0])
    assert (low, high) == (1.0, 4.0)
    assert [style for _, style in rows[0]][-1] == "dim"
    assert text_of(rows[0]).rstrip() == "  ██"
    assert rows[1][-1][1] == "dim"
    assert all(style != "dim" for row in area([1.0, 2.0], 4, 2, "good")[0] for _, style in row)


def test_the_watcher_lays_the_abandoned_branch_beside_the_present_line(tmp_path: Path) -> None:
    run = half_way(tmp_path / "run")
    run.event("rolled_back", {"to_step": 600, "to_seq": 1, "from_branch": 0, "changes": []}, branch=1)
    for step in range(610, 811, 10):
        run.writer.record(step, 1, {"loss/total": 0.5})
    reading = SnapshotReader(run.paths)
    seen = reading.look(curves=True)
    now, left = seen.curves["loss/total"], seen.left_behind["loss/total"]
    assert len(now) == len(left)
    assert now[-1] is None, "the present line ends where it is"
    assert left[-1] is not None
    assert left[0] is None
    assert 0.5 in now
    assert reading.look().left_behind == {}
    reading.close()
    run.close()
