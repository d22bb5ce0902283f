"""Back to a checkpoint: pick it from the table, say why if you like."""

from __future__ import annotations

from itertools import zip_longest
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from vsrpp import control
from vsrpp.control.run_view import SavedCheckpoint
from vsrpp.formats import number, size, time_of_day, whole
from vsrpp.tui.lines import rule, wrap
from vsrpp.tui.run_view import RunSnapshot
from vsrpp.tui.screens.base import RunScreen, labelled, on
from vsrpp.tui.screens.picker import Picker
from vsrpp.tui.widgets import Table, TableColumn


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

    def content(self, width: int) -> Table:
        t = self.t
        best = self.snapshot.best["step"] if self.snapshot and self.snapshot.best else None
        columns = [
            TableColumn(t("col.step"), right=True), TableColumn(""), TableColumn("PSNR-Y", right=True),
            TableColumn(t("col.revision"), right=True), TableColumn(t("col.time"), right=True),
            TableColumn(t("col.size"), right=True),
        ]  # fmt: skip
        columns = columns if width >= 60 else columns[:-1]
        rows = []
        for saved in self.checkpoints():
            place = whole(saved.step) + (f"/{saved.branch}" if saved.branch else "")
            texts = [place, "★" if saved.step == best else "", number(saved.psnr_y, 2), str(saved.revision)]
            texts += [time_of_day(saved.time), size(saved.size_bytes)]
            styles = ("", "info")
            rows.append([[(text, style)] for text, style in zip_longest(texts[: len(columns)], styles, fillvalue="")])
        return Table(columns, rows)

    async def chosen(self, number: int) -> None:
        await self.ui.replace(ConfirmRollback(self.checkpoints()[number]))


class ConfirmRollback(RunScreen):
    """What will follow; ENTER does it, with or without a reason."""

    BINDINGS: ClassVar[list[BindingType]] = [
        on("enter", "apply", "rollback", "↵"),
        on("escape", "back", "back", "Esc"),
    ]
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
        ends = wrap(f"! {self.t('ends_run')}", width, "warn") if snapshot.ends_at(self._to) else []
        self.fill("about").show([rule(self.t("rollback"), width), *wrap(text, width), *ends, []])
        self.fill("reason-label").show([[(self.t("reason"), "bold")]])

    async def action_apply(self) -> None:
        await self.typed()
        paths, step, reason = self.ui.paths, self._to.step, self.entry("reason").value.strip() or None
        told = self.snapshot is not None and self.snapshot.ends_at(self._to)
        await self.ui.close()
        self.ui.ask(
            "rollback",
            lambda: control.command(
                paths, "rollback", {"step": step}, origin="terminal", reason=reason, confirmed=told
            ),
        )

    async def action_back(self) -> None:
        await self.ui.replace(RollbackPicker())
