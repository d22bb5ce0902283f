"""The run itself: the five views, and every command on a key."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from textual.binding import BindingType

from vsrpp import control
from vsrpp.tui.pages import views
from vsrpp.tui.run_view import RunSnapshot
from vsrpp.tui.screens.base import RunScreen, on


class Home(RunScreen):
    """Nothing here waits: a command is asked for in a thread, its answer comes as a message."""

    BINDINGS: ClassVar[list[BindingType]] = [
        on("enter", "menu"),
        on("p", "pause"),
        on("v", "command('validate')"),
        on("c", "command('checkpoint')"),
        on("b", "rollback"),
        on("s", "next_view"),
        on("r", "runs"),
        on("x", "stop"),
        on("question_mark", "help"),
        on("q", "app.leave"),
        on("o", "order"),
        on("f", "filter"),
        on("up", "scroll(-1)"),
        on("down", "scroll(1)"),
        on("pageup", "scroll(0, -1)"),
        on("pagedown,space", "scroll(0, 1)"),
        on("home", "scroll(-1000000)"),
        on("end", "scroll(1000000)"),
        *(on(str(number + 1), f"view({number})") for number in range(len(views.ALL))),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.views = [view() for view in views.ALL]
        self.view_index = 0

    @property
    def view(self) -> views.View:
        return self.views[self.view_index]

    def draw(self, snapshot: RunSnapshot) -> None:
        main = self.fill("main")
        main.show(self.view.draw(snapshot, self.t, main.size.width, main.size.height))

    def keys(self) -> list[tuple[str, str, bool]]:
        live = self.snapshot is not None and self.snapshot.live
        paused = self.snapshot is not None and self.snapshot.state == "paused"
        commands: Iterable[tuple[str, str, bool]] = [
            ("↵", "menu", True), ("p", "resume" if paused else "pause", live), ("v", "validate", live),
            ("c", "checkpoint", live), ("b", "rollback", live), ("s", "view", True), ("r", "runs", True),
            ("x", "stop", live), ("?", "help", True), ("q", "quit", True),
        ]  # fmt: skip
        extra = [("o", "sort", True)] if self.view.orders else []
        extra += [("f", "filter", True)] if self.view.filters else []
        extra += [("↑↓", "scroll", True)] if self.view.scrolls else []
        return [*extra, *commands]

    # ---- what is shown
    def action_next_view(self) -> None:
        self.action_view((self.view_index + 1) % len(self.views))

    def action_view(self, number: int) -> None:
        self.view_index = number
        self.ui.watch_for(self.view.needs)
        self.ui.clear_message()
        self.redraw()

    def action_order(self) -> None:
        self.view.order += 1
        self.view.offset = 0
        self.redraw()

    def action_filter(self) -> None:
        self.view.filter += 1
        self.view.offset = 0
        self.redraw()

    def action_scroll(self, rows: int, pages: int = 0) -> None:
        self.view.scroll(rows, pages=pages)
        self.redraw()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        match action:
            case "order":
                return bool(self.view.orders)
            case "filter":
                return bool(self.view.filters)
            case "scroll":
                return self.view.scrolls
        return True

    # ---- commands
    def action_command(self, kind: str, payload: dict[str, Any] | None = None) -> None:
        paths = self.ui.paths
        self.ui.ask(kind, lambda: control.command(paths, kind, payload, origin="terminal"))

    def action_pause(self) -> None:
        self.action_command("resume" if self.snapshot is not None and self.snapshot.state == "paused" else "pause")

    async def action_menu(self) -> None:
        from vsrpp.tui.screens.menu import Menu

        await self.ui.open(Menu())

    async def action_rollback(self) -> None:
        from vsrpp.tui.screens.rollback import RollbackPicker

        await self.ui.open(RollbackPicker())

    async def action_runs(self) -> None:
        from vsrpp.tui.screens.runs import RunPicker

        await self.ui.open(RunPicker())

    async def action_stop(self) -> None:
        from vsrpp.tui.screens.confirm import Confirm

        await self.ui.open(Confirm(self.t("stop.sure"), lambda: self.action_command("stop")))

    async def action_help(self) -> None:
        from vsrpp.tui.screens.help import Help

        await self.ui.open(Help())
