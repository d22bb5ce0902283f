"""The runs of this host: pick one to watch it instead."""

from __future__ import annotations

from pathlib import Path

from vsrpp import control
from vsrpp.formats import NONE, day_minute, number, whole
from vsrpp.paths import RunPaths
from vsrpp.tui.actions import CallFinished
from vsrpp.tui.lines import Line
from vsrpp.tui.screens.picker import Picker
from vsrpp.tui.widgets import Table, TableColumn


class RunPicker(Picker):
    """Live ones first, then newest first. They are looked up in a thread: there may be many."""

    heading = "all_runs"

    def __init__(self) -> None:
        super().__init__()
        self._found: list[control.RunRow] = []
        self.empty = "runs.wait"

    def on_mount(self) -> None:
        super().on_mount()
        folder = self.ui.paths.root.parent
        self.ui.calls.ask("runs", lambda: control.runs(folder), screen=self)

    async def take(self, event: CallFinished) -> None:
        """The list has come."""
        self._found = event.result or []
        watched = [
            number for number, row in enumerate(self._found) if Path(row.run_dir) == self.ui.paths.root.resolve()
        ]
        if event.error:
            self.ui.say(event.reads(self.t), "bad")
        self.redraw()
        self.rows.move_cursor(row=watched[0] if watched else 0)

    def content(self, width: int) -> Table:
        t = self.t
        columns = [TableColumn(t("col.run")), TableColumn(t("col.state")), TableColumn(t("col.step"), right=True),
                   TableColumn(t("col.best"), right=True), *([TableColumn(t("col.time"))] if width >= 72 else []),
                   TableColumn(t("col.name"))]  # fmt: skip
        rows = []
        for row in self._found:
            best = number(row.best["psnr_y"], 2) if row.best else NONE
            style = (
                "good"
                if row.state in ("training", "validating")
                else "warn"
                if row.state in ("paused", "waiting")
                else ""
            )
            cells: list[Line] = [
                [(row.run_id[:12], "")], [(t(f"state.{row.state}"), style)], [(whole(row.step), "")], [(best, "")]
            ]  # fmt: skip
            cells += [[(day_minute(row.started), "")]] if width >= 72 else []
            rows.append([*cells, [(str(row.name or ""), "")]])
        return Table(columns, rows)

    async def chosen(self, number: int) -> None:
        paths = RunPaths(Path(self._found[number].run_dir))
        await self.ui.close()
        self.ui.attach(paths)
