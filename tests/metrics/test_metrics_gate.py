"""A minus B: the interval covers the truth as often as it says, and --fail-if decides as it is written."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.reasons import raises
from vsrpp.metrics import messages
from vsrpp.metrics.difference import Difference, block_length, differences
from vsrpp.metrics.gate import parse, verdicts
from vsrpp.metrics.measures import MEASURES


def clip(name: str, values: Any, measure: str = "psnr_y") -> dict[str, Any]:
    return {"name": name, "per_frame": {"frame": list(range(len(values))), measure: list(values)}}


def gap(mean: float, low: float, high: float) -> Difference:
    return Difference(a=mean, b=0.0, mean=mean, low=low, high=high, clips=2, method="")


def test_the_mean_is_over_frames_then_clips() -> None:
    found = differences([clip("a", [1.0] * 30), clip("b", [4.0] * 10)], [clip("a", [0.0] * 30), clip("b", [1.0] * 10)])
    assert (found["psnr_y"].a, found["psnr_y"].b, found["psnr_y"].mean) == (2.5, 0.5, 2.0)
    assert (found["psnr_y"].low, found["psnr_y"].high) == pytest.approx((2.0, 2.0))
    assert "one clip" not in found["psnr_y"].method


def test_one_clip_is_said_and_single_frames_resample_the_clips() -> None:
    values = np.random.default_rng(1).normal(size=40)
    (one,) = differences([clip("a", values)], [clip("a", 0 * values)]).values()
    assert (
        one.method
        == f"block bootstrap over frames, in blocks of {block_length(40)}; one clip: it says nothing about others"
    )
    singles = [clip(str(number), [value]) for number, value in enumerate(values)]
    (many,) = differences(singles, [clip(str(number), [0.0]) for number in range(40)]).values()
    assert "over clips" in many.method
    assert many.high - many.low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(40), rel=0.15)


def test_neighbouring_frames_that_are_alike_widen_the_interval_as_much_as_they_must() -> None:
    """Of 100 clips of 200 frames with correlated noise around 0, about 95 intervals hold 0; plain resampling gets 60."""
    random, holding = np.random.default_rng(3), 0
    for _ in range(100):
        noise = random.normal(size=260)
        series = np.convolve(noise, np.ones(8), "valid")[:200]
        (found,) = differences([clip("a", series)], [clip("a", 0 * series)]).values()
        holding += found.low <= 0 <= found.high
    assert 85 <= holding <= 99


def test_the_same_figures_give_the_same_interval_and_other_frames_are_no_pair() -> None:
    values = np.random.default_rng(2).normal(size=(2, 50))
    pair = [clip("a", values[0])], [clip("a", values[1])]
    assert differences(*pair) == differences(*pair)
    with pytest.raises(ValueError, match="same frames"):
        differences([clip("a", [1.0, 2.0])], [clip("a", [1.0])])


@pytest.mark.parametrize(
    ("text", "by", "mean", "low", "high", "failed"),
    [
        ("psnr_y < -0.05", "mean", -0.06, -0.2, 0.1, True),
        ("psnr_y < -0.05", "mean", -0.04, -0.2, 0.1, False),
        ("psnr_y < -0.05", "interval", -0.04, -0.2, 0.1, True),
        ("psnr_y < 0", "interval", 0.04, 0.01, 0.1, False),
        ("lpips > 0.01", "mean", 0.005, -0.1, 0.02, False),
        ("lpips > 0.01", "interval", 0.005, -0.1, 0.02, True),
        ("ssim_y<-1e-3 or psnr_y < -0.05", "mean", -0.01, -1, 1, True),
    ],
)
def test_the_unfavourable_end_depends_on_the_measure(
    text: str, by: Any, mean: float, low: float, high: float, failed: bool
) -> None:
    rules = parse(text, list(MEASURES))
    found = verdicts(rules, {rule.name: gap(mean, low, high) for rule in rules}, by)
    assert any(fails for fails, _ in found) == failed
    assert all(f"decided by the {by}" in sentence for _, sentence in found)


def test_an_expression_that_cannot_be_meant_is_refused() -> None:
    for text in ("psnr_y", "psnr_y < ", "psnr_y <= 1", "psnr_y < 1.2.3", "psnr_y < nan", "2x > psnr_y", ""):
        with raises(messages.GATE_FORM):
            parse(text, list(MEASURES))
    with raises(messages.GATE_MEASURE, measure="loss"):
        parse("loss > 2", list(MEASURES))
    with raises(messages.GATE_NOT_MEASURED, measure="dists", option="--dists-weights"):
        parse("dists > 0.1", ["psnr_y"])
    for text in ("psnr_y > 0.1", "tdiff_y < -1", "psnr_y < -1 or ssim_y > 0"):
        with raises(messages.GATE_DIRECTION):
            parse(text, list(MEASURES))
    with raises(messages.GATE_NO_DIFFERENCE, measure="tdiff_y"):
        verdicts(parse("tdiff_y > 1", list(MEASURES)), {}, "mean")
