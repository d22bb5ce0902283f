"""PSNR and SSIM of frames, held to the reference file and to properties any such measure has."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.clips import bikes_frames, bikes_reference
from vsrpp import metrics
from vsrpp.resize import resize_u8

TOLERANCE = bikes_reference()["tolerance"]


def _baseline(frame: np.ndarray) -> np.ndarray:
    return resize_u8(resize_u8(frame, 1 / 4), 4)


@pytest.mark.parametrize("name", ["psnr_y", "psnr_rgb", "ssim_y", "ssim_rgb"])
@pytest.mark.parametrize("entry", bikes_reference()["frames"], ids=lambda entry: f"frame{entry['frame']}")
def test_bicubic_baseline_scores_as_in_the_reference(entry: dict[str, float], name: str) -> None:
    frame = bikes_frames()[entry["frame"]]
    measured = getattr(metrics, name)(_baseline(frame), frame)
    assert measured == pytest.approx(entry[name], abs=TOLERANCE[name[:4]])


@pytest.mark.parametrize(("rgb", "luma"), [((0, 0, 0), 16.0), ((255, 255, 255), 235.0), ((255, 0, 0), 81.481)])
def test_luma_is_studio_range(rgb: tuple[int, int, int], luma: float) -> None:
    assert metrics.to_y(np.array([[rgb]], np.uint8))[0, 0] == pytest.approx(luma)


def test_identical_frames_score_infinity_and_one() -> None:
    frame = bikes_frames()[0]
    assert metrics.psnr_y(frame, frame) == float("inf")
    assert metrics.ssim_y(frame, frame) == pytest.approx(1)


@given(offset=st.integers(1, 100))
@settings(max_examples=20)
def test_a_constant_error_has_the_psnr_of_the_formula(offset: int) -> None:
    image = np.full((16, 20, 3), 100, np.uint8)
    assert metrics.psnr(image, image + np.uint8(offset)) == pytest.approx(20 * np.log10(255 / offset))


def test_ssim_counts_whole_windows_only() -> None:
    """An 11x11 image holds exactly one window, so its SSIM is that window's, written out; nothing is padded."""
    image = bikes_frames()[100, :11, :11, 0].astype(float)
    noisy = image + np.linspace(-20, 20, 121).reshape(11, 11)
    taps = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(taps, taps) / taps.sum() ** 2
    mean_a, mean_b = (window * image).sum(), (window * noisy).sum()
    var_a, var_b = (window * (image - mean_a) ** 2).sum(), (window * (noisy - mean_b) ** 2).sum()
    covariance = (window * (image - mean_a) * (noisy - mean_b)).sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    by_hand = (2 * mean_a * mean_b + c1) * (2 * covariance + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    assert metrics.ssim(image, noisy) == pytest.approx(by_hand)


def test_small_and_unequal_images_are_refused_with_their_sizes() -> None:
    with pytest.raises(ValueError, match="11x11 pixels, not 12x10"):
        metrics.ssim(np.zeros((10, 12)), np.zeros((10, 12)))
    with pytest.raises(ValueError, match=r"not \(10, 12\) and \(12, 10\)"):
        metrics.psnr(np.zeros((10, 12)), np.zeros((12, 10)))


def test_ssim_of_a_frame_takes_under_sixty_milliseconds_of_work() -> None:
    frame = bikes_frames()[240]
    ours, truth = metrics.to_y(_baseline(frame)), metrics.to_y(frame)
    metrics.ssim(ours, truth)
    started_s = time.process_time()
    for _ in range(5):
        metrics.ssim(ours, truth)
    assert (time.process_time() - started_s) / 5 < 0.06
