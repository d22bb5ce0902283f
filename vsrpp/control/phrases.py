"""What a narration is made of: keys of `vsrpp.texts` with their fields, which each face renders in its language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vsrpp import config, formats
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
        return formats.changes(self.made, (t("on"), t("off")))


@dataclass(frozen=True, slots=True)
class ParameterValue:
    """A parameter's value."""

    key: str
    value: Any

    def text(self, t: Texts) -> str:
        return formats.value(self.key, self.value, (t("on"), t("off")))


@dataclass(frozen=True, slots=True)
class PhraseList:
    """`loss and quality`."""

    parts: tuple[Phrase, ...]

    def text(self, t: Texts) -> str:
        return f" {t('and')} ".join(part.text(t) for part in self.parts)


@dataclass(frozen=True, slots=True)
class WhyRefused:
    """Why a value was refused, from the reason code on record; records from before there were codes have the sentence."""

    problem: config.Problem

    def text(self, t: Texts) -> str:
        return t.reason(self.problem.reason_code, self.problem.fields, self.problem.message or formats.NONE)


Part = Phrase | ParameterChanges | ParameterValue | PhraseList | WhyRefused


def verbatim(text: object) -> Phrase:
    """Text that is the same in every language: a name, a person's words, an error."""
    return Phrase("verbatim", {"text": str(text)})


def _read(value: Any, t: Texts) -> str:
    return value.text(t) if isinstance(value, Part) else str(value)
