"""Numbers, spans of time and HTML as the panel writes them: a decimal point in both languages, as in configs."""

from __future__ import annotations

import html
import math
from datetime import datetime
from typing import Any

NONE = "–"
THIN = "\u202f"


def esc(value: object) -> str:
    """Text made safe for HTML, attributes included. Names and reasons come from people: nothing is shown without it."""
    return html.escape(str(value), quote=True)


def finite(value: Any) -> float | None:
    """The number, or None for what is missing, not a number or infinite."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def number(value: Any, digits: int = 3) -> str:
    """A readable figure with that many decimals; very large and very small ones in exponent form."""
    known = finite(value)
    if known is None:
        return NONE
    if known != 0 and (abs(known) >= 1e6 or abs(known) < 0.5 * 10**-digits):
        return f"{known:.2e}"
    return f"{known:.{digits}f}"


def count(value: Any) -> str:
    """A whole number in groups of three."""
    known = finite(value)
    return NONE if known is None else f"{int(known):,}".replace(",", THIN)


def rate(value: Any) -> str:
    known = finite(value)
    return NONE if known is None else f"{known:.2e}"


def percent(value: Any, digits: int = 1) -> str:
    known = finite(value)
    return NONE if known is None else f"{known * 100:.{digits}f}{THIN}%"


def span(seconds: Any) -> str:
    """A span of time in its two largest units: 3 h 12 min."""
    known = finite(seconds)
    if known is None:
        return NONE
    seconds_left = max(0, round(known))
    if seconds_left < 60:
        return f"{seconds_left} s"
    if seconds_left < 3600:
        return f"{seconds_left // 60} min {seconds_left % 60:02d} s"
    if seconds_left < 86400:
        return f"{seconds_left // 3600} h {seconds_left % 3600 // 60:02d} min"
    return f"{seconds_left // 86400} d {seconds_left % 86400 // 3600} h"


def size(bytes_: Any) -> str:
    known = finite(bytes_)
    if known is None:
        return NONE
    for unit in ("B", "KiB", "MiB", "GiB"):
        if known < 1024:
            return f"{known:.0f} {unit}" if unit == "B" else f"{known:.1f} {unit}"
        known /= 1024
    return f"{known:.1f} TiB"


def clock(time_s: Any) -> str:
    """Local time of day, with the date."""
    known = finite(time_s)
    if known is None:
        return NONE
    try:
        return datetime.fromtimestamp(known).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, OSError, ValueError):
        return NONE


def value(thing: Any) -> str:
    """A config value of any type, short."""
    if isinstance(thing, bool):
        return "on" if thing else "off"
    if thing is None:
        return NONE
    if isinstance(thing, float):
        return f"{thing:.2e}" if thing and abs(thing) < 1e-3 else f"{thing:g}"
    return str(thing)
