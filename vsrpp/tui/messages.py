"""The texts of the terminal UI: the catalogues' (`vsrpp.texts`), as this terminal can show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vsrpp import config, formats
from vsrpp.config.schema import LossTerm
from vsrpp.control.face_keys import FACE_KEYS
from vsrpp.texts import Texts
from vsrpp.tui.terminal import spelt_out

BUILT_KEYS: dict[str, tuple[str, ...]] = {
    **FACE_KEYS,
    "gradient{}": ("", ".short"),
    "momentum{}": ("", ".short"),
    "sort.{}": ("value", "trend", "name"),
    "menu.{}": ("safe", "careful", "careful.alone", "startup"),
    "do.{}": ("edit", "pause", "resume", "validate", "checkpoint", "rollback", "stop"),
    "help.{}": (
        "menu", "pause", "validate", "checkpoint", "rollback", "view", "sort", "scroll", "runs", "stop", "quit",
        "suspend", "low", "moderate", "high", "unusual", "limit", "best",
    ),
    "key.{}": (
        "menu", "pause", "resume", "validate", "checkpoint", "rollback", "view", "runs", "stop", "help", "quit", "sort",
        "filter", "scroll", "back", "choose", "next", "apply", "move", "field", "probation", "balance", "yes", "no",
    ),
    "short.{}": (
        "menu", "pause", "resume", "validate", "checkpoint", "rollback", "view", "runs", "stop", "help", "quit", "sort",
        "filter", "scroll",
    ),
    "{}": ("backward", "forward", "fusion", "all_runs", "rollback", "runs.wait", "rollback.none"),
}  # fmt: skip
"""Keys that are put together from parts, or handed on in a variable (`{}`), with the parts there are."""


class TerminalTexts(Texts):
    """`t("eta", span="4:05")` in one language; without Unicode, umlauts are spelt out."""

    def __init__(self, lang: str = "en", *, unicode: bool = True) -> None:
        """Raises ValueError for a language that is not there."""
        super().__init__(lang, face="terminal")
        self._unicode = unicode

    def __call__(self, key: str, /, **fields: Any) -> str:
        return self.spelt(super().__call__(key, **fields))

    def reason(self, code: str, fields: Mapping[str, Any], english_text: str) -> str:
        return self.spelt(super().reason(code, fields, english_text))

    def spelt(self, text: str) -> str:
        """The text as this terminal can show it."""
        return text if self._unicode else spelt_out(text)

    def title(self, parameter: config.Parameter) -> str:
        """A parameter's label: the schema's title, or its German."""
        return self.spelt(parameter.title_in(self.language))

    def description(self, parameter: config.Parameter) -> str:
        """What the parameter does: the schema's description, or its German."""
        return self.spelt(parameter.description_in(self.language))

    def value(self, key: str, thing: Any, run_config: Mapping[str, Any] | None = None) -> str:
        """A parameter's value for display; what is typed stays as the config writes it."""
        return formats.value(key, thing, (self("on"), self("off")), run_config)

    def term(self, term: LossTerm) -> str:
        """The label of a loss term."""
        return self.spelt(term.label_in(self.language))

    def changes(self, made: Iterable[Mapping[str, Any]]) -> str:
        """`max_lr 1.50e-04 → 2.00e-04, grad_clip 1.0 → 0.5`."""
        return formats.changes(made, (self("on"), self("off")))

    def unit(self, parameter: config.Parameter) -> str:
        return self.spelt(parameter.unit_in(self.language))
