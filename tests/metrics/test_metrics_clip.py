"""Figures of clips: a mean over frames, then over clips, finite whatever the frames are."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.clips import bikes_frames, piece
from vsrpp.metrics import PSNR_CAP_DB, evaluate_frames, mean_over_clips, psnr_y, quality
from vsrpp.resize import resize_u8


def test_a_clip_scores_the_mean_of_its_frames_not_their_pooled_error() -> None:
    truth = bikes_frames()[[0, 240]]
    ours = resize_u8(resize_u8(truth, 1 / 4), 4)
    each = [psnr_y(ours[number], truth[number]) for number in (0, 1)]
    assert each[0] - each[1] > 8  # pooled, the worse frame would weigh 3.6 dB more than in the mean
    assert evaluate_frames(ours, truth)["psnr_y"] == pytest.approx(sum(each) / 2)


def test_an_identical_frame_counts_the_cap_so_means_stay_finite() -> None:
    truth = piece(2)
    half = truth.copy()
    half[1] ^= 4
    figures = evaluate_frames(half, truth)
    assert figures["psnr_y"] == pytest.approx((PSNR_CAP_DB + psnr_y(half[1], truth[1])) / 2)
    assert evaluate_frames(truth, truth)["psnr_rgb"] == PSNR_CAP_DB
    json.dumps(figures, allow_nan=False)


def test_rgb_figures_can_be_left_out() -> None:
    assert set(evaluate_frames(piece(1), piece(1), rgb=False)) == {"psnr_y", "ssim_y"}


def test_clips_count_the_same_however_long_they_are() -> None:
    assert mean_over_clips([{"psnr_y": 30.0}, {"psnr_y": 20.0}]) == {"psnr_y": 25.0}


@pytest.mark.parametrize("wrong", [np.zeros((0, 16, 16, 3), np.uint8), np.zeros((1, 16, 16, 3)), piece(1)[0]])
def test_what_is_not_a_uint8_clip_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"pred must be \(T, H, W, 3\) uint8"):
        evaluate_frames(wrong, wrong)


@given(st.floats(), st.floats())
def test_quality_lies_between_zero_and_one_for_any_figures(psnr_db: float, ssim: float) -> None:
    assert 0 <= quality(psnr_db, ssim) <= 1


@pytest.mark.parametrize(
    ("psnr_db", "ssim", "expected"),
    [(20, 0, 0), (45, 1, 1), (32.5, 0.9, 0.7), (float("inf"), 1, 1), (float("nan"), 1, 0), (33.5, 0.9, 0.72)],
)
def test_quality_is_the_documented_formula(psnr_db: float, ssim: float, expected: float) -> None:
    assert quality(psnr_db, ssim) == pytest.approx(expected)
