"""A table to pick a row from: arrows move, ENTER chooses."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from vsrpp.tui.lines import rule
from vsrpp.tui.run_view import RunSnapshot
from vsrpp.tui.screens.base import RunScreen, on
from vsrpp.tui.widgets import Rows, Table


class Picker(RunScreen):
    """`content` and `chosen` make a choice of it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        on("up", "move(-1)", "move", "↑↓"),
        on("down", "move(1)"),
        on("pageup", "move(0, -1)"),
        on("pagedown", "move(0, 1)"),
        on("home", "move(-1000000)"),
        on("end", "move(1000000)"),
        on("enter", "choose", "choose", "↵"),
        on("escape,q", "back", "back", "Esc"),
    ]
    heading = ""
    empty = ""

    def body(self) -> ComposeResult:
        yield self.canvas("main")
        yield self.table(cursor=True)

    def content(self, width: int) -> Table:
        return Table()

    async def chosen(self, number: int) -> None:
        """A row was picked."""

    def draw(self, snapshot: RunSnapshot) -> None:
        width, rows = self.size.width, self.rows
        table = self.content(width)
        rows.show(table)
        rows.display = bool(table.rows)
        title = rule(self.t(self.heading), width, (rows.place(self.t), "dim") if table.rows else "")
        self.fill("main").show([title] if table.rows else [title, [(self.t(self.empty), "dim")]])

    def _filled(self) -> Rows:
        """The table, filled also for keys that were typed before the screen was first drawn."""
        if not self.rows.row_count:
            self.rows.show(self.content(self.size.width or 80))
        return self.rows

    def action_move(self, by: int, pages: int = 0) -> None:
        self._filled().move(by, pages=pages)

    async def action_choose(self) -> None:
        if self._filled().row_count:
            await self.chosen(self.rows.cursor_row)

    async def action_back(self) -> None:
        await self.ui.close()
