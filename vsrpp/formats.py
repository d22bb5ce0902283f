"""Figures for people: numbers, counts, rates, sizes, durations, clock times and parameter values, written once for every face.

Conventions: a decimal point in both languages, as in configs. Sizes are binary (1 MiB = 1024 KiB = 1024² bytes) with
one decimal. A step is written in plain digits, so that it can be pasted into `--step`; other whole numbers are grouped
by narrow spaces. A space stands between a figure and its unit. What is unknown, not a number or infinite is a dash.
Times are local unless `utc` says otherwise. Nothing here is escaped: markup is the caller's business.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from vsrpp import config
from vsrpp.safe_text import printable

NONE = "–"
NARROW_SPACE = "\u202f"
ON_OFF = ("on", "off")


def finite(value: object) -> float | None:
    """The number, or None for what is missing, not a number or infinite."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # an integer of hundreds of digits
        return None


def number(value: object, digits: int = 3) -> str:
    """A figure with that many decimals: `0.213`; very large and very small ones in exponent form."""
    known = finite(value)
    if known is None:
        return NONE
    if known and (abs(known) >= 1e6 or abs(known) < 0.5 * 10**-digits):
        return f"{known:.2e}"
    return f"{known:.{digits}f}"


def signed(value: object, digits: int = 2) -> str:
    """A difference: `+0.18`."""
    known = finite(value)
    return NONE if known is None else f"{known:+.{digits}f}"


def significant(value: object, digits: int = 3) -> str:
    """A figure with that many significant digits, without trailing zeros: `0.5`, `12.3`."""
    known = finite(value)
    return NONE if known is None else f"{known:.{digits}g}"


def loss(value: object) -> str:
    """A loss: four or five significant digits in at most nine characters."""
    known = finite(value)
    if known is None:
        return NONE
    return f"{known:.3e}" if known and not 1e-4 <= abs(known) < 1e4 else f"{known:.5f}"[:7]


def whole(value: object) -> str:
    """A whole number in plain digits: a step, a revision."""
    known = finite(value)
    return NONE if known is None else str(int(known))


def count(value: object) -> str:
    """A whole number in groups of three."""
    known = finite(value)
    return NONE if known is None else f"{int(known):,}".replace(",", NARROW_SPACE)


def counted(number: int, noun: str) -> str:
    """A number with its English noun: `1 block`, `8 blocks`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def short_count(value: float) -> str:
    """A whole number in few characters, for an axis: `500`, `25k`, `1.5M`."""
    if value >= 1e6:
        return f"{value / 1e6:.6g}M"
    return f"{value / 1e3:.6g}k" if value >= 1e4 else f"{value:.0f}"


def rate(value: object) -> str:
    """A learning rate: `1.50e-04`."""
    known = finite(value)
    return NONE if known is None else f"{known:.2e}"


def percent(share: object, digits: int = 0) -> str:
    """A share (0 to 1) in percent: `41 %`."""
    known = finite(share)
    return NONE if known is None else f"{known * 100:.{digits}f} %"


def decibels(value: object, digits: int = 2) -> str:
    """`30.36 dB`."""
    known = finite(value)
    return NONE if known is None else f"{known:.{digits}f} dB"


def size(bytes_: object) -> str:
    """Bytes in the largest unit that leaves at least one: `3.1 MiB`."""
    known = finite(bytes_)
    if known is None:
        return NONE
    unit, name = _unit(abs(known))
    return f"{known / unit:.0f} B" if unit == 1 else f"{known / unit:.1f} {name}"


def size_of(done_bytes: float, whole_bytes: float) -> str:
    """How much of a whole, in the unit of the whole: `15.0/60.0 MiB`."""
    unit, name = _unit(whole_bytes)
    return f"{done_bytes / unit:.1f}/{whole_bytes / unit:.1f} {name}"


def mebibytes(value: object) -> str:
    """The size of a figure recorded in MiB."""
    known = finite(value)
    return NONE if known is None else size(known * 2**20)


def _unit(bytes_: float) -> tuple[int, str]:
    for power, name in ((4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB")):
        if bytes_ >= 1024**power:
            return 1024**power, name
    return 1, "B"


def flops(value: float) -> str:
    """Floating-point operations: `8.2 TFLOP`."""
    return f"{value / 1e12:.3g} TFLOP" if value >= 1e12 else f"{value / 1e9:.3g} GFLOP"


def millions(value: float) -> str:
    """`1.35 M`."""
    return f"{value / 1e6:.3g} M"


def duration(seconds: object) -> str:
    """A span of time in its two largest units: `42 s`, `4 min 05 s`, `1 h 02 min`, `2 d 7 h`."""
    known = finite(seconds)
    if known is None:
        return NONE
    minutes, rest = divmod(max(0, round(known)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 24:
        return f"{hours // 24} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def duration_short(seconds: object) -> str:
    """A span of time in its largest unit alone, where there is little room: `42 s`, `4 min`, `1 h`, `2 d`."""
    return " ".join(duration(seconds).split()[:2])


def moment(seconds: object) -> str:
    """A short time, such as a step's: `310 ms`, `1.25 s`."""
    known = finite(seconds)
    if known is None:
        return NONE
    return f"{known * 1e3:.3g} ms" if known < 0.9995 else f"{known:.2f} s"


def clock(at: object, *, utc: bool = False) -> str:
    """Date and time of seconds since 1970: `2026-01-01 09:00:00`."""
    known = finite(at)
    if known is None:
        return NONE
    try:
        return datetime.fromtimestamp(known, timezone.utc if utc else None).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, OSError, ValueError):
        return NONE


def minute(at: object) -> str:
    """Date and time to the minute: `2026-01-01 09:00`."""
    return clock(at)[:16]


def day_minute(at: object) -> str:
    """The same without the year: `01-01 09:00`."""
    text = clock(at)
    return text if text == NONE else text[5:16]


def time_of_day(at: object) -> str:
    """`09:00:00`."""
    text = clock(at)
    return text if text == NONE else text[11:]


def value(key: str, thing: Any, on_off: tuple[str, str] = ON_OFF, run_config: Mapping[str, Any] | None = None) -> str:
    """A parameter's value as the config writes it; one that this version cannot write so, as it is.

    `run_config`: of a run whose plug-ins may have declared the parameter.
    """
    if thing is None:
        return NONE
    if isinstance(thing, bool):
        return on_off[0] if thing else on_off[1]
    try:
        return printable(config.format_value(key, thing, run_config))
    except (KeyError, TypeError, ValueError, OverflowError):
        return printable(str(thing))


def bound(thing: float | None) -> str:
    """One end of a parameter's range: `1e-05`, `50`, `0.1`."""
    return NONE if thing is None else str(thing) if isinstance(thing, int) else f"{thing:g}"


def change(made: Mapping[str, Any], on_off: tuple[str, str] = ON_OFF) -> str:
    """A change of a parameter, {key, old, new}: `max_lr 1.50e-04 → 2.00e-04`."""
    key = str(made.get("key"))
    return f"{key} {value(key, made.get('old'), on_off)} → {value(key, made.get('new'), on_off)}"


def changes(made: Iterable[Mapping[str, Any]], on_off: tuple[str, str] = ON_OFF) -> str:
    """Several changes, after each other."""
    return ", ".join(change(one, on_off) for one in made)
