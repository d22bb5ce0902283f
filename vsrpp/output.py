"""Printing, for the command line and the launcher: colour in a terminal, amounts for people, JSON for scripts."""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def coloured(stream: Any = None) -> bool:
    stream = sys.stdout if stream is None else stream
    return bool(stream.isatty()) and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def _paint(code: str, text: str) -> str:
    return f"\033[{code}m{text}\033[0m" if coloured() else text


def green(text: str) -> str:
    return _paint("32", text)


def red(text: str) -> str:
    return _paint("31", text)


def yellow(text: str) -> str:
    return _paint("33", text)


def bold(text: str) -> str:
    return _paint("1", text)


def dim(text: str) -> str:
    return _paint("2", text)


def print_json(document: Any) -> None:
    print(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))


def duration(seconds: float | None) -> str:
    """`1:02:03`, `4:05`, `–` where it is not known."""
    if seconds is None or seconds != seconds or seconds == float("inf"):
        return "–"
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def amount_of_flops(number: float) -> str:
    """Floating-point operations for people: `8.2 TFLOP`."""
    return f"{number / 1e12:.3g} TFLOP" if number >= 1e12 else f"{number / 1e9:.3g} GFLOP"


def amount_of_bytes(number: float) -> str:
    """Bytes for people: `5.1 GiB`."""
    return f"{number / 2**30:.3g} GiB" if number >= 2**30 else f"{number / 2**20:.3g} MiB"
