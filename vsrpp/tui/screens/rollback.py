"""Back to a checkpoint: pick it from the table, say why if you like."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from vsrpp import control
from vsrpp.control.run_view import SavedCheckpoint
from vsrpp.formats import number, size, time_of_day, whole
from vsrpp.tui.lines import Line, line, rpad, rule, wrap
from vsrpp.tui.run_view import RunSnapshot
from vsrpp.tui.screens.base import RunScreen, labelled, on
from vsrpp.tui.screens.picker import Picker


class RollbackPicker(Picker):
    """The checkpoints on disk, newest first, the best one marked."""

    heading = "rollback"
    empty = "rollback.none"

    def checkpoints(self) -> list[SavedCheckpoint]:
        return (
            [checkpoint for checkpoint in reversed(self.snapshot.checkpoints) if checkpoint.step <= self.snapshot.step]
            if self.snapshot
            else []
        )

    def head(self, width: int) -> list[Line]:
        t = self.t
        names = f"{rpad(t('col.step'), 10)}  {rpad('PSNR-Y', 8)} {rpad(t('col.revision'), 9)} {rpad(t('col.time'), 9)}"
        return [line((names + (f"  {rpad(t('col.size'), 10)}" if width >= 60 else ""), "dim"))]

    def rows(self, width: int) -> list[Line]:
        best = self.snapshot.best["step"] if self.snapshot and self.snapshot.best else None
        lines = []
        for checkpoint in self.checkpoints():
            place = whole(checkpoint.step) + (f"/{checkpoint.branch}" if checkpoint.branch else "")
            row = line(
                rpad(place, 10),
                (" ★" if checkpoint.step == best else "  ", "info"),
                rpad(number(checkpoint.psnr_y, 2), 8),
            )
            row += line(f" {rpad(str(checkpoint.revision), 9)} {rpad(time_of_day(checkpoint.time), 9)}")
            lines.append(row + line(f"  {rpad(size(checkpoint.size_bytes), 10)}" if width >= 60 else ""))
        return lines

    async def chosen(self, number: int) -> None:
        await self.ui.replace(ConfirmRollback(self.checkpoints()[number]))


class ConfirmRollback(RunScreen):
    """What will follow; ENTER does it, with or without a reason."""

    BINDINGS: ClassVar[list[BindingType]] = [on("enter", "apply"), on("escape", "back")]
    AUTO_FOCUS = "#reason"

    def __init__(self, checkpoint: SavedCheckpoint) -> None:
        super().__init__()
        self._to = checkpoint

    def body(self) -> ComposeResult:
        yield self.canvas("about")
        yield labelled(self.canvas("reason-label"), self.field("reason", hint=self.t("reason.hint")))

    def draw(self, snapshot: RunSnapshot) -> None:
        width = self.size.width
        text = self.t("rollback.sure", step=whole(self._to.step), n=whole(max(0, snapshot.step - self._to.step)))
        self.fill("about").show([rule(self.t("rollback"), width), *wrap(text, width), []])
        self.fill("reason-label").show([[(self.t("reason"), "bold")]])

    def keys(self) -> list[tuple[str, str, bool]]:
        return [("↵", "rollback", True), ("Esc", "back", True)]

    async def action_apply(self) -> None:
        await self.typed()
        paths, step, reason = self.ui.paths, self._to.step, self.entry("reason").value.strip() or None
        await self.ui.close()
        self.ui.ask(
            "rollback", lambda: control.command(paths, "rollback", {"step": step}, origin="terminal", reason=reason)
        )

    async def action_back(self) -> None:
        await self.ui.replace(RollbackPicker())
