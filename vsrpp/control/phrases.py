"""What a narration is made of: keys of `vsrpp.texts` with their fields, which each face renders in its language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vsrpp import formats
from vsrpp.safe_text import safe
from vsrpp.texts import Texts


@dataclass(frozen=True, slots=True)
class Phrase:
    """A key of the texts with its fields: text, other phrases, or lists of them."""

    key: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    def text(self, t: Texts) -> str:
        """The phrase in the language of `t`."""
        return t(self.key, **{name: _read(value, t) for name, value in self.fields.items()})


@dataclass(frozen=True, slots=True)
class ParameterChanges:
    """Changes of parameters, {key, old, new}; `on` and `off` are translated, too."""

    made: tuple[Mapping[str, Any], ...]

    def text(self, t: Texts) -> str:
        return safe(formats.changes(self.made, (t("on"), t("off"))))


@dataclass(frozen=True, slots=True)
class ParameterValue:
    """A parameter's value."""

    key: str
    value: Any

    def text(self, t: Texts) -> str:
        return safe(formats.value(self.key, self.value, (t("on"), t("off"))))


@dataclass(frozen=True, slots=True)
class PhraseList:
    """`loss and quality`."""

    parts: tuple[Phrase, ...]

    def text(self, t: Texts) -> str:
        return f" {t('and')} ".join(part.text(t) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why something was refused or done, from the code on record; older records have only the English sentence."""

    english: str
    reason_code: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)

    def text(self, t: Texts) -> str:
        return t.reason(self.reason_code, self.fields, self.english)


Part = Phrase | ParameterChanges | ParameterValue | PhraseList | Explanation


def verbatim(text: object) -> Phrase:
    """Text that is the same in every language: a name, a person's words, an error."""
    return Phrase("verbatim", {"text": str(text)})


def _read(value: Any, t: Texts) -> str:
    return value.text(t) if isinstance(value, Part) else str(value)
