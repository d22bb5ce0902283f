"""What validations say about a run: when a finding begins, and when it ends."""

from __future__ import annotations

import pytest

from vsrpp.training.findings import RECOVERED, findings


def told(*validations: dict[str, float], max_steps: int = 1000, every: int = 10) -> list[tuple[int, str]]:
    """(step, event) of a run with these figures; a recovery as `-finding`."""
    rows = [(every * n, {f"val/{k}": v for k, v in figures.items()}) for n, figures in enumerate(validations, start=1)]
    found = []
    for number, (step, figures) in enumerate(rows):
        for one in findings(rows[:number], step, figures, max_steps):
            found.append((step, f"-{one.data['what']}" if one.type == RECOVERED else one.type))
    return found


def scores(*psnr: float, bicubic: float = 30.0) -> list[dict[str, float]]:
    return [{"psnr_y": value, "bicubic_psnr_y": bicubic} for value in psnr]


def windows(*pairs: tuple[float, float, float]) -> list[dict[str, float]]:
    return [{"gain_window": a, "gain_train_window": b, "recurrence_growth": growth} for a, b, growth in pairs]


def test_a_run_that_falls_below_bicubic_is_told_once_and_its_return_too() -> None:
    assert told(*scores(30.1, 29.95, 29.97, 29.99, 30.05, 30.1)) == [(20, "below_bicubic"), (50, "-below_bicubic")]


def test_a_network_that_was_never_above_bicubic_is_told_after_a_tenth_of_the_run() -> None:
    assert told(*scores(29.8, 29.8, 29.8), max_steps=250) == [(30, "below_bicubic")]


def test_rounding_of_an_untrained_network_is_no_finding() -> None:
    assert told(*scores(29.99, 30.0, 29.985), max_steps=10) == []


def test_a_fall_far_below_the_best_is_told_with_the_best() -> None:
    assert told(*scores(31.0, 31.1, 30.5, 30.6, 31.05)) == [(30, "quality_fell"), (50, "-quality_fell")]
    rows = [(10, {"val/psnr_y": 31.0})]
    (fell,) = findings(rows, 20, {"val/psnr_y": 30.5}, 100)
    assert fell.data == {"psnr_y": 30.5, "best": 31.0, "best_step": 10}


def test_noisy_validations_do_not_count_as_a_fall() -> None:
    calm, noisy = [31.0, 31.01, 31.0, 31.02, 31.0, 30.7], [31.0, 31.15, 31.0, 31.16, 31.01, 30.8]
    assert told(*scores(*calm)) == [(60, "quality_fell")]
    assert told(*scores(*noisy)) == []


@pytest.mark.parametrize("unstable", [(-2.0, 0.3, 1.0), (0.3, 0.3, 1.1)], ids=["gain", "growth"])
def test_a_recurrence_that_loses_gain_or_grows_is_unstable_until_it_does_neither(
    unstable: tuple[float, float, float],
) -> None:
    fine = (0.3, 0.3, 0.99)
    assert told(*windows(fine, unstable, unstable, fine)) == [(20, "recurrence_unstable"), (40, "-recurrence_unstable")]


def test_a_network_without_a_recurrence_has_no_such_finding() -> None:
    assert told(*scores(30.1, 30.2)) == []
