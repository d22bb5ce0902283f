"""The run itself: the five views, and every command on a key."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from vsrpp import control
from vsrpp.tui.lines import rule
from vsrpp.tui.pages import views
from vsrpp.tui.run_view import RunSnapshot
from vsrpp.tui.screens.base import RunScreen, on
from vsrpp.tui.screens.overview import OverviewBody

COMMANDS = frozenset({"pause", "validate", "checkpoint", "rollback", "stop"})
"""What only a live run can do."""


class Home(RunScreen):
    """Nothing here waits: a command is asked for in a thread, its answer comes as a message."""

    BINDINGS: ClassVar[list[BindingType]] = [
        on("o", "order", "sort"),
        on("f", "filter", "filter"),
        on("up", "scroll(-1)", "scroll", "↑↓"),
        on("down", "scroll(1)"),
        on("enter", "menu", "menu", "↵"),
        on("p", "pause", "pause"),
        on("v", "command('validate')", "validate"),
        on("c", "command('checkpoint')", "checkpoint"),
        on("b", "rollback", "rollback"),
        on("s", "next_view", "view"),
        on("r", "runs", "runs"),
        on("x", "stop", "stop"),
        on("question_mark", "help", "help", "?"),
        on("q", "app.leave", "quit"),
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
        self._overview = OverviewBody()

    @property
    def view(self) -> views.View:
        return self.views[self.view_index]

    def body(self) -> ComposeResult:
        yield self._overview
        yield self.canvas("main")
        yield self.table()

    def draw(self, snapshot: RunSnapshot) -> None:
        room, view, t = self.room, self.view, self.t
        overview = self._overview
        overview.display = isinstance(view, views.Overview)
        self.fill("main").display = not overview.display
        if overview.display:
            self.rows.display = False
            overview.show(snapshot, t, room.width, room.height)
            return
        lines = view.lines(snapshot, t, room.width, room.height)
        self.rows.display = view.scrolls
        if view.scrolls:
            table = view.table(snapshot, t, room.width)
            self.rows.show(table)
            self.rows.display = bool(table.rows)
            lines.append(rule(view.title(t), room.width, (self.rows.place(t), "dim") if table.rows else ""))
            lines += [] if table.rows else [[(view.empty(snapshot, t), "dim")]]
        self.fill("main").show(lines)

    def key_name(self, binding: Binding) -> str:
        paused = self.snapshot is not None and self.snapshot.state == "paused"
        return "resume" if binding.action == "pause" and paused else binding.description

    def makes_sense(self, binding: Binding) -> bool:
        return binding.description not in COMMANDS or (self.snapshot is not None and self.snapshot.live)

    # ---- what is shown
    def action_next_view(self) -> None:
        self.action_view((self.view_index + 1) % len(self.views))

    def action_view(self, number: int) -> None:
        self.view_index = number
        self.rows.scroll_home(animate=False, immediate=True)
        self.ui.watch_for(self.view.needs)
        self.ui.clear_message()
        self.redraw()

    def action_order(self) -> None:
        self.view.order += 1
        self.redraw()
        self.rows.scroll_home(animate=False, immediate=True)

    def action_filter(self) -> None:
        self.view.filter += 1
        self.redraw()
        self.rows.scroll_home(animate=False, immediate=True)

    def action_scroll(self, rows: int, pages: int = 0) -> None:
        self.rows.move(rows, pages=pages)

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
