"""The views of a run: overview, layers, charts, validations, timeline. Lists scroll; some are sorted or filtered."""

from __future__ import annotations

import math

from vsrpp.control.narrate import FILTERS, matching, narrate
from vsrpp.formats import NONE, count, day_minute, number, rate
from vsrpp.store import Event
from vsrpp.tui.drawing import Value, activity_bar, activity_level, area, spark
from vsrpp.tui.lines import Line, cut, fit, line, pad, rpad, rule, wrap
from vsrpp.tui.messages import TerminalTexts
from vsrpp.tui.pages import blocks, overview
from vsrpp.tui.run_view import RunSnapshot


class View:
    """One way to look at a run."""

    name = ""
    needs = ""
    """`curves` or `layers`: what the watcher reads for this view alone."""
    scrolls = False
    orders: tuple[str, ...] = ()
    """Names of the orders `o` goes through."""
    filters: tuple[str, ...] = ()
    """Names of the filters `f` goes through."""

    def __init__(self) -> None:
        self.offset = 0
        self.order = 0
        self.filter = 0
        self._page = 1

    def draw(self, snapshot: RunSnapshot, t: TerminalTexts, width: int, height: int) -> list[Line]:
        raise NotImplementedError

    def scroll(self, rows: int, *, pages: int = 0) -> None:
        self.offset = max(0, self.offset + rows + pages * self._page)

    def _listing(
        self, head: list[Line], rows: list[Line], t: TerminalTexts, width: int, height: int, title: str
    ) -> list[Line]:
        """A heading that says which part is shown, the head of the table, and that part."""
        room = max(1, height - len(head) - 1)
        self._page = room
        self.offset = max(0, min(self.offset, len(rows) - room))
        last = min(len(rows), self.offset + room)
        place = t("shown_of", first=min(self.offset + 1, last), last=last, all=count(len(rows))) if rows else ""
        return [rule(title, width, (place, "dim")), *head, *rows[self.offset : last]]


class Overview(View):
    name = "overview"

    def draw(self, snapshot: RunSnapshot, t: TerminalTexts, width: int, height: int) -> list[Line]:
        return overview.draw(snapshot, t, width, height)


class Layers(View):
    """Every layer's activity with its course; by value, by trend or by name."""

    name = "layers"
    needs = "layers"
    scrolls = True
    orders = ("value", "trend", "name")

    def draw(self, snapshot: RunSnapshot, t: TerminalTexts, width: int, height: int) -> list[Line]:
        order = self.orders[self.order % len(self.orders)]
        title = f"{t('view.layers')} {t('sorted_by', what=t(f'sort.{order}'))}"
        layers = [
            (layer, value, slope(snapshot.trends.get(f"activity/{layer}", ())))
            for layer, value in snapshot.activity().items()
        ]
        if not layers:
            return [rule(title, width), [(t("no_activity"), "dim")]]
        if order == "name":
            layers.sort(key=lambda row: _by_name(row[0]))
        else:
            layers.sort(key=lambda row: _worst(row[1] if order == "value" else row[2]), reverse=True)
        name = min(20, max(len(layer) for layer, *_ in layers) + 1)
        course = 12 if width >= 72 else 0
        word = 24 if width >= 100 else 17 if width >= 72 else 3
        cells = max(6, width - name - 7 - word - course - 12)
        rows = [self._row(snapshot, t, row, name, cells, word, course) for row in layers]
        head = line((pad(t("layer"), name), "dim"), (rpad(t("value"), 6), "dim"), " ", (pad("0 … 2.0+", cells), "dim"))
        head += line(" ", (pad("", word), ""), (rpad(t("trend"), 8), "dim"))
        above = [*blocks.streams(snapshot, t, width)[1:], []] if width >= 72 and height >= 16 else []
        return [*above, *self._listing([head], rows, t, width, height - len(above), title)]

    @staticmethod
    def _row(
        snapshot: RunSnapshot,
        t: TerminalTexts,
        row: tuple[str, float, float],
        name: int,
        cells: int,
        word: int,
        course: int,
    ) -> Line:
        layer, value, trend = row
        level, style = activity_level(value)
        text = number(value) if math.isfinite(value) else str(value)
        label = t(f"level.{level}") if word > 3 else {"high": "!", "unusual": "!!", "extreme": "!!!"}.get(level, "")
        arrow = "→" if not math.isfinite(trend) or abs(trend) < 0.05 else "↑" if trend > 0 else "↓"
        tail = f"{arrow} {round(trend * 100) or 0:+d}%" if math.isfinite(trend) else f"{arrow} {NONE}"
        row_line = line((pad(layer, name), "bold"), (rpad(text, 6), style), " ", *activity_bar(value, cells), " ")
        row_line += line((pad(label, word), style), rpad(tail, 8))
        return row_line + line(
            " ", (spark(snapshot.trends.get(f"activity/{layer}", ()), course) if course else "", "info")
        )


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

    def draw(self, snapshot: RunSnapshot, t: TerminalTexts, width: int, height: int) -> list[Line]:
        bars = blocks.bars(snapshot, t, width)
        curves: list[tuple[str, list[Value], list[Value], str, str]] = [
            (t("chart.loss"), *_of(snapshot, "loss/total"), "l1", "loss"),
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

    def draw(self, snapshot: RunSnapshot, t: TerminalTexts, width: int, height: int) -> list[Line]:
        title = t("view.validations")
        if not snapshot.validations:
            return [rule(title, width), [(t("no_validation" if snapshot.live else "no_validation.ended"), "dim")]]
        best = max((v.psnr_y for v in snapshot.validations if v.psnr_y is not None), default=None)
        wide = width >= 72
        head = line(
            (f"{rpad(t('col.step'), 9)}  {rpad('PSNR-Y', 8)} {rpad(t('col.gain'), 8)}  {rpad('SSIM-Y', 7)}", "dim"),
            (f"  {rpad(t('bicubic'), 16)}  {t('col.time')}" if wide else "", "dim"),
        )
        rows = []
        for v in reversed(snapshot.validations):
            place = f"{v.step}" + (f"/{v.branch}" if v.branch else "")
            gain = NONE if v.gain is None else f"{v.gain:+.2f}"
            row = line(
                rpad(place, 9), (" ★" if v.psnr_y == best else "  ", "info"), (rpad(number(v.psnr_y, 2), 8), "bold")
            )
            row += line(
                " ", (rpad(gain, 8), "good" if (v.gain or 0) > 0 else "warn"), f"  {rpad(number(v.ssim_y, 4), 7)}"
            )
            if wide:
                row += line((f"  {rpad(number(v.bicubic_psnr_y, 2), 8)} {rpad(number(v.bicubic_ssim_y, 4), 7)}", "dim"))
                row += line(f"  {day_minute(v.time)}", (f"  {t('col.asked')}" if v.by_hand else "", "dim"))
            rows.append(fit(row, width))
        return self._listing([head], rows, t, width, height, title)


class Timeline(View):
    """Every event, newest first, all or those of one kind; long ones on as many rows as they need."""

    name = "timeline"
    scrolls = True
    filters = FILTERS

    def draw(self, snapshot: RunSnapshot, t: TerminalTexts, width: int, height: int) -> list[Line]:
        chosen = self.filters[self.filter % len(self.filters)]
        title = f"{t('view.timeline')}: {t(f'group.{chosen}')}"
        events = matching(snapshot.events, chosen)[::-1]
        if not events:
            return [rule(title, width), [(t("no_events"), "dim")]]
        rows: list[Line] = []
        for event in events:
            rows += self._rows(event, t, width)
        if snapshot.events and snapshot.events[0].seq > 1:
            rows.append([(t("older", run=snapshot.run_id), "dim")])
        return self._listing([], rows, t, width, height, title)

    @staticmethod
    def _rows(event: Event, t: TerminalTexts, width: int) -> list[Line]:
        place = f"{event.step}" + (f"/{event.branch}" if event.branch else "")
        head = f"{day_minute(event.time)} {place:>8} r{event.revision:<3} "
        told = narrate(event)
        label = f"{told.headline.text(t)} "
        message = blocks.event_words(told, t)
        room = width - len(head) - len(label)
        first = line((head, "dim"), (label, told.tone or "bold"))
        if len(message) <= room:
            return [line(*first, message)]
        return [fit(first, width), *wrap(message, width, indent=" " * min(len(head), width // 3))]


ALL: tuple[type[View], ...] = (Overview, Layers, Charts, Validations, Timeline)

__all__ = ["ALL", "Charts", "Layers", "Overview", "Timeline", "Validations", "View", "cut", "slope"]
