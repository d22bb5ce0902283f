"""What the terminal can show, and the plain stand-in for every sign it cannot."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping

from rich.cells import cell_len

from vsrpp.errors import Refused

BARE_TERMINALS = frozenset({"linux", "vt52", "vt100", "vt102", "vt220", "ansi", "cons25"})
"""Terminals whose fonts lack most signs beyond ASCII."""
_COERCED = frozenset({"C.UTF-8", "C.utf8", "UTF-8"})
"""What Python itself puts into LC_CTYPE when it is started under LANG=C (PEP 538)."""

_STAND_INS = {
    "▁": "_", "▂": ".", "▃": "-", "▄": "=", "▅": "+", "▆": "*", "▇": "%", "█": "#", "▓": "%", "▒": "+", "░": ".",
    "─": "-", "│": "|", "┤": "|", "└": "+", "…": "~", "–": "-", "—": "-", "·": "-", "×": "x", "→": ">", "←": "<",
    "↑": "^", "↓": "v", "↵": "E", "▲": "^", "▼": "v", "●": "*", "○": "o", "◌": "o", "■": "#", "✔": "+", "✖": "x",
    "★": "*", "≥": ">", "≤": "<", "‖": "=", "❯": ">", "↺": "<", "⚠": "!", "⚙": "*", "📊": "# ", "🔥": "! ", "🔗": "& ",
    "━": "=", "╸": "-", "╺": " ", "🔒": "X ", "ä": "a", "ö": "o", "ü": "u", "Ä": "A", "Ö": "O", "Ü": "U", "ß": "s",
    "“": '"', "”": '"', "’": "'", "\u202f": " ",
}  # fmt: skip
_SPELT_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss"})
_IN_CAPITALS = re.compile(r"(?<=[A-Z])[ÄÖÜ]|[ÄÖÜ](?=[A-Z])")


def speaks_unicode(environ: Mapping[str, str] | None = None, encoding: str | None = None) -> bool:
    """Whether the person's locale and terminal take more than ASCII; VSRPP_ASCII=1 says no.

    Without any locale at all (a container) it says yes.
    """
    env = os.environ if environ is None else environ
    if env.get("VSRPP_ASCII", "0") not in ("", "0") or env.get("TERM", "") in BARE_TERMINALS:
        return False
    locales = [env.get(name, "") for name in ("LC_ALL", "LC_CTYPE", "LANG")]
    if locales[2] in ("C", "POSIX") and locales[1] in _COERCED:
        locales[1] = ""
    deciding = next((value for value in locales if value), "utf-8")
    return "utf" in deciding.lower() and "utf" in (encoding or "utf-8").lower()


def plain(text: str) -> str:
    """The text in ASCII, every sign in as many cells as before."""
    return text if text.isascii() else "".join(map(_stand_in, text))


def spelt_out(text: str) -> str:
    """German letters as one writes them without umlauts: for texts that are laid out afterwards."""
    text = _IN_CAPITALS.sub(lambda match: match[0].translate(_SPELT_OUT).upper(), text)
    return text.translate(_SPELT_OUT)


def _stand_in(sign: str) -> str:
    if sign.isascii():
        return sign
    replacement = _STAND_INS.get(sign)
    return replacement if replacement is not None else "?" * cell_len(sign)


def require_terminal() -> None:
    """Raises Refused where there is no terminal to draw on or no keyboard to read."""
    for stream, name in ((sys.__stdin__, "input"), (sys.__stdout__, "output")):
        if stream is None or not stream.isatty():
            raise Refused(f"standard {name} is no terminal; for one look in plain text: vsrpp status RUN")
    if os.environ.get("TERM", "") in ("", "dumb", "unknown"):
        raise Refused(
            f"TERM={os.environ.get('TERM', '')} cannot place a cursor; for one look in plain text: vsrpp status RUN"
        )
