"""The runs of this host: pick one to watch it instead."""

from __future__ import annotations

from pathlib import Path

from vsrpp import control
from vsrpp.formats import NONE, day_minute, number, whole
from vsrpp.paths import RunPaths
from vsrpp.tui.actions import CallFinished
from vsrpp.tui.lines import Line, fit, line, pad, rpad
from vsrpp.tui.screens.picker import Picker


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
        self.list.cursor = watched[0] if watched else 0
        if event.error:
            self.ui.say(event.reads(self.t), "bad")
        self.redraw()

    def head(self, width: int) -> list[Line]:
        t = self.t
        names = f"{pad(t('col.run'), 13)} {pad(t('col.state'), 12)} {rpad(t('col.step'), 9)} {rpad(t('col.best'), 9)}"
        return [
            line(
                (
                    f"{names}  {t('col.time')}         {t('col.name')}" if width >= 72 else f"{names}  {t('col.name')}",
                    "dim",
                )
            )
        ]

    def rows(self, width: int) -> list[Line]:
        lines = []
        for row in self._found:
            best = number(row.best["psnr_y"], 2) if row.best else NONE
            style = "good" if row.state in ("training", "validating") else "warn" if row.state == "paused" else ""
            text = line(pad(row.run_id[:12], 13), " ", (pad(self.t(f"state.{row.state}"), 12), style))
            text += line(f" {rpad(whole(row.step), 9)} {rpad(best, 9)}  ")
            text += line(f"{day_minute(row.started)}  " if width >= 72 else "", str(row.name or ""))
            lines.append(fit(text, width))
        return lines

    async def chosen(self, number: int) -> None:
        paths = RunPaths(Path(self._found[number].run_dir))
        await self.ui.close()
        self.ui.attach(paths)
