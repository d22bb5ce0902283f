"""Parses numbers as people write them, for every option and parameter: `1000`, `1e3`, `100_000`, `300.0`."""

from __future__ import annotations

import math
from functools import cache


def read_number(text: str) -> int | float:
    """Parse a number; an integer if it is written as one. Raises ValueError."""
    try:
        return int(text)
    except ValueError:  # also for an integer of more than 4300 digits
        return float(text)


def read_whole(text: str) -> int:
    """Parse a whole number in any notation. Raises ValueError."""
    number = read_number(text)
    if isinstance(number, int):
        return number
    if not math.isfinite(number) or not number.is_integer():
        raise ValueError(f"{text!r} is not a whole number")
    return int(number)


@cache
def read_numbers(text: str) -> tuple[float, ...]:
    """Parse a comma-separated list of numbers: `0.5, 0.8` or `250000, 400000`. Raises ValueError."""
    return tuple(float(part) for part in text.split(","))
