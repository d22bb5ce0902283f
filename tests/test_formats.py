"""Figures for people: short, accurate, and the same everywhere."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsrpp import formats

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (formats.number, 0.21349, "0.213"), (formats.number, 1e-5, "1.00e-05"), (formats.number, 1e7, "1.00e+07"),
        (formats.number, 0, "0.000"), (formats.signed, 0.184, "+0.18"), (formats.significant, 12.345, "12.3"),
        (formats.loss, 0.0123456, "0.01235"), (formats.loss, 12.3456, "12.3456"), (formats.loss, 1.5e-7, "1.500e-07"),
        (formats.whole, 1764, "1764"), (formats.count, 1_234_567, "1\u202f234\u202f567"),
        (formats.short_count, 9999, "9999"), (formats.short_count, 25_000, "25k"), (formats.short_count, 1.5e6, "1.5M"),
        (formats.rate, 1.5e-4, "1.50e-04"), (formats.percent, 0.414, "41 %"), (formats.decibels, 30.357, "30.36 dB"),
        (formats.size, 0, "0 B"), (formats.size, 1023, "1023 B"), (formats.size, 1024, "1.0 KiB"),
        (formats.size, 3.3e6, "3.1 MiB"), (formats.size, 2 * 2**30, "2.0 GiB"), (formats.size, 2**41, "2.0 TiB"),
        (formats.mebibytes, 812.0, "812.0 MiB"), (formats.flops, 8.2e12, "8.2 TFLOP"), (formats.millions, 1.35e6, "1.35 M"),
        (formats.duration, 5, "5 s"), (formats.duration, 245, "4 min 05 s"), (formats.duration, 3725, "1 h 02 min"),
        (formats.duration, 200_000, "2 d 7 h"), (formats.duration, -3, "0 s"),
        (formats.duration_short, 245, "4 min"), (formats.moment, 0.31, "310 ms"),
        (formats.moment, 1.254, "1.25 s"), (formats.moment, 0.9999, "1.00 s"), (formats.bound, 1e-5, "1e-05"),
        (formats.bound, 50, "50"), (formats.bound, None, "–"),
    ],
)  # fmt: skip
def test_a_figure_is_written_like_this(write, value: float, text: str) -> None:  # type: ignore[no-untyped-def]
    assert write(value) == text


FIGURES = (formats.number, formats.signed, formats.loss, formats.whole, formats.count, formats.rate, formats.percent,
           formats.decibels, formats.size, formats.mebibytes, formats.duration, formats.moment, formats.clock,
           formats.minute, formats.day_minute, formats.time_of_day)  # fmt: skip


@pytest.mark.parametrize("write", FIGURES)
@pytest.mark.parametrize("unknown", [None, math.nan, math.inf, -math.inf, "12", True, [], 10**400])
def test_what_is_no_number_is_a_dash(write, unknown: object) -> None:  # type: ignore[no-untyped-def]
    assert write(unknown) == formats.NONE


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_no_number_raises(value: float) -> None:
    for write in FIGURES:
        assert write(value)


def test_the_clock_tells_the_same_moment_in_every_form() -> None:
    at = 1_767_258_000.0
    assert formats.clock(at, utc=True) == "2026-01-01 09:00:00"
    whole = formats.clock(at)
    assert (formats.minute(at), formats.day_minute(at), formats.time_of_day(at)) == (
        whole[:16],
        whole[5:16],
        whole[11:],
    )
    assert formats.clock(1e99) == formats.NONE


def test_a_value_is_written_as_the_config_writes_it_and_never_refused() -> None:
    assert formats.value("max_lr", 2e-4) == "2.00e-04"
    assert formats.value("adaptive", True) == "on" and formats.value("adaptive", False, ("an", "aus")) == "aus"
    assert formats.value("data", None) == formats.NONE
    assert formats.value("no_such_key", {"a": 1}) == '{"a": 1}'
    assert (
        formats.changes([{"key": "max_lr", "old": 1e-4, "new": 2e-4}, {}]) == "max_lr 1.00e-04 → 2.00e-04, None – → –"
    )


def test_nobody_writes_a_size_or_a_time_of_day_by_hand() -> None:
    own = re.compile(r"%H:%M|2\*\*[23]0:|\b[KMG]i?B\"")
    files = [*(ROOT / "vsrpp").rglob("*.py"), *(ROOT / "ui").rglob("*.py")]
    found = [
        str(path) for path in files if path.name not in ("formats.py",) and own.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []
