"""The widgets of the terminal UI: Textual's DataTable, Sparkline, ProgressBar and Footer in the terminal's own colours.

`Canvas` shows lines of text. What Textual has no widget for is drawn in `drawing`: the activity scale and the stacked bars (a
ProgressBar has one part and one colour) and the charts (a Sparkline has no gaps, no log scale, no second course).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile, zip_longest
from statistics import fmean
from typing import Any

from rich.cells import cell_len
from rich.console import RenderableType
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import ActiveBinding
from textual.clock import Clock
from textual.color import Color
from textual.filter import LineFilter
from textual.geometry import Region, Size
from textual.renderables.sparkline import Sparkline as Sparks
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import DataTable, Footer, ProgressBar, Sparkline

from vsrpp.formats import count
from vsrpp.safe_text import printable
from vsrpp.tui.lines import Line, fit, length
from vsrpp.tui.messages import TerminalTexts
from vsrpp.tui.terminal import plain

KEY_GAP = 2
PADDING = 2
"""What a table adds to the width of each column."""
COURSE_COLOURS = {"total": "#808080", "info": "#06b6d4", "dim": "#808080"}
"""A Sparkline needs a colour it can mix, so none of the terminal's own sixteen."""
STYLES = {
    "": Style(), "title": Style(bold=True), "bold": Style(bold=True), "dim": Style(dim=True),
    "good": Style(color="green"), "info": Style(color="cyan"), "warn": Style(color="yellow"), "bad": Style(color="red"),
    "good dim": Style(color="green", dim=True), "info dim": Style(color="cyan", dim=True),
    "warn dim": Style(color="yellow", dim=True), "bad dim": Style(color="red", dim=True),
    "good bold": Style(color="green", bold=True), "info bold": Style(color="cyan", bold=True),
    "warn bold": Style(color="yellow", bold=True), "bad bold": Style(color="red", bold=True),
    "key": Style(bold=True, color="cyan"), "brand": Style(bold=True, color="cyan"), "total": Style(bold=True),
}  # fmt: skip
"""Every look with a name. Severity never rests on colour alone: a word or a sign goes with it."""


@lru_cache(maxsize=256)
def look(style: str) -> Style:
    """The look of a style: a name of STYLES, or the `#rrggbb` of a loss term."""
    return Style(color=style) if style.startswith("#") else STYLES[style]


class TerminalFilter(LineFilter):
    """The last step before the terminal: neighbours of one style as one, and ASCII where there is no Unicode."""

    def __init__(self, *, unicode: bool) -> None:
        super().__init__()
        self._unicode = unicode

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        joined = list(Segment.simplify(segments))
        return joined if self._unicode else [Segment(plain(text), style, control) for text, style, control in joined]


class Canvas(Widget):
    """Lines from the top, without scrolling. `show` replaces them and repaints the rows that differ."""

    DEFAULT_CSS = "Canvas { width: 1fr; height: auto; background: ansi_default; color: ansi_default; }"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._lines: list[Line] = []

    @property
    def lines(self) -> list[Line]:
        return self._lines

    def show(self, lines: Sequence[Line]) -> None:
        old, self._lines = self._lines, [[(printable(text), style) for text, style in spans] for spans in lines]
        if self._shape(old) != self._shape(self._lines):
            self.refresh(layout=True)
            return
        width = self.size.width
        rows: Iterable[tuple[Line, Line]] = zip_longest(old, self._lines, fillvalue=[])
        changed = [Region(0, y, changed_cells(*row, width), 1) for y, row in enumerate(rows) if row[0] != row[1]]
        if changed:
            self.refresh(*changed)

    def _shape(self, lines: Sequence[Line]) -> tuple[int, int]:
        """What the widget's size depends on."""
        auto_width, auto_height = self.styles.is_auto_width, self.styles.is_auto_height
        return max(map(length, lines), default=0) if auto_width else 0, len(lines) if auto_height else 0

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._lines)

    def get_content_width(self, container: Size, viewport: Size) -> int:
        return max(map(length, self._lines), default=0)

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        spans = fit(self._lines[y] if y < len(self._lines) else [], width)
        return Strip([Segment(text, look(style)) for text, style in spans], width)


def changed_cells(before: Line, after: Line, width: int) -> int:
    """Cells from the start of a row to its last one that differs: Textual sends a row from its widget's start on."""
    old, new = ([(sign, style) for text, style in fit(row, width) for sign in text] for row in (before, after))
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(reversed(old), reversed(new), strict=False)))
    return width - sum(cell_len(sign) for sign, _ in new[len(new) - same :])


class Gauge(ProgressBar):
    """A bar filled to a part of 0 to 1, in the colour of a style. Its clock stands still: an ETA would repaint it each second."""

    DEFAULT_CSS = """
    Gauge, Gauge Bar { width: 1fr; }
    Gauge Bar > .bar--bar, Gauge Bar > .bar--complete { color: ansi_default; background: ansi_bright_black; }
    Gauge.good Bar > .bar--bar, Gauge.good Bar > .bar--complete { color: ansi_green; }
    Gauge.info Bar > .bar--bar, Gauge.info Bar > .bar--complete { color: ansi_cyan; }
    Gauge.warn Bar > .bar--bar, Gauge.warn Bar > .bar--complete { color: ansi_yellow; }
    Gauge.bad Bar > .bar--bar, Gauge.bad Bar > .bar--complete { color: ansi_red; }
    .-plain Gauge Bar > .bar--bar { background: ansi_default; }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        clock = Clock(get_time=lambda: 0.0)
        super().__init__(1.0, show_percentage=False, show_eta=False, id=id, classes=classes, clock=clock)

    def show(self, part: float | None, style: str = "") -> None:
        self.progress = part if part is not None and math.isfinite(part) else 0.0
        if not style or not self.has_class(style):
            self.remove_class("good", "info", "warn", "bad")
            self.set_class(True, *filter(None, [style]))


class Course(Sparkline):
    """The recent course of a figure; what is not finite is left out, and fewer than two values are no course."""

    DEFAULT_CSS = "Course { width: 1fr; height: 1; background: ansi_default; }"

    def show(self, values: Iterable[float | None], style: str) -> None:
        known = finite_values(values)
        self.visible = len(known) > 1
        colour = Color.parse(COURSE_COLOURS.get(style, style))
        if (known, colour) != (self.data, self.max_color):
            self.min_color = self.max_color = colour
            self.data, self.summary_function = known, fmean
            self.refresh()


def finite_values(values: Iterable[float | None]) -> tuple[float, ...]:
    return tuple(value for value in values if value is not None and math.isfinite(value))


class Keys(Footer):
    """The keys of the screen on one row, or in columns on as many rows as it takes."""

    DEFAULT_CSS = """
    Keys, Keys FooterKey, Keys .footer-key--key, Keys .footer-key--description {
        background: ansi_default; color: ansi_default;
    }
    Keys { dock: none; height: auto; overflow: hidden; grid-rows: 1; }
    Keys.-columns { layout: grid; }
    Keys FooterKey { margin-right: 2; }
    Keys.-columns FooterKey { margin-right: 0; }
    Keys FooterKey .footer-key--key { color: ansi_cyan; text-style: bold; padding: 0; }
    Keys FooterKey.-disabled .footer-key--key { color: ansi_default; text-style: dim; }
    Keys FooterKey .footer-key--description { padding: 0 0 0 1; }
    """

    def compose(self) -> ComposeResult:
        yield from super().compose()
        width, widths = self.screen.size.width, key_widths(self.app, self.screen.active_bindings.values())
        self.set_class(sum(widths) - KEY_GAP > width, "-columns")
        self.styles.grid_size_columns = max(1, (width + KEY_GAP) // max(widths, default=1))


def key_widths(app: App[Any], bindings: Iterable[ActiveBinding]) -> list[int]:
    """Cells that each key takes in the footer, the gap behind it included."""
    shown = [active.binding for active in bindings if active.binding.show]
    return [cell_len(f"{app.get_key_display(key)} {key.description}") + KEY_GAP for key in shown]


# ---- tables
@dataclass(frozen=True, slots=True)
class TableColumn:
    label: str
    right: bool = False
    width: int | None = None
    """None: as wide as its widest cell."""


@dataclass(frozen=True, slots=True)
class Trend:
    """A cell with the course of a figure."""

    values: tuple[float, ...]
    width: int


Cell = Line | Trend


@dataclass(frozen=True, slots=True)
class Table:
    columns: Sequence[TableColumn] = ()
    rows: Sequence[Sequence[Cell]] = ()
    wraps: bool = False
    """Long cells of the last column take as many lines as they need."""


class Rows(DataTable[RenderableType]):
    """A table that shows what it is given and keeps its place. The screen has the keys, so it never has the focus."""

    DEFAULT_CSS = """
    Rows { height: 1fr; scrollbar-size: 0 0; }
    Rows, Rows > .datatable--even-row, Rows > .datatable--odd-row { background: ansi_default; color: ansi_default; }
    Rows > .datatable--header, Rows:ansi > .datatable--header {
        background: ansi_default; color: ansi_default; text-style: dim;
    }
    Rows > .datatable--cursor { background: ansi_default; color: ansi_default; text-style: reverse; }
    """
    can_focus = False

    def __init__(self, *, id: str | None = None, cursor: bool = False, header: bool = True) -> None:
        super().__init__(id=id, cursor_type="row", show_cursor=cursor, show_header=header, cell_padding=PADDING // 2)
        self._shown = Table()

    def show(self, table: Table) -> None:
        old, self._shown = self._shown, table
        row, top = self.cursor_row, self.scroll_y
        if old.columns != table.columns:
            self.clear(columns=True)
            for column in table.columns:
                self.add_column(self._text([(column.label, "")], column), width=column.width)
            old = Table(table.columns)
        if len(old.rows) != len(table.rows) or (table.wraps and old.rows != table.rows):
            self._fill(row, top)
            return
        for y, (before, after) in enumerate(zip(old.rows, table.rows, strict=True)):
            for x, (was, cell) in enumerate(zip(before, after, strict=True)):
                if was != cell:
                    self.update_cell_at((y, x), self._drawn(cell, x), update_width=True)  # type: ignore[arg-type]

    def _fill(self, row: int, top: float) -> None:
        self.clear()
        for cells in self._shown.rows:
            drawn = [self._drawn(cell, x) for x, cell in enumerate(cells)]
            self.add_row(*drawn, height=None if self._shown.wraps else 1)
        self.move_cursor(row=max(0, min(row, self.row_count - 1)))
        self.scroll_to(y=top, animate=False)

    def _drawn(self, cell: Cell, x: int) -> RenderableType:
        if isinstance(cell, Trend):
            colour = Color.parse(COURSE_COLOURS["info"]).rich_color
            return (
                Sparks(cell.values, width=cell.width, min_color=colour, max_color=colour, summary_function=fmean)
                if cell.values[1:]
                else ""
            )
        last = x == len(self._shown.columns) - 1
        return self._text(cell, self._shown.columns[x], wraps=self._shown.wraps and last)

    @staticmethod
    def _text(line: Line, column: TableColumn, *, wraps: bool = False) -> Text:
        text = Text(justify="right" if column.right else "left", end="", no_wrap=not wraps, overflow="ellipsis")
        for part, style in line:
            text.append(printable(part), look(style))
        return text

    @property
    def page(self) -> int:
        """Lines of the table that are seen at once."""
        return max(1, self.size.height - (self.header_height if self.show_header else 0))

    def move(self, by: int, *, pages: int = 0) -> None:
        """Move the cursor by rows, or scroll where there is none."""
        by += pages * self.page
        if self.show_cursor:
            self.move_cursor(row=max(0, min(self.row_count - 1, self.cursor_row + by)))
        else:
            self.scroll_to(y=self.scroll_target_y + by, animate=False, immediate=True)

    def place(self, t: TerminalTexts) -> str:
        """Which lines are seen, of how many; empty without rows."""
        first, all_ = round(self.scroll_y), self.virtual_size.height - (self.size.height - self.page)
        last = min(all_, first + self.page)
        return t("shown_of", first=first + 1, last=last, all=count(all_)) if self.row_count else ""
