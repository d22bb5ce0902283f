"""The sentences that people read, in English and German, from the gettext catalogues `vsrpp/locale/LANGUAGE/LC_MESSAGES`.

A catalogue has one entry per key and face: `msgctxt` is `panel` or `terminal` where the two differ, and absent where they
share a text. German has the refusals too (`msgctxt "reason"`, by reason code); their English is the reason itself. The
catalogues are read as they are written, so there is no compiled file to keep in step. The command line, logs, records
and what goes to MLflow speak English whatever the locale: `english`.
"""

from __future__ import annotations

import gettext
import io
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from vsrpp.safe_text import safe, safe_data

LANGUAGES = ("en", "de")
FACES = ("panel", "terminal")
NAMES = {"en": "English", "de": "Deutsch"}
"""Each language in its own words, for a switch."""
FOLDER = Path(__file__).resolve().parent / "locale"
DOMAIN = "vsrpp"
_LISTS = ("choices", "expected", "keys")
"""Fields of reasons that list alternatives: `none, reduce_lr or boost_lr`."""


def catalogue_file(language: str) -> Path:
    return FOLDER / language / "LC_MESSAGES" / f"{DOMAIN}.po"


@cache
def catalogue(language: str) -> gettext.GNUTranslations:
    """The catalogue of a language, read once per process. Raises ValueError for a language that is not in LANGUAGES."""
    if language not in LANGUAGES:
        raise ValueError(f"language {language} is not one of {', '.join(LANGUAGES)}")
    from babel.messages import mofile, pofile

    compiled = io.BytesIO()
    with catalogue_file(language).open("rb") as file:
        mofile.write_mo(compiled, pofile.read_po(file))
    compiled.seek(0)
    texts = gettext.GNUTranslations(compiled)
    texts.add_fallback(_NoText())
    return texts


class _NoText(gettext.NullTranslations):
    """What a catalogue answers for a key it has not: nothing, where gettext's own answer is the key."""

    def gettext(self, message: str) -> str:
        return ""

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return ""

    def pgettext(self, context: str, message: str) -> str:
        return ""

    def npgettext(self, context: str, msgid1: str, msgid2: str, n: int) -> str:
        return ""


class Texts:
    """`t("says.paused", step=40)` in one language, with what is special to one of FACES."""

    def __init__(self, language: str = "en", *, face: str = "") -> None:
        """Raises ValueError for a language that is not in LANGUAGES."""
        if language not in LANGUAGES:
            raise ValueError(f"language {language} is not one of {', '.join(LANGUAGES)}")
        self.language = language
        self.face = face

    def __call__(self, key: str, /, **fields: Any) -> str:
        """The sentence of a key. Where the key has a singular and a plural, the field `n` decides. Raises KeyError."""
        text = self._find(self.face, key, fields.get("n")) if self.face else ""
        text = text or self._find("", key, fields.get("n"))
        if not text:
            raise KeyError(f"no text {key} for {self.face or 'all faces'} in {self.language}")
        return text.format(**_safe_fields(fields)) if fields else text

    def reason(self, code: str, fields: Mapping[str, Any], english_text: str) -> str:
        """Why something was refused, from its reason code; `english_text` where this language has nothing of its own."""
        text = self._find("reason", code) if code and self.language != "en" else ""
        if not text or not isinstance(fields, Mapping):
            return safe(english_text)
        try:
            return text.format(**{name: self._word(name, value) for name, value in safe_data(fields).items()})
        except (KeyError, IndexError, ValueError):  # recorded by a version with other fields
            return safe(english_text)

    def _word(self, name: str, value: Any) -> Any:
        """A reason's field: words of ours in this language, anything else as it is."""
        if not isinstance(value, str):
            return value
        if name in _LISTS:
            return f" {self('or')} ".join(self._find("reason.word", part) or part for part in value.split(" or "))
        return self._find("reason.word", value) or value

    def _find(self, context: str, key: str, count: Any = None) -> str:
        """The text, or an empty string."""
        texts, number = catalogue(self.language), _number(count)
        if context:
            return texts.npgettext(context, key, key, number) or texts.pgettext(context, key)
        return texts.ngettext(key, key, number) or texts.gettext(key)


def _safe_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields with their texts safe; markup that a template made stays."""
    return {name: safe(value) if type(value) is str else value for name, value in fields.items()}


def _number(count: Any) -> int:
    """The count that chooses between singular and plural: 1 is one, all else (and a fraction, and no number) is many."""
    try:
        return 1 if float(count) == 1 else 2
    except (TypeError, ValueError):
        return 2


def language_of_environment(environ: Mapping[str, str] | None = None) -> str:
    """The first language of LC_ALL, LC_MESSAGES or LANG if there is a catalogue of it, else English."""
    env = os.environ if environ is None else environ
    locale = next((env[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if env.get(name)), "")
    language = locale.replace("-", "_").partition("_")[0].partition(".")[0].lower()
    return language if language in LANGUAGES else "en"


english = Texts("en")
"""For the command line, MLflow, alerts and logs."""
