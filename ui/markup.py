"""Where data becomes HTML: one Jinja2 environment that escapes every value, and the pieces it renders.

The templates stand in `ui/templates`. In them, `t` gives a sentence in the reader's language and the functions of
`vsrpp.formats` are filters; `px` writes a pixel; `needs` names the role of an action. Whoever needs markup names a
template and its fields: a `Piece`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream

from vsrpp import formats
from vsrpp.control import needed_for
from vsrpp.safe_text import printable

from .messages import Texts

TEMPLATES = Path(__file__).resolve().parent / "templates"
FILTERS = (
    formats.clock, formats.count, formats.duration, formats.number, formats.percent, formats.short_count,
    formats.signed, formats.size, formats.whole,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Piece:
    """A template with what it is filled in with: plain data until it is rendered."""

    template: str
    """The name of a file in `ui/templates`, without `.html`."""
    fields: dict[str, object]


def piece(template: str, **fields: object) -> Piece:
    return Piece(template, fields)


def render(shown: Piece | None, t: Texts) -> str:
    """The piece as HTML, with every value escaped; no piece is an empty string.

    Raises jinja2.TemplateError for a template or a field that does not exist.
    """
    if shown is None:
        return ""
    return _environment(t).get_template(f"{shown.template}.html").render(shown.fields)


@lru_cache(maxsize=8)
def _environment(t: Texts) -> Environment:
    """One per language: imported macros then see `t` and are still compiled only once."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, auto_reload=False,
        extensions=[LineBreaks], finalize=_without_controls,
    )  # fmt: skip
    environment.globals |= {"t": t, "needs": needs}
    environment.filters.update({function.__name__: function for function in FILTERS}, px=_pixel)
    return environment


def _without_controls(value: object) -> object:
    """Every text that goes into a page, printable; line breaks stay, HTML has no use for them."""
    return "\n".join(map(printable, value.split("\n"))) if type(value) is str else value


def needs(action: str) -> str:
    """The class of a button for an action: the page's script bars it for visitors without the role."""
    return f"needs-{needed_for(action).word}"


def _pixel(value: float) -> str:
    return f"{value:.1f}"


class LineBreaks(Extension):
    """Lets templates be indented without a trace in the page, where spaces between inline elements would show.

    A line break beside a tag or a Jinja mark prints nothing, any other a single space. It takes the place of
    `trim_blocks` and `lstrip_blocks`, which leave the breaks between tags.
    """

    def filter_stream(self, stream: TokenStream) -> Iterable[Token]:
        return self._without_breaks(stream)

    @staticmethod
    def _without_breaks(stream: Iterable[Token]) -> Iterator[Token]:
        for token in stream:
            value = _BREAK.sub(_joined, token.value) if token.type == "data" else token.value
            yield Token(token.lineno, token.type, value)


_BREAK = re.compile(r"[ \t]*\n\s*")


def _joined(match: re.Match[str]) -> str:
    text, start, end = match.string, match.start(), match.end()
    return "" if start == 0 or end == len(text) or text[start - 1] == ">" or text[end] == "<" else " "
