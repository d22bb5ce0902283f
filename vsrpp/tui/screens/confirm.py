"""A question that wants a clear yes."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.binding import BindingType

from vsrpp.tui.lines import wrap
from vsrpp.tui.run_view import RunSnapshot
from vsrpp.tui.screens.base import RunScreen, on


class Confirm(RunScreen):
    """y does it; n, Esc and q do not; ENTER, pressed by habit, does nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [
        on("y,j", "yes", "yes"),
        on("n,escape,q", "no", "no"),
    ]

    def __init__(self, question: str, act: Callable[[], object]) -> None:
        super().__init__()
        self._question = question
        self._act = act

    def draw(self, snapshot: RunSnapshot) -> None:
        self.fill("main").show([[], *wrap(self._question, self.size.width - 2, "bold")])

    async def action_yes(self) -> None:
        await self.ui.close()
        self._act()

    async def action_no(self) -> None:
        await self.ui.close()
