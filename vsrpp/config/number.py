"""Numbers as people write them, the same for every option and every parameter: `1000`, `1e3`, `100_000`, `300.0`."""

from __future__ import annotations

import math


def read_number(text: str) -> int | float:
    """A number; an integer where it is written as one. Raises ValueError."""
    try:
        return int(text)
    except ValueError:  # an integer of more than 4300 digits, too, is left to float
        return float(text)


def read_whole(text: str) -> int:
    """A whole number, in whatever way it is written. Raises ValueError."""
    number = read_number(text)
    if isinstance(number, int):
        return number
    if not math.isfinite(number) or not number.is_integer():
        raise ValueError(f"{text!r} is not a whole number")
    return int(number)
