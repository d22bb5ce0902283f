"""The loss weights, edited as one: their sum is held near 1."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from vsrpp import config
from vsrpp.formats import finite, value
from vsrpp.tui import drafts
from vsrpp.tui.drawing import stacked
from vsrpp.tui.lines import Line, line, pad, rule
from vsrpp.tui.run_view import RunSnapshot
from vsrpp.tui.screens.base import RunScreen, labelled, on
from vsrpp.tui.screens.edit import EditScreen


class EditWeights(EditScreen):
    """One field per weight; arrows and TAB move between them, = scales the others so that all sum to 1."""

    BINDINGS: ClassVar[list[BindingType]] = [
        on("up", "app.focus_previous", "field", "↑↓"),
        on("down", "app.focus_next"),
        on("equals_sign", "balance", "balance", "="),
    ]

    def __init__(self, keys: Sequence[str], first: str, back_to: Callable[[str], RunScreen]) -> None:
        super().__init__(keys, back_to)
        self._first = first

    def body(self) -> ComposeResult:
        yield self.canvas("title")
        for key in self.edited:
            present = value(key, self.snapshot.values.get(key), run_config=self.run_config) if self.snapshot else ""
            yield labelled(self.canvas(f"{key}-label"), self.field(key, value=present, leaves="="))
        yield from self.last_rows()
        yield self.canvas("main")

    def on_mount(self) -> None:
        super().on_mount()
        field = self.entry(self._first)
        field.focus()
        field.select_all()

    def texts(self) -> dict[str, str]:
        """What differs from the config in force: a weight left alone is no part of the edit."""
        typed = {key: self.entry(key).value.strip() for key in self.edited}
        present = self.snapshot.values if self.snapshot else {}
        read = drafts.typed({key: text for key, text in typed.items() if text}, self.run_config)
        return {key: typed[key] for key, weight in read.items() if weight != present.get(key)}

    def values(self) -> dict[str, float] | None:
        """The weights as typed (as they are where a field is empty), or None if one is no number."""
        texts = self.texts()
        present = {key: finite(self.snapshot.values.get(key)) if self.snapshot else None for key in self.edited}
        numbers = {key: finite(new) for key, new in {**present, **drafts.typed(texts, self.run_config)}.items()}
        return None if None in numbers.values() else {key: known for key, known in numbers.items() if known is not None}

    def draw(self, snapshot: RunSnapshot) -> None:
        width, t, parameters = self.size.width, self.t, config.parameters(snapshot.run_config)
        terms = {term.key: term for term in snapshot.terms}
        rule_ = drafts.sum_rule(self.edited[0], snapshot.run_config)
        assert rule_ is not None
        weights = self.values()
        total = round(math.fsum(weights.values()), 9) if weights else None
        style = drafts.sum_style(total, rule_)
        bounds = f"{t('sum', sum='–' if total is None else f'{total:g}')} {t('sum.range')}"
        sign = {"bad": " !!", "warn": " !"}.get(style, "")
        self.fill("title").show([rule(t("weights"), width, (bounds + sign, style))])
        for key, term in terms.items():
            if key in self.edited:
                name = line((f"{parameters[key].menu}. ", "key"), (t.title(parameters[key]), term.colour))
                self.fill(f"{key}-label").show([name])
        self.draw_last_rows()
        lines: list[Line] = []
        if weights:
            colours = dict.fromkeys(weights, "") | {key: term.colour for key, term in terms.items()}
            lines.append(line((pad(t("weights_bar"), 10), "dim"), *stacked(weights, colours, width - 10)))
        lines += [
            [(t("no_weights_file", term=t.term(term), key=term.weights_file), "dim")]
            for term in terms.values()
            if term.weights_file and snapshot.run_config.get(term.weights_file) is None
        ]
        self.fill("main").show([*lines, *self.preview_lines(snapshot, width)])

    async def action_balance(self) -> None:
        await self.typed()
        focused, weights = self.focused, self.values()
        if focused is None or focused.id not in self.edited or weights is None:
            return
        for key, weight in drafts.balanced(weights, focused.id).items():
            if key != focused.id:
                self.entry(key).value = f"{weight:g}"

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "balance":
            return self.focused is not None and self.focused.id in self.edited
        return True
