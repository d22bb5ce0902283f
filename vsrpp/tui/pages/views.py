"""The views of a run: overview, layers, charts, validations, timeline. Some are tables; some are sorted or filtered."""

from __future__ import annotations

import math

from vsrpp.control.narrate import FILTERS, matching, narrate
from vsrpp.formats import NONE, day_minute, number, rate
from vsrpp.store import Event
from vsrpp.tui.drawing import Value, activity_bar, activity_level, area
from vsrpp.tui.lines import Line, line, rpad, rule
from vsrpp.tui.messages import TerminalTexts
from vsrpp.tui.pages import blocks
from vsrpp.tui.run_view import RunSnapshot
from vsrpp.tui.widgets import PADDING, Table, TableColumn, Trend, finite_values


class View:
    """One way to look at a run: lines, and below them a table, where there is one."""

    name = ""
    needs = ""
    """`curves` or `layers`: what the watcher reads for this view alone."""
    scrolls = False
    orders: tuple[str, ...] = ()
    """Names of the orders `o` goes through."""
    filters: tuple[str, ...] = ()
    """Names of the filters `f` goes through."""

    def __init__(self) -> None:
        self.order = 0
        self.filter = 0

    def title(self, t: TerminalTexts) -> str:
        """The heading of the table."""
        return ""

    def lines(self, snapshot: RunSnapshot, t: TerminalTexts, width: int, height: int) -> list[Line]:
        """What stands above the title of the table; all there is, where there is no table."""
        return []

    def table(self, snapshot: RunSnapshot, t: TerminalTexts, width: int) -> Table:
        return Table()

    def empty(self, snapshot: RunSnapshot, t: TerminalTexts) -> str:
        """What is said instead of a table without rows."""
        return ""


class Overview(View):
    name = "overview"


class Layers(View):
    """Every layer's activity with its course; by value, by trend or by name."""

    name = "layers"
    needs = "layers"
    scrolls = True
    orders = ("value", "trend", "name")

    def title(self, t: TerminalTexts) -> str:
        return f"{t('view.layers')} {t('sorted_by', what=t(f'sort.{self._order}'))}"

    @property
    def _order(self) -> str:
        return self.orders[self.order % len(self.orders)]

    def lines(self, snapshot: RunSnapshot, t: TerminalTexts, width: int, height: int) -> list[Line]:
        shown = width >= 72 and height >= 16 and snapshot.activity()
        return [*blocks.streams(snapshot, t, width)[1:], []] if shown else []

    def table(self, snapshot: RunSnapshot, t: TerminalTexts, width: int) -> Table:
        layers = [
            (layer, value, finite_values(snapshot.trends.get(f"activity/{layer}", ())))
            for layer, value in snapshot.activity().items()
        ]
        match self._order:
            case "name":
                layers.sort(key=lambda row: _by_name(row[0]))
            case "trend":
                layers.sort(key=lambda row: _worst(slope(row[2])), reverse=True)
            case _:
                layers.sort(key=lambda row: _worst(row[1]), reverse=True)
        name = max((len(layer) for layer, *_ in layers), default=0)
        course = 12 if width >= 72 else 0
        word = 23 if width >= 100 else 17 if width >= 72 else 3
        columns = [
            TableColumn(t("layer"), width=max(name, len(t("layer")))), TableColumn(t("value"), right=True, width=6),
            TableColumn("0 … 2.0+"), TableColumn("", width=word), TableColumn(t("trend"), right=True, width=8),
            *([TableColumn("", width=course)] if course else []),
        ]  # fmt: skip
        cells = max(6, width - sum((column.width or 0) + PADDING for column in columns))
        rows = []
        for layer, value, values in layers:
            level, style = activity_level(value)
            label = t(f"level.{level}") if word > 3 else {"high": "!", "unusual": "!!", "extreme": "!!!"}.get(level, "")
            row: list[Line | Trend] = [
                [(layer, "bold")], [(number(value) if math.isfinite(value) else str(value), style)],
                activity_bar(value, cells), [(label, style)], [(_tendency(slope(values)), "")],
            ]  # fmt: skip
            rows.append([*row, Trend(values, course)] if course else row)
        return Table(columns, rows)

    def empty(self, snapshot: RunSnapshot, t: TerminalTexts) -> str:
        return t("no_activity")


def _tendency(trend: float) -> str:
    arrow = "→" if not math.isfinite(trend) or abs(trend) < 0.05 else "↑" if trend > 0 else "↓"
    return f"{arrow} {round(trend * 100) or 0:+d}%" if math.isfinite(trend) else f"{arrow} {NONE}"


def slope(values) -> float:  # type: ignore[no-untyped-def]
    """How much the newest quarter lies above the oldest, as a part of it; NaN without enough values."""
    known = [value for value in values if value is not None]
    quarter = len(known) // 4
    if quarter < 1:
        return math.nan
    old, new = math.fsum(known[:quarter]) / quarter, math.fsum(known[-quarter:]) / quarter
    return (new - old) / old if old else math.nan


def _worst(value: float) -> float:
    return math.inf if not math.isfinite(value) else value


def _by_name(layer: str) -> tuple[str, int]:
    stream, _, number_ = layer.partition(".")
    return stream, int(number_) if number_.isdigit() else 0


class Charts(View):
    """Loss, rate and quality over the whole history; weights and loss values as stacked bars."""

    name = "charts"
    needs = "curves"

    def lines(self, snapshot: RunSnapshot, t: TerminalTexts, width: int, height: int) -> list[Line]:
        bars = blocks.bars(snapshot, t, width)
        curves: list[tuple[str, list[Value], list[Value], str, str]] = [
            (t("chart.loss"), *_of(snapshot, "loss/total"), "total", "loss"),
            (t("chart.psnr"), [v.psnr_y for v in snapshot.validations], [], "good", "psnr"),
            (t("chart.rate"), *_of(snapshot, "lr"), "info", "rate"),
        ]
        room = height - len(bars) - 1
        count_ = 3 if room >= 15 else 2 if room >= 8 else 1
        lines = list(bars)
        for number_, (title, values, left, style, kind) in enumerate(curves[:count_]):
            share = room // count_ + (number_ < room % count_)
            lines += _chart(title, values, t, width, share, style, kind, left)
        return lines


def _of(snapshot: RunSnapshot, key: str) -> tuple[list[Value], list[Value]]:
    """A metric's course, and beside it what was left behind."""
    return list(snapshot.curves.get(key, ())), list(snapshot.left_behind.get(key, ()))


def _chart(
    title: str, values: list[Value], t: TerminalTexts, width: int, height: int, style: str, kind: str, left: list[Value]
) -> list[Line]:
    label = 10
    rows, low, high, log = area(values, width - label, max(1, height - 1), style, left)
    write = rate if kind == "rate" else (lambda v: number(v, 2)) if kind == "psnr" else (lambda v: number(v, 4))
    known = [value for value in values if value is not None]
    now = write(known[-1]) if known else t("no_events")
    right = f"{now}{'  ' + t('log_scale') if log else ''}"
    lines = [rule(title, width, (right, "bold"))]
    for number_, row in enumerate(rows):
        side = write(high) if known and number_ == 0 else write(low) if known and number_ == len(rows) - 1 else ""
        lines.append(line((rpad(side, label - 1), "dim"), " ", *row))
    return lines


class Validations(View):
    """Every validation, newest first."""

    name = "validations"
    scrolls = True

    def title(self, t: TerminalTexts) -> str:
        return t("view.validations")

    def table(self, snapshot: RunSnapshot, t: TerminalTexts, width: int) -> Table:
        best = max((v.psnr_y for v in snapshot.validations if v.psnr_y is not None), default=None)
        columns = [
            TableColumn(t("col.step"), right=True), TableColumn(""), TableColumn("PSNR-Y", right=True),
            TableColumn(t("col.gain"), right=True), TableColumn("SSIM-Y", right=True),
        ]  # fmt: skip
        columns += (
            [TableColumn(t("bicubic"), right=True), TableColumn(t("col.time")), TableColumn("")] if width >= 72 else []
        )
        rows = []
        for v in reversed(snapshot.validations):
            gain = NONE if v.gain is None else f"{v.gain:+.2f}"
            row: list[Line] = [
                [(_place(v.step, v.branch), "")], [("★" if v.psnr_y == best else "", "info")],
                [(number(v.psnr_y, 2), "bold")], [(gain, "good" if (v.gain or 0) > 0 else "warn")],
                [(number(v.ssim_y, 4), "")],
                [(f"{number(v.bicubic_psnr_y, 2)} {number(v.bicubic_ssim_y, 4)}", "dim")],
                [(day_minute(v.time), "")], [(t("col.asked") if v.by_hand else "", "dim")],
            ]  # fmt: skip
            rows.append(row[: len(columns)])
        return Table(columns, rows)

    def empty(self, snapshot: RunSnapshot, t: TerminalTexts) -> str:
        return t("no_validation" if snapshot.live else "no_validation.ended")


class Timeline(View):
    """Every event, newest first, all or those of one kind; long ones on as many rows as they need."""

    name = "timeline"
    scrolls = True
    filters = FILTERS

    def title(self, t: TerminalTexts) -> str:
        return f"{t('view.timeline')}: {t(f'group.{self.filters[self.filter % len(self.filters)]}')}"

    def table(self, snapshot: RunSnapshot, t: TerminalTexts, width: int) -> Table:
        events = matching(snapshot.events, self.filters[self.filter % len(self.filters)])[::-1]
        rows = [self._row(event, t, width) for event in events]
        if rows and snapshot.events[0].seq > 1:
            rows.append([[], [], [], [(t("older", run=snapshot.run_id), "dim")]] if width >= 72 else
                        [[], [], [(t("older", run=snapshot.run_id), "dim")]])  # fmt: skip
        step = max((len(_place(event.step, event.branch)) for event in events), default=0)
        columns = [TableColumn(t("col.time"), width=11), TableColumn(t("col.step"), right=True, width=max(step, 7))]
        columns += [TableColumn("", width=4)] if width >= 72 else []
        room = width - sum((column.width or 0) + PADDING for column in columns) - PADDING
        return Table([*columns, TableColumn("", width=room)], rows, wraps=True)

    def empty(self, snapshot: RunSnapshot, t: TerminalTexts) -> str:
        return t("no_events")

    @staticmethod
    def _row(event: Event, t: TerminalTexts, width: int) -> list[Line]:
        told = narrate(event)
        row: list[Line] = [[(day_minute(event.time), "dim")], [(_place(event.step, event.branch), "dim")]]
        row += [[(f"r{event.revision}", "dim")]] if width >= 72 else []
        return [*row, line((told.headline.text(t), told.tone or "bold"), f" {blocks.event_words(told, t)}")]


def _place(step: int, branch: int) -> str:
    """The step, and its branch if that is not the first."""
    return f"{step}" + (f"/{branch}" if branch else "")


ALL: tuple[type[View], ...] = (Overview, Layers, Charts, Validations, Timeline)
