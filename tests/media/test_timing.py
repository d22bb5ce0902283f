"""Frame rates and time stamps."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsrpp.media.timing import HELD, decoding_stamps, filled_stamps, frame_rate, is_even, origin


def filled(stamps: list[int | None], step: int = 40) -> list[int]:
    return [stamp for _, stamp in filled_stamps(enumerate(stamps), step)]


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("23.976", Fraction(24000, 1001)), ("23.98", Fraction(24000, 1001)), ("29.97", Fraction(30000, 1001)),
        ("47.952", Fraction(48000, 1001)), ("59.94", Fraction(60000, 1001)), ("119.88", Fraction(120000, 1001)),
        ("25", Fraction(25)), ("24.0", Fraction(24)), ("12.5", Fraction(25, 2)), ("30000/1001", Fraction(30000, 1001)),
        ("29.9", Fraction(299, 10)), ("23.9", Fraction(239, 10)), ("29.970", Fraction(30000, 1001)),
    ],
)  # fmt: skip
def test_short_forms_of_ntsc_rates_mean_the_exact_rate(text: str, rate: Fraction) -> None:
    assert frame_rate(text) == rate


@pytest.mark.parametrize("text", ["", "0", "-25", "1/0", "nan", "inf", "1001", "fast"])
def test_what_is_no_frame_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a frame rate"):
        frame_rate(text)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([None] * 5 + [0, 40], [-200, -160, -120, -80, -40, 0, 40]),
        ([0, 40, None, 120], [0, 40, 80, 120]),
        ([0, 40, 40, 80, 120], [0, 40, 60, 80, 120]),
        ([0, 40, 40, 200], [0, 40, 80, 200]),
        ([0, 40, 30, None, 160], [0, 40, 80, 120, 160]),
        ([0, 40, None, None], [0, 40, 80, 120]),
        ([None, None], [0, 40]),
        ([0, 1000, None, 1200], [0, 1000, 1040, 1200]),
    ],
)  # fmt: skip
def test_unknown_and_colliding_stamps_get_a_step(given: list[int | None], expected: list[int]) -> None:
    assert filled(given) == expected


@given(st.lists(st.none() | st.integers(-500, 5000), max_size=100), st.integers(1, 90))
def test_filled_stamps_increase_and_keep_what_was_in_order(stamps: list[int | None], step: int) -> None:
    made = filled(stamps, step)
    assert len(made) == len(stamps)
    assert all(before < after for before, after in pairwise(made))
    known = [stamp for stamp in stamps if stamp is not None]
    if len(known) == len(stamps) and known == sorted(set(known)):
        assert made == known


def test_a_film_without_stamps_is_counted_and_not_held() -> None:
    taken: list[int] = []

    def frames():
        for number in range(200):
            taken.append(number)
            yield number, None

    behind = [len(taken) - number for number, _ in filled_stamps(frames(), 40)]
    assert max(behind) <= HELD + 1
    assert filled([None] * 200) == [40 * number for number in range(200)]


@given(st.lists(st.integers(1, 300), min_size=1, max_size=60), st.integers(0, 4), st.randoms())
def test_decoding_stamps_increase_and_never_exceed_their_presentation(gaps: list[int], delay: int, random) -> None:
    """Packets are put in a random decoding order in which none overtakes more than `delay` others."""
    shown = [sum(gaps[: number + 1]) for number in range(len(gaps))]
    ahead, order = sorted(shown), []
    while ahead:  # a reference comes first, then up to `delay` frames that are shown before it
        group = [ahead.pop(0) for _ in range(min(random.randint(1, delay + 1), len(ahead)))]
        order += [group[-1], *group[:-1]]
    order = [shown[0], *(stamp for stamp in order if stamp != shown[0])]
    made = list(decoding_stamps(order, delay, 40))
    assert all(before < after for before, after in pairwise(made))
    assert all(decoded <= presented for decoded, presented in zip(made, order, strict=True))


def test_even_stamps_are_told_from_uneven_ones() -> None:
    ntsc, milli = Fraction(30000, 1001), Fraction(1, 1000)
    rounded = [round(number * 1001 / 30) for number in range(900)]
    assert is_even(rounded, milli, ntsc)
    assert is_even(reversed(rounded), milli, ntsc)
    assert not is_even(rounded, milli, Fraction(30))
    assert not is_even([0, 40, 80, 200], milli, Fraction(25))
    assert is_even([7], milli, Fraction(25))


@pytest.mark.parametrize(
    ("video", "all_streams", "zero"),
    [("101.4", "101.3", "101.3"), ("0", "-0.02", "0"), ("-0.2", "-0.2", "-0.2"), ("0.5", "0", "0"), ("0", "0", "0")],
)  # fmt: skip
def test_a_running_clock_starts_at_zero_and_no_picture_lies_before_it(video: str, all_streams: str, zero: str) -> None:
    assert origin(Fraction(video), Fraction(all_streams)) == Fraction(zero)
