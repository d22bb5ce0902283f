"""BD follows its definition pixel by pixel; the realistic chain is a function of (seed, index), except for noise."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.clips import piece, run_config, write_frames
from vsrpp.data import open_data
from vsrpp.data.degradations import SampleDegradation, bd, draw_degradation, gaussian_kernel, realistic

CLEAN = SampleDegradation(0.0, 0.0, 1.0, (2, 2), 0.0, 0.0, False, 100, (0, 0))


def _bd_pixel(frame: np.ndarray, row: int, column: int, channel: int) -> int:
    """One pixel by the definition: fspecial('gaussian', 12, 1.6), imfilter(…, 'replicate'), every 4th from index 1."""
    height, width, _ = frame.shape
    total = weights = 0.0
    for i in range(12):
        for j in range(12):
            weight = math.exp(-((i - 5.5) ** 2 + (j - 5.5) ** 2) / (2 * 1.6**2))
            y = min(max(1 + 4 * row + i - 5, 0), height - 1)
            x = min(max(1 + 4 * column + j - 5, 0), width - 1)
            total += weight * float(frame[y, x, channel])
            weights += weight
    return math.floor(total / weights + 0.5)


def test_bd_is_the_direct_computation_borders_included() -> None:
    frames = piece(2, 24, 32)
    made = bd(frames)
    assert made.shape == (2, 6, 8, 3)
    direct = [
        [[[_bd_pixel(frame, row, column, channel) for channel in range(3)] for column in range(8)] for row in range(6)]
        for frame in frames
    ]
    np.testing.assert_array_equal(made, np.array(direct))


def test_bd_keeps_a_flat_frame_and_an_edge_where_it_is() -> None:
    assert np.unique(bd(np.full((1, 16, 16, 3), 77, np.uint8))) == [77]
    edge = np.zeros((1, 32, 32, 3), np.uint8)
    edge[:, :, 16:] = 255
    row = bd(edge)[0, 4, :, 0].astype(int)
    assert abs(row + row[::-1] - 255).max() <= 1  # the even kernel and index 1 together shift nothing


def test_the_kernel_has_twelve_taps_and_sums_to_one() -> None:
    kernel = gaussian_kernel()
    assert (len(kernel), kernel.sum()) == (12, pytest.approx(1))
    np.testing.assert_allclose(kernel, kernel[::-1])


@given(seed=st.integers(0, 2**63), index=st.integers(0, 2**62))
@settings(max_examples=100)
def test_a_degradation_is_a_function_of_seed_and_index_within_its_ranges(seed: int, index: int) -> None:
    degradation = draw_degradation(seed, index)
    assert degradation == draw_degradation(seed, index) != draw_degradation(seed, index + 1)
    assert degradation != draw_degradation(seed + 1, index)
    assert 0.2 <= min(degradation.blur_x, degradation.blur_y) <= max(degradation.blur_x, degradation.blur_y) <= 2.5
    assert 0.6 <= degradation.between <= 2.0
    assert 30 <= degradation.jpeg_quality <= 95
    assert set(degradation.filters) <= {0, 1, 2, 3}
    assert 0 <= degradation.noise_read <= 8
    assert 0 <= degradation.noise_shot <= 0.4


def test_a_degradation_is_the_same_in_every_version() -> None:
    """Recorded values: a newer version must draw the same."""
    degradation = draw_degradation(7, 123456)
    assert (degradation.jpeg_quality, degradation.filters, degradation.noise_grey) == (89, (3, 1), False)
    assert (degradation.blur_x, degradation.noise_read) == (0.9036915179647087, 5.911209295996611)


def test_each_degradation_does_what_it_is_named_for() -> None:
    frames = piece(3, 128, 256)
    clean = realistic(frames, 4, CLEAN).astype(float)

    def degraded(**changes: object) -> np.ndarray:
        return realistic(frames, 4, replace(CLEAN, **changes)).astype(float)

    def detail(made: np.ndarray) -> float:
        return float(np.abs(np.diff(made, axis=2)).mean())

    assert detail(degraded(blur_x=2.5, blur_y=2.5)) < 0.95 * detail(clean)
    assert detail(degraded(between=0.6)) < 0.98 * detail(clean)
    assert np.std(degraded(noise_read=6.0, noise_grey=True) - clean) == pytest.approx(6.0, rel=0.25)
    assert np.abs(degraded(jpeg_quality=30) - clean).mean() > 1.5 * np.abs(degraded(jpeg_quality=95) - clean).mean()


def test_noise_differs_from_frame_to_frame_and_nothing_else_does() -> None:
    still = np.repeat(piece(1, 64, 96), 3, axis=0)
    degradation = replace(draw_degradation(0, 1), noise_read=5.0)
    first, second, _ = realistic(still, 4, degradation)
    assert not np.array_equal(first, second)
    quiet = realistic(still, 4, replace(degradation, noise_read=0.0, noise_shot=0.0))
    np.testing.assert_array_equal(quiet[0], quiet[2])


def test_frames_degraded_in_pieces_are_the_frames_degraded_at_once() -> None:
    frames, degradation = piece(6, 64, 96), draw_degradation(3, 4)
    parts = [realistic(frames[start : start + 2], 4, degradation, start) for start in (0, 2, 4)]
    np.testing.assert_array_equal(np.concatenate(parts), realistic(frames, 4, degradation))


def test_a_realistic_sample_is_its_own_crop_degraded_by_its_own_draw(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "clip", piece(14))
    train = open_data(run_config(folder, degradation="realistic", seed=5), cache_dir=tmp_path / "cache").train
    for index in range(6):
        lr, gt = train.sample_u8(index)
        expected = realistic(gt.transpose(0, 2, 3, 1), 4, draw_degradation(5, index))
        np.testing.assert_array_equal(lr, expected.transpose(0, 3, 1, 2))
        assert lr.flags.c_contiguous
    assert not np.array_equal(train.sample_u8(0)[0], train.sample_u8(1)[0])


def test_realistic_validation_frames_are_the_same_in_every_run(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "clip", piece(14))
    lrs = [
        open_data(run_config(folder, degradation="realistic", seed=seed), cache_dir=tmp_path / place).val[0].lr()
        for seed, place in ((0, "one"), (9, "two"))
    ]
    np.testing.assert_array_equal(*lrs)
