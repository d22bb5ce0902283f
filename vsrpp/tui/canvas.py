"""A widget that shows lines and sends only the cells that changed: what makes the UI bearable over a slow link."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from vsrpp.tui.lines import Line, fit
from vsrpp.tui.terminal import plain

STYLES = {
    "": Style(), "title": Style(bold=True), "bold": Style(bold=True), "dim": Style(dim=True),
    "good": Style(color="green"), "info": Style(color="cyan"), "warn": Style(color="yellow"), "bad": Style(color="red"),
    "good dim": Style(color="green", dim=True), "info dim": Style(color="cyan", dim=True),
    "warn dim": Style(color="yellow", dim=True), "bad dim": Style(color="red", dim=True),
    "good bold": Style(color="green", bold=True), "info bold": Style(color="cyan", bold=True),
    "warn bold": Style(color="yellow", bold=True), "bad bold": Style(color="red", bold=True),
    "key": Style(bold=True, color="cyan"), "cursor": Style(reverse=True), "brand": Style(bold=True, color="cyan"),
    "total": Style(bold=True),
    "l1": Style(color="#ef4444"), "ms": Style(color="#f97316"), "grad": Style(color="#a855f7"),
    "perceptual": Style(color="#06b6d4"),
}  # fmt: skip
"""Every look there is. Severity never rests on colour alone: a word or a sign goes with it."""

Cell = tuple[str, str]
JOINED_GAP = 8
"""To skip over fewer equal cells than this costs more bytes than to send them."""


class Canvas(Widget):
    """Lines from the top, without scrolling. `show` replaces them."""

    DEFAULT_CSS = "Canvas { height: auto; background: ansi_default; color: ansi_default; }"

    def __init__(self, *, unicode: bool, id: str | None = None) -> None:
        super().__init__(id=id)
        self._unicode = unicode
        self._lines: list[Line] = []

    @property
    def lines(self) -> list[Line]:
        return self._lines

    def show(self, lines: Sequence[Line]) -> None:
        """Draw these lines; only what differs from before is repainted."""
        old, self._lines = self._lines, list(lines)
        width = self.size.width
        if len(old) != len(self._lines) and self.styles.is_auto_height:
            self.refresh(layout=True)
            return
        regions: list[Region] = []
        for y in range(max(len(old), len(self._lines))):
            before = old[y] if y < len(old) else []
            after = self._lines[y] if y < len(self._lines) else []
            if before != after:
                regions += differences(before, after, width, y)
        if regions:
            self.refresh(*regions)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._lines)

    def get_content_width(self, container: Size, viewport: Size) -> int:
        return container.width

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        spans = fit(self._lines[y] if y < len(self._lines) else [], width)
        to_screen = (lambda text: text) if self._unicode else plain
        return Strip([Segment(to_screen(text), STYLES[style]) for text, style in spans], width)


def differences(before: Line, after: Line, width: int, y: int) -> list[Region]:
    """The stretches of a row that differ; those with little between them as one."""
    old, new = _cells(fit(before, width)), _cells(fit(after, width))
    regions: list[Region] = []
    for x in range(width):
        if old[x] == new[x]:
            continue
        if regions and x - regions[-1].right <= JOINED_GAP:
            regions[-1] = Region(regions[-1].x, y, x + 1 - regions[-1].x, 1)
        else:
            regions.append(Region(x, y, 1, 1))
    return regions


def _cells(spans: Line) -> list[Cell]:
    """One entry per cell; the second cell of a wide sign repeats it, so that no wide sign is cut in two."""
    cells: list[Cell] = []
    for text, style in spans:
        for sign in text:
            cells += [(sign, style)] * cell_len(sign)
    return cells
