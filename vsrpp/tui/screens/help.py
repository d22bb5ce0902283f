"""What every key does, what the colours and signs mean, and the link to the panel."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll

from vsrpp import control
from vsrpp.tui.lines import Line, line, pad, rule, wrap
from vsrpp.tui.run_view import RunSnapshot
from vsrpp.tui.screens.base import RunScreen, on

_ROWS = (
    ("Enter", "menu", ""), ("p", "pause", ""), ("v", "validate", ""), ("c", "checkpoint", ""), ("b", "rollback", ""),
    ("s 1–5", "view", ""), ("o f", "sort", ""), ("↑ ↓", "scroll", ""), ("r", "runs", ""), ("x", "stop", ""),
    ("q", "quit", ""), ("Ctrl-Z", "suspend", ""),
    ("0–0.5", "low", "good"), ("0.5–1", "moderate", "info"), ("1–1.5", "high", "warn"), ("> 1.5", "unusual", "bad"),
    ("!  !!", "limit", "warn"), ("★", "best", "info"),
)  # fmt: skip
"""(key or sign, its text `help.…`, style)"""


class Help(RunScreen):
    BINDINGS: ClassVar[list[BindingType]] = [
        on("up", "move(-1)", "scroll", "↑↓"),
        on("down", "move(1)"),
        on("pageup", "move(-8)"),
        on("pagedown,space", "move(8)"),
        on("escape,q,enter,question_mark", "back", "back", "Esc"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._panel_link: str | None = None
        """Link to a panel of these runs; empty if none runs, None until the screen is drawn."""

    def body(self) -> ComposeResult:
        yield self.canvas("title")
        with VerticalScroll(id="scrolled", can_focus=False):
            yield self.canvas("main")

    def draw(self, snapshot: RunSnapshot) -> None:
        width = self.size.width
        lines: list[Line] = wrap(self.t("help.intro"), width, "dim")
        if self._panel_link is None:
            self._panel_link = control.owners_link(self.ui.paths.root.parent) or ""
        if self._panel_link:
            lines += wrap(self.t("help.panel", link=self._panel_link), width)
        for key, name, style in _ROWS:
            first, *more = wrap(self.t(f"help.{name}"), width - 8)
            lines += [line((pad(key, 8), style or "key"), *first), *(line(" " * 8, *row) for row in more)]
        self.fill("title").show([rule(self.t("help"), width)])
        self.fill("main").show(lines)

    def action_move(self, by: int) -> None:
        self.query_one("#scrolled").scroll_relative(y=by, animate=False)

    async def action_back(self) -> None:
        await self.ui.close()
