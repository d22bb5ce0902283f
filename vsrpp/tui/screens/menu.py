"""The menu of the live parameters: type a number or a name, or move to it; ENTER opens it."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from vsrpp import config
from vsrpp.config.schema import fault_of_plugins
from vsrpp.formats import bound
from vsrpp.tui.drafts import group_of, near_limit
from vsrpp.tui.lines import Line, cut, rule
from vsrpp.tui.run_view import RunSnapshot
from vsrpp.tui.screens.base import Field, RunScreen, labelled, on
from vsrpp.tui.widgets import PADDING, Table, TableColumn

WIDE = 72
"""From this width on it also says who set a value."""


class Menu(RunScreen):
    """Numbers 10 and up; the startup parameters stand below, shown and locked."""

    BINDINGS: ClassVar[list[BindingType]] = [
        on("up", "move(-1)", "move", "↑↓"),
        on("down", "move(1)"),
        on("pageup", "move(-10)"),
        on("pagedown", "move(10)"),
        on("enter", "choose", "choose", "↵"),
        on("escape", "back", "back", "Esc"),
    ]
    AUTO_FOCUS = "#number"

    def __init__(self, chosen: str | None = None) -> None:
        super().__init__()
        self._chosen = chosen
        self._at = 0

    @property
    def parameters(self) -> list[config.Parameter]:
        """Those of the run: ours, and those of its plug-ins."""
        return list(config.parameters(self.run_config).values())

    def body(self) -> ComposeResult:
        yield self.canvas("title")
        yield labelled(self.canvas("number-label"), self.field("number", hint=self.t("menu.hint")))
        yield self.table(cursor=True, header=False)

    def on_mount(self) -> None:
        super().on_mount()
        from vsrpp.tui.screens.edit import warm_up

        self.ui.calls.ask("warm up", warm_up)
        fault = fault_of_plugins(self.run_config or {})
        if fault:
            self.ui.say(fault, "warn")

    # ---- drawing
    def draw(self, snapshot: RunSnapshot) -> None:
        width, wide = self.size.width, self.size.width >= WIDE
        self.fill("number-label").show([[(self.t("menu.prompt"), "bold")]])
        parameters = self.parameters
        if self._chosen is not None:
            keys = [parameter.key for parameter in parameters]
            self._at = keys.index(self._chosen) if self._chosen in keys else 0
            self._chosen = None
        rows: list[list[Line]] = []
        place = 0
        previous = ""
        for number, parameter in enumerate(parameters):
            title = self._heading(parameter)
            if title != previous:
                heading: list[Line] = [[], [(self.t(f"menu.{title}"), "dim")], [], []]
                rows.append([*heading, []] if wide else heading)
                previous = title
            if number == self._at:
                place = len(rows)
            rows.append(self._row(snapshot, parameter, width))
        widths = [3, 30, 10, 17] if wide else [3, 24 if width >= 56 else 18, 10]
        columns = [TableColumn("", right=number in (0, 2), width=cells) for number, cells in enumerate(widths)]
        columns.append(TableColumn("", width=width - sum(widths) - PADDING * (len(widths) + 1)))
        table = self.rows
        table.show(Table(columns, rows))
        if table.cursor_row != place:
            table.move_cursor(row=place)
        right = f"{self.t('revision', n=snapshot.revision)}  {table.place(self.t)}"
        self.fill("title").show([rule(f"⚙ {self.t('menu')}", width, (right, "dim"))])

    def _heading(self, parameter: config.Parameter) -> str:
        alone = parameter.tier == "careful" and len(group_of(parameter.key, self.run_config)) == 1
        return "careful.alone" if alone else parameter.tier

    def _row(self, snapshot: RunSnapshot, parameter: config.Parameter, width: int) -> list[Line]:
        live = parameter.live
        present = (snapshot.values if live else snapshot.run_config).get(parameter.key)
        event = snapshot.config.last_change(parameter.key) if live else None
        text = cut(self.t.value(parameter.key, present, snapshot.run_config), 10)
        style = "warn" if live and near_limit(parameter, present) is not None else "bold" if live else "dim"
        row: list[Line] = [
            [(f"{parameter.menu}." if live else "🔒", "key" if live else "dim")],
            [(self.t.title(parameter), "" if live else "dim")],
            [(text, style)],
            [(self._range(parameter) if live else "", "dim")],
        ]
        author = f"{event.author or event.origin} @{event.step}" if event else ""
        return row if width < WIDE else [*row, [(author, "info")]]

    def _range(self, parameter: config.Parameter) -> str:
        if parameter.choices:
            return " ".join(map(str, parameter.choices))
        if parameter.type == "boolean":
            return f"{self.t('on')} / {self.t('off')}"
        return f"({bound(parameter.minimum)} – {bound(parameter.maximum)})"

    # ---- choosing
    def on_input_changed(self, event: Field.Changed) -> None:
        if self._look_up():
            self.ui.clear_message()
        else:
            self.ui.say(self.t("menu.unknown", text=event.value.strip()), "warn")
        self.redraw()

    async def action_choose(self) -> None:
        await self.typed()
        if self._look_up():
            await self._open(self.parameters[self._at])
        else:
            self.app.bell()

    def _look_up(self) -> bool:
        """Move to what is typed; False if there is no such parameter."""
        index = self._find(self.entry("number").value.strip())
        self._at = self._at if index is None else index
        return index is not None

    def _find(self, text: str) -> int | None:
        """The parameter with that number, else the first whose number, key or title begins so, else holds it."""
        if not text:
            return self._at
        low = text.lower()
        tests = (
            lambda p: str(p.menu) == low,
            lambda p: p.menu is not None and str(p.menu).startswith(low),
            lambda p: p.key.startswith(low) or self.t.title(p).lower().startswith(low),
            lambda p: low in p.key or low in self.t.title(p).lower(),
        )
        for test in tests:
            for number, parameter in enumerate(self.parameters):
                if test(parameter):
                    return number
        return None

    async def _open(self, parameter: config.Parameter) -> None:
        from vsrpp.tui.screens.edit import EditParameter
        from vsrpp.tui.screens.weights import EditWeights

        if not parameter.live:
            self.ui.say(self.t("menu.locked", key=parameter.key, run=self.ui.paths.run_id), "warn")
            return
        keys = group_of(parameter.key, self.run_config)
        self.ui.clear_message()
        if len(keys) == 1:
            await self.ui.replace(EditParameter(parameter, back_to=Menu))
        else:
            await self.ui.replace(EditWeights(keys, parameter.key, back_to=Menu))

    async def action_move(self, by: int) -> None:
        await self.typed()
        self._at = max(0, min(len(self.parameters) - 1, self._at + by))
        field = self.entry("number")
        if field.value:
            with field.prevent(Field.Changed):
                field.value = ""
        self.ui.clear_message()
        self.redraw()

    async def action_back(self) -> None:
        await self.ui.close()
