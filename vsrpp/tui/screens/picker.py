"""A table to pick a row from: arrows move, ENTER chooses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType

from vsrpp.tui.lines import Line, fit, rule, text_of
from vsrpp.tui.messages import TerminalTexts
from vsrpp.tui.screens.base import RunScreen, on


class ScrollingRows:
    """Rows of which one is chosen, and the part of them that fits."""

    def __init__(self) -> None:
        self.cursor = 0
        self._offset = 0
        self._room = 1

    def move(self, by: int, count: int, *, pages: int = 0) -> None:
        self.cursor = max(0, min(count - 1, self.cursor + by + pages * self._room))

    def draw(self, rows: Sequence[Line], width: int, room: int) -> list[Line]:
        """The rows that fit, the chosen one in reverse."""
        self._room = max(1, room)
        self.cursor = max(0, min(len(rows) - 1, self.cursor))
        self._offset = max(self.cursor - self._room + 1, min(self._offset, self.cursor, max(0, len(rows) - self._room)))
        visible = list(rows[self._offset : self._offset + self._room])
        place = self.cursor - self._offset
        if 0 <= place < len(visible):
            visible[place] = [(text_of(fit(visible[place], width)), "cursor")]
        return visible

    def more(self, count: int) -> str:
        """Arrows where there are rows that are not shown."""
        return "▲" * (self._offset > 0) + "▼" * (self._offset + self._room < count)

    def place(self, t: TerminalTexts, count: int) -> str:
        last = min(count, self._offset + self._room)
        return t("shown_of", first=min(self._offset + 1, last), last=last, all=count)


class Picker(RunScreen):
    """`rows` and `chosen` make a table of it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        on("up", "move(-1)"),
        on("down", "move(1)"),
        on("pageup", "move(0, -1)"),
        on("pagedown", "move(0, 1)"),
        on("home", "move(-1000000)"),
        on("end", "move(1000000)"),
        on("enter", "choose"),
        on("escape,q", "back"),
    ]
    heading = ""
    empty = ""

    def __init__(self) -> None:
        super().__init__()
        self.list = ScrollingRows()

    def head(self, width: int) -> list[Line]:
        return []

    def rows(self, width: int) -> list[Line]:
        return []

    async def chosen(self, number: int) -> None:
        """A row was picked."""

    def keys(self) -> list[tuple[str, str, bool]]:
        return [("↑↓", "move", True), ("↵", "choose", True), ("Esc", "back", True)]

    def draw(self, snapshot) -> None:  # type: ignore[no-untyped-def]
        main = self.fill("main")
        width, height = main.size.width, main.size.height
        rows, head = self.rows(width), self.head(width)
        body = self.list.draw(rows, width, height - len(head) - 1)
        title = rule(self.t(self.heading), width, (self.list.place(self.t, len(rows)), "dim") if rows else "")
        main.show([title, *head, *body] if rows else [title, [(self.t(self.empty), "dim")]])

    def action_move(self, by: int, pages: int = 0) -> None:
        self.list.move(by, len(self.rows(80)), pages=pages)
        self.redraw()

    async def action_choose(self) -> None:
        if self.rows(80):
            await self.chosen(self.list.cursor)

    async def action_back(self) -> None:
        await self.ui.close()
