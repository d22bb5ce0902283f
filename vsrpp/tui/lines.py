"""Lines of styled text: cut, padded, put side by side. A style is a name, or `#rrggbb`; `widgets.look` knows its look."""

from __future__ import annotations

import re
import textwrap

from rich.cells import cell_len, set_cell_size

Span = tuple[str, str]
"""(text, style)"""
Line = list[Span]
Part = str | Span
_COMMAND = re.compile(r"vsrpp [a-z]+ .*$")
_GLUE = "\x00"


def line(*parts: Part) -> Line:
    """Parts in order; a bare string is unstyled, an empty one is left out."""
    spans = [(part, "") if isinstance(part, str) else part for part in parts]
    return [span for span in spans if span[0]]


def length(spans: Line) -> int:
    """Cells the line takes."""
    return sum(cell_len(text) for text, _ in spans)


def fit(spans: Line, width: int) -> Line:
    """Exactly `width` cells: padded, or cut with an ellipsis."""
    width = max(0, width)
    have = length(spans)
    if have <= width:
        return [*spans, (" " * (width - have), "")] if have < width else spans
    kept: Line = []
    left = width - 1
    for text, style in spans:
        cells = cell_len(text)
        if cells >= left:
            return [*kept, (set_cell_size(text, max(0, left)), style), ("…", style)][: None if width else 0]
        kept.append((text, style))
        left -= cells
    return kept


def cut(text: str, width: int) -> str:
    """The text in at most `width` cells, the end left out if need be."""
    return text if cell_len(text) <= width else set_cell_size(text, max(0, width - 1)) + "…"


def pad(text: str, width: int) -> str:
    """The text in exactly `width` cells, at the left."""
    return set_cell_size(cut(text, width), width)


def rpad(text: str, width: int) -> str:
    """The text in at least `width` cells, at the right."""
    return " " * max(0, width - cell_len(text)) + text


def ends(left: Line, right: Line, width: int) -> Line:
    """One part at each end; the left one gives way."""
    room = width - length(right)
    return [*fit(left, room - 1), (" ", ""), *right] if room > 1 else fit(right, width)


def rule(title: str, width: int, right: Part = "") -> Line:
    """A heading with a thin line to the end of its column, and a word at its end."""
    tail = line(" ", right) if right else []
    room = width - cell_len(title) - length(tail) - 1
    return line((title, "title"), " ", ("─" * max(0, room), "dim"), *tail)


def wrap(text: str, width: int, style: str = "", indent: str = "") -> list[Line]:
    """Running text in lines of at most `width` cells; a command at its end stays in one piece if it can."""
    whole = _COMMAND.sub(lambda match: match[0].replace(" ", _GLUE), text)
    rows = textwrap.wrap(whole, max(8, width), initial_indent=indent, subsequent_indent=indent) or [""]
    if any(_GLUE in row and len(row) >= width for row in rows):
        rows = textwrap.wrap(text, max(8, width), initial_indent=indent, subsequent_indent=indent)
    return [[(row.replace(_GLUE, " "), style)] for row in rows]


def text_of(spans: Line) -> str:
    return "".join(text for text, _ in spans)
