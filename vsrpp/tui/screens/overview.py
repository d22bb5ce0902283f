"""The overview: losses and steering with their courses and gauges, everything else in lines below."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from vsrpp.tui.lines import line, pad, rule
from vsrpp.tui.messages import TerminalTexts
from vsrpp.tui.pages import blocks, overview
from vsrpp.tui.pages.delivery import delivery, upload
from vsrpp.tui.pages.progress import convergence
from vsrpp.tui.run_view import RunSnapshot
from vsrpp.tui.widgets import Canvas, Course, Gauge

STACKED_BELOW = 52
"""Below this width steering stands under the losses."""
HUGGING = ("losses-figures", "rate", "plateau", "upload", "upload-sizes")
"""Canvases as wide as their text: what is beside them takes the rest."""


class OverviewBody(Vertical):
    """`show` draws a snapshot into the room of the body."""

    DEFAULT_CSS = """
    OverviewBody, OverviewBody #blocks, OverviewBody #losses, OverviewBody #steering, OverviewBody #courses,
    OverviewBody #figures, OverviewBody #columns { height: auto; }
    OverviewBody #right { margin-left: 2; }
    OverviewBody #blocks.-stacked { layout: vertical; }
    OverviewBody #steering { margin-left: 2; width: 1fr; }
    OverviewBody .-stacked #steering { margin-left: 0; width: 100%; }
    OverviewBody #courses { margin-left: 2; width: 1fr; }
    OverviewBody #rate-course { margin-left: 2; max-width: 16; }
    OverviewBody #plateau-gauge { margin-left: 1; max-width: 24; }
    OverviewBody #upload-gauge { margin-left: 1; max-width: 16; }
    """

    def __init__(self) -> None:
        super().__init__()
        names = ("losses-title", "losses-figures", "steering-title", "rate", "optimizer", "plateau", "delivery", "upload",
                 "upload-sizes", "left", "right", "below")  # fmt: skip
        self._canvases = {name: Canvas(id=name, classes="hugging" if name in HUGGING else None) for name in names}
        self._courses: list[Course] = []
        self._beside = Vertical(id="courses")
        self._rate_course = Course(id="rate-course")
        self._plateau_gauge, self._upload_gauge = Gauge(id="plateau-gauge"), Gauge(id="upload-gauge")
        self._blocks, self._losses = Horizontal(id="blocks"), Vertical(id="losses")
        self._upload_row = Horizontal(classes="row")

    def compose(self) -> ComposeResult:
        with self._blocks:
            with self._losses:
                yield self._canvases["losses-title"]
                with Horizontal(id="figures"):
                    yield self._canvases["losses-figures"]
                    yield self._beside
            with Vertical(id="steering"):
                yield self._canvases["steering-title"]
                with Horizontal(classes="row"):
                    yield self._canvases["rate"]
                    yield self._rate_course
                yield self._canvases["optimizer"]
                with Horizontal(classes="row"):
                    yield self._canvases["plateau"]
                    yield self._plateau_gauge
                yield self._canvases["delivery"]
                with self._upload_row:
                    yield self._canvases["upload"]
                    yield self._upload_gauge
                    yield self._canvases["upload-sizes"]
        with Horizontal(id="columns"):
            yield self._canvases["left"]
            yield self._canvases["right"]
        yield self._canvases["below"]

    def show(self, snapshot: RunSnapshot, t: TerminalTexts, width: int, height: int) -> None:
        """Draw into `width` × `height` cells."""
        stacked = width < STACKED_BELOW
        left = width if stacked else overview.left_column(width)
        self._blocks.set_class(stacked, "-stacked")
        self._losses.styles.width = left
        rows_of_losses = blocks.loss_rows(snapshot, t, height)
        self._show_losses(snapshot, t, left, rows_of_losses)
        self._canvases["steering-title"].display = not stacked
        rows = self._show_steering(snapshot, t, width if stacked else width - 2 - left)
        losses = len(rows_of_losses) + 1
        taken = losses + rows if stacked else max(losses, rows + 1)
        one, other = overview.columns(snapshot, t, width, height)
        self._canvases["left"].styles.width = left
        self._canvases["left"].show(one)
        self._canvases["right"].show(other)
        taken += max(len(one), len(other))
        self._canvases["below"].show(overview.below(snapshot, t, width, height, taken))

    def _show_losses(self, snapshot: RunSnapshot, t: TerminalTexts, width: int, rows: Sequence[blocks.LossRow]) -> None:
        right = (t("weight"), "dim") if width >= blocks.WIDE_LOSSES else ""
        self._canvases["losses-title"].show([rule(t("losses"), width, right)])
        self._canvases["losses-figures"].show(blocks.losses(snapshot, t, width, rows))
        fresh = [Course() for _ in rows[len(self._courses) :]]
        self._courses += fresh
        if fresh:
            self._beside.mount(*fresh)
        for place, course in enumerate(self._courses):
            course.display = place < len(rows)
            if course.display:
                row = rows[place]
                style = "dim" if blocks.switched_off(snapshot, row.name) else row.style
                course.show(snapshot.trends.get(f"loss/{row.name}", ()), style)

    def _show_steering(self, snapshot: RunSnapshot, t: TerminalTexts, width: int) -> int:
        """Draws the steering; returns the rows it takes below its title."""
        short = "" if width >= 34 else ".short"
        label = 14 if width >= 34 else 9
        room = width - label - 1
        self._canvases["steering-title"].show([rule(t("steering"), width)])
        self._canvases["rate"].show([line(pad(t("rate"), label), " ", *blocks.rate_of_limit(snapshot, t, room))])
        self._rate_course.show(snapshot.trends.get("lr", ()) if room >= 30 else (), "info")
        self._canvases["optimizer"].show([
            line(pad(t(f"gradient{short}"), label), " ", *blocks.gradient(snapshot, t)),
            line(pad(t(f"momentum{short}"), label), " ", *blocks.momentum(snapshot)),
        ])  # fmt: skip
        text, part, style = blocks.plateau(snapshot)
        self._canvases["plateau"].show([line(pad(t("plateau_counter"), label), " ", *text)])
        self._plateau_gauge.visible = part is not None
        self._plateau_gauge.show(part, style)
        words = convergence(snapshot, t, room)
        lines = [line(pad(t("convergence"), label), " ", *words)] if words else []
        lines.append(line(pad(t("delivery"), label), " ", *delivery(snapshot, t, room)))
        self._canvases["delivery"].show(lines)
        return 4 + len(lines) + self._show_upload(snapshot, t, label, room)

    def _show_upload(self, snapshot: RunSnapshot, t: TerminalTexts, label: int, room: int) -> bool:
        going = upload(snapshot, room)
        self._upload_row.display = going is not None
        if going is not None:
            text, part, sizes = going
            self._canvases["upload"].show([line(pad(t("upload"), label), " ", *text)])
            self._upload_gauge.show(part, "info")
            self._canvases["upload-sizes"].show([sizes])
        return going is not None
