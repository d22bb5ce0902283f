"""Editing a live parameter: the preview shows as one types, ENTER goes on to the reason, ENTER applies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from vsrpp import config, control
from vsrpp.config.condition import parse_conditions
from vsrpp.control import Preview
from vsrpp.control.narrate import who
from vsrpp.control.refusals import error_text
from vsrpp.errors import Refused
from vsrpp.formats import NONE, bound, value
from vsrpp.store import Answer
from vsrpp.tui import drafts
from vsrpp.tui.actions import CallFinished
from vsrpp.tui.lines import Line, rule, wrap
from vsrpp.tui.pages.preview import preview_lines, refusal
from vsrpp.tui.run_view import RunSnapshot
from vsrpp.tui.screens.base import Field, RunScreen, labelled, on


def warm_up() -> None:
    """Import what the first check needs (0.15 s) while the person still chooses."""
    config.check_changes({}, {})


class EditScreen(RunScreen):
    """What both edits share. An edit is made on the revision that was in force when it was opened."""

    BINDINGS: ClassVar[list[BindingType]] = [
        on("enter", "go_on", "next", "↵"),
        on("ctrl+p", "probation", "probation", "^P"),
        on("escape", "back", "back", "Esc"),
    ]

    def __init__(self, keys: Sequence[str], back_to: Callable[[str], RunScreen]) -> None:
        """`back_to` makes the screen that Esc leads to, from the key edited first."""
        super().__init__()
        self._back_to = back_to
        self._on_trial = False
        self.edited = tuple(keys)
        self._asked = 0
        self._looked_at: object = None
        """What the newest preview was asked for."""
        self._preview: Preview | None = None
        self._told: object = None
        """The edit of which was said that it ends the run: the next ENTER confirms it."""
        self._problem = ""
        self._base_revision: int | None = None

    def texts(self) -> dict[str, str]:
        """What is typed, by key; what is left empty is left out."""
        raise NotImplementedError

    def last_rows(self) -> ComposeResult:
        """Probation, hidden until it is asked for, and the reason."""
        for id, value_ in (("trial-steps", "50"), ("trial-if", "loss > 2x")):
            row = labelled(self.canvas(f"{id}-label"), self.field(id, value=value_))
            row.display = False
            yield row
        yield labelled(self.canvas("reason-label"), self.field("reason", hint=self.t("reason.hint")))

    def draw_last_rows(self) -> None:
        t = self.t
        self.fill("trial-steps-label").show([[(t("probation.steps"), "bold")]])
        self.fill("trial-if-label").show([[(t("probation.if"), "bold")]])
        self.fill("reason-label").show([[(t("reason"), "bold" if self.focused is self.reason else "dim")]])

    def probation(self) -> dict[str, Any] | None:
        """The terms as typed, None without probation. Raises Refused for terms that make no sense."""
        if not self._on_trial:
            return None
        steps, condition = self.entry("trial-steps").value.strip(), self.entry("trial-if").value.strip()
        if not steps.isdigit() or not int(steps):
            raise Refused(self.t("probation.bad_steps"))
        parse_conditions(condition)
        return {"steps": int(steps), "revert_if": condition or None}

    @property
    def reason(self) -> Field:
        return self.entry("reason")

    def on_mount(self) -> None:
        super().on_mount()
        self._base_revision = self.snapshot.revision if self.snapshot else None

    # ---- preview
    def on_input_changed(self, event: Field.Changed) -> None:
        self.look()

    def look(self) -> None:
        """Ask for the preview of what is typed now, unless it was asked for; an older answer no longer counts."""
        texts = self.texts()
        now = (texts, self._on_trial, self.entry("trial-steps").value, self.entry("trial-if").value)
        if now == self._looked_at:
            return
        self._looked_at = now
        self._asked += 1
        self._preview, self._problem = None, ""
        if texts:
            try:
                self.probation()
                changes = drafts.typed(texts, self.run_config)
            except Refused as error:
                self._problem = error_text(error, self.t)
            else:
                paths, base = self.ui.paths, self._base_revision
                self.ui.calls.ask(
                    "preview",
                    lambda: control.preview(paths, changes, base_revision=base, confirmed=True),
                    screen=self,
                    number=self._asked,
                )
        self.redraw()

    async def take(self, event: CallFinished) -> None:
        if event.number != self._asked:
            return
        self._problem = event.reads(self.t)
        self._preview = event.result
        if not self._ready and self.focused is self.reason:
            self._to_values()
        else:
            self.redraw()

    @property
    def _ready(self) -> bool:
        return self._preview is not None and not self._preview.errors and bool(self._preview.changes)

    # ---- going on
    async def action_go_on(self) -> None:
        """ENTER: from a value to the reason, from the reason to the run, without waiting for the preview."""
        await self.typed()
        self.look()
        checking = self._preview is None and not self._problem and bool(self.texts())
        if not checking and not self._ready:
            self._to_values()
        elif self.focused is not self.reason:
            self.set_focus(self.reason)
            self.redraw()
        elif self._preview is not None and self._preview.ends_run and self._told != self._looked_at:
            self._told = self._looked_at
            self.app.bell()
            self.ui.say(self.t("ends_run.again"), "warn")
        else:
            await self._send()

    def _to_values(self) -> None:
        """It would be refused: the preview says why, and the value is at hand."""
        if self.focused is self.reason:
            self.set_focus(self.query(Field).first())
        self.app.bell()
        self.redraw()

    async def _send(self) -> None:
        changes, trial = drafts.typed(self.texts(), self.run_config), self.probation()
        paths, base, reason = self.ui.paths, self._base_revision, self.reason.value.strip() or None
        t, confirmed = self.t, self._told is not None and self._told == self._looked_at

        def checked_and_applied() -> Answer:
            latest = control.preview(paths, changes, base_revision=base, confirmed=confirmed)
            if latest.errors:
                raise Refused(refusal(latest, self.ui.snapshot, t))
            return control.apply(
                paths, changes, origin="terminal", reason=reason, base_revision=base, probation=trial,
                confirmed=confirmed,
            )  # fmt: skip

        await self.ui.close()
        self.ui.ask("edit", checked_and_applied)

    def action_probation(self) -> None:
        """Show or hide the terms of a probation."""
        self._on_trial = not self._on_trial
        for id in ("trial-steps", "trial-if"):
            row = self.entry(id).parent
            assert row is not None
            row.display = self._on_trial
        if self._on_trial:
            self.set_focus(self.entry("trial-steps"))
        elif self.focused is None or (self.focused.id or "").startswith("trial"):
            self.set_focus(self.query(Field).first())
        self.look()

    async def action_back(self) -> None:
        if self.focused is self.reason:
            self.set_focus(self.query(Field).first())
            self.redraw()
        else:
            await self.ui.replace(self._back_to(self.edited[0]))

    def key_name(self, binding: Binding) -> str:
        on_reason = self.focused is not None and self.focused.id == "reason"
        return "apply" if binding.action == "go_on" and on_reason else binding.description

    def makes_sense(self, binding: Binding) -> bool:
        return binding.action != "go_on" or self._ready

    def preview_lines(self, snapshot: RunSnapshot, width: int) -> list[Line]:
        """What would follow, or why it would be refused."""
        head = rule(self.t("preview"), width)
        if self._problem:
            return [head, *wrap(self._problem, width, "bad")]
        if not self.texts():
            return [head, [(self.t("preview.type"), "dim")]]
        if self._preview is None:
            return [head, [(self.t("preview.wait"), "dim")]]
        return [head, *preview_lines(self._preview, self.probation(), snapshot, self.t, width)]


class EditParameter(EditScreen):
    """One parameter."""

    BINDINGS: ClassVar[list[BindingType]] = [
        on("up", "cycle(-1)"),
        on("down", "cycle(1)"),
    ]
    AUTO_FOCUS = "#value"

    def __init__(self, parameter: config.Parameter, back_to: Callable[[str], RunScreen]) -> None:
        super().__init__([parameter.key], back_to)
        self.parameter = parameter
        self._choices = [str(choice) for choice in parameter.choices] or (
            ["on", "off"] if parameter.type == "boolean" else []
        )

    def body(self) -> ComposeResult:
        yield self.canvas("about")
        yield labelled(self.canvas("value-label"), self.field("value"))
        yield from self.last_rows()
        yield self.canvas("main")

    def texts(self) -> dict[str, str]:
        text = self.entry("value").value.strip()
        return {self.parameter.key: text} if text else {}

    def draw(self, snapshot: RunSnapshot) -> None:
        width, parameter, t = self.size.width, self.parameter, self.t
        number = f"{parameter.menu}. " if parameter.menu else ""
        about = [rule(f"{number}{t.title(parameter)}", width, (parameter.key, "dim"))]
        room = self.room.height
        about += wrap(t.description(parameter), width, "dim")[: 1 if room < 14 else 2 if room < 17 else 6]
        facts = [t("now", value=self.t.value(parameter.key, snapshot.values.get(parameter.key), snapshot.run_config))]
        if self._choices:
            facts.append(t("choices", values=" ".join(self._choices)))
        else:
            facts.append(
                f"{t('range', low=bound(parameter.minimum), high=bound(parameter.maximum))} {t.unit(parameter)}".strip()
            )
        facts.append(
            t(
                "default",
                value=self.t.value(
                    parameter.key,
                    parameter.default_for(str(snapshot.run_config.get("preset", "base"))),
                    snapshot.run_config,
                ),
            )
        )
        event = snapshot.config.last_change(parameter.key)
        if event is not None:
            author = who(event)
            facts.append(t("set_by", who=author.text(t) if author else NONE, step=event.step))
        about += wrap("  ·  ".join(facts), width)
        self.fill("about").show(about)
        self.fill("value-label").show([[(t("new_value"), "bold")]])
        self.draw_last_rows()
        self.fill("main").show(self.preview_lines(snapshot, width))

    async def action_cycle(self, by: int) -> None:
        await self.typed()
        field = self.entry("value")
        now = self.snapshot.values.get(self.parameter.key) if self.snapshot else None
        present = field.value.strip() or value(self.parameter.key, now, run_config=self.run_config)
        at = self._choices.index(present) if present in self._choices else -1
        field.value = self._choices[(at + by) % len(self._choices)]
        field.cursor_position = len(field.value)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return bool(self._choices) and self.focused is not self.reason if action == "cycle" else True
