"""Frame rates and time stamps, as pure functions: what an input does not say is filled in, what an output cannot hold is told."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TypeVar

Item = TypeVar("Item")

HELD = 32
"""Frames that wait for a usable time stamp, at most."""
_NTSC = tuple(Fraction(whole * 1000, 1001) for whole in (24, 30, 48, 60, 120, 240))


def frame_rate(text: str) -> Fraction:
    """Frames per second: `25`, `30000/1001`, or the usual short form of an NTSC rate (`23.976`, `29.97`, `59.94`, …).

    Raises ValueError unless it is a number above 0 and up to 1000.
    """
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 1000:
        raise ValueError(f"{text} is not a frame rate")
    if "." in text:
        digits = 10 ** len(text.strip().rpartition(".")[2])
        rate = next(
            (ntsc for ntsc in _NTSC if digits >= 100 and int(ntsc * digits + Fraction(1, 2)) == rate * digits), rate
        )
    return rate.limit_denominator(100_000)


def usual_rates(measured: Fraction) -> list[Fraction]:
    """The rates of film and television near a measured one, the nearest first, then the measured one itself."""
    usual = (*_NTSC, Fraction(max(1, round(measured))))
    return [*sorted(usual, key=lambda rate: abs(rate - measured))[:2], measured]


def filled_stamps(frames: Iterable[tuple[Item, int | None]], step: int) -> Iterator[tuple[Item, int]]:
    """Frames in presentation order with strictly increasing time stamps; None is an unknown stamp.

    A known stamp above those before it is kept. Unknown ones at the beginning are counted backward from the first known
    one; all others, and those that do not increase, are spread between their neighbours, at most `step` (at least 1) apart.
    Holds at most HELD frames; if no usable stamp comes by then, it counts on from the last one, or from 0.
    """
    held: list[Item] = []
    last: int | None = None
    for item, stamp in frames:
        room = None if stamp is None or last is None else stamp - last
        if stamp is None or (room is not None and room <= len(held)):
            held.append(item)
            if len(held) <= HELD:
                continue
            first = 0 if last is None else last + step
            yield from ((waiting, first + number * step) for number, waiting in enumerate(held))
            last = first + (len(held) - 1) * step
        else:
            gap = step if room is None else min(step, room // (len(held) + 1))
            first = stamp - len(held) * step if last is None else last + gap
            yield from ((waiting, first + number * gap) for number, waiting in enumerate(held))
            yield item, stamp
            last = stamp
        held.clear()
    first = 0 if last is None else last + step
    yield from ((waiting, first + number * step) for number, waiting in enumerate(held))


def decoding_stamps(stamps: Iterable[int], delay: int, step: int) -> Iterator[int]:
    """Decoding time stamps of packets whose presentation stamps are given in decoding order.

    They increase strictly, and none is above its presentation stamp, if the stamps differ and no packet is presented
    before more than `delay` packets that precede it. The first `delay` are `step` apart, before the first stamp.
    """
    waiting: list[int] | None = None
    for stamp in stamps:
        if waiting is None:
            waiting = [stamp - number * step for number in range(delay, 0, -1)]  # ascending, so a heap
        yield heapq.heappushpop(waiting, stamp)


def is_even(stamps: Iterable[int], time_base: Fraction, rate: Fraction) -> bool:
    """Whether stamps, in any order, lie `1 / rate` seconds apart, but for rounding: one tick, or a twentieth of a step."""
    step = 1 / (rate * time_base)
    slack = max(Fraction(1), step / 20)
    ordered = sorted(stamps)
    return all(abs(stamp - ordered[0] - number * step) <= slack for number, stamp in enumerate(ordered))


def origin(first_video: Fraction, first_of_all: Fraction) -> Fraction:
    """The time, in seconds, that becomes 0 in all streams of an output alike.

    The earliest stamp of the input if it is above 0 (recordings of a running clock). Below 0 the first frame: sound may
    begin before 0, which is how encoders mark its priming, but players skip pictures that do.
    """
    return first_of_all if first_of_all > 0 else min(first_video, Fraction(0))
