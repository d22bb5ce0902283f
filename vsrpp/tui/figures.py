"""Numbers and spans of time as the terminal UI writes them."""

from __future__ import annotations

import time
from typing import Any

from vsrpp import config
from vsrpp.tui.drawing import finite

NONE = "–"


def number(value: Any, digits: int = 3) -> str:
    """A figure with that many decimals; very large and very small ones in exponent form."""
    known = finite(value)
    if known is None:
        return NONE
    if known and (abs(known) >= 1e5 or abs(known) < 10**-digits):
        return f"{known:.2e}"
    return f"{known:.{digits}f}"


def loss(value: Any) -> str:
    """Four significant digits in at most nine cells."""
    known = finite(value)
    if known is None:
        return NONE
    return f"{known:.3e}" if known and not 1e-4 <= abs(known) < 1e4 else f"{known:.5f}"[:7]


def count(value: int) -> str:
    """A whole number in groups of three."""
    return f"{value:,}".replace(",", " ")


def rate(value: Any) -> str:
    known = finite(value)
    return NONE if known is None else f"{known:.2e}"


def span(seconds: float | None) -> str:
    """`4:05`, `1:02:03`, `3 d 04:05`."""
    known = finite(seconds)
    if known is None:
        return NONE
    minutes, rest = divmod(max(0, round(known)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 24:
        return f"{hours // 24} d {hours % 24:02d}:{minutes:02d}"
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def clock(at: float | None) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at)) if at else NONE


def day_clock(at: float | None) -> str:
    return time.strftime("%m-%d %H:%M", time.localtime(at)) if at else NONE


def size(bytes_: Any) -> str:
    known = finite(bytes_)
    if known is None:
        return NONE
    return f"{known / 2**20:.1f} MiB" if known < 2**30 else f"{known / 2**30:.2f} GiB"


def value(key: str, thing: Any) -> str:
    """A parameter's value, as the config writes it."""
    return NONE if thing is None else config.format_value(key, thing)


def bound(thing: float | int | None) -> str:
    """One end of a parameter's range: 1e-05, 50, 0.1."""
    return NONE if thing is None else str(thing) if isinstance(thing, int) else f"{thing:g}"
