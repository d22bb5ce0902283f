"""The reduction equals MATLAB's; checked against pixels that BasicSR's imresize made from a real frame."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.clips import bikes_frames, bikes_reference
from vsrpp.resize import output_size, resize_u8, weights_matrix


def test_reduced_frames_have_the_reference_pixels() -> None:
    expected = bikes_reference()["lr_pixels"]
    reduced = resize_u8(bikes_frames()[expected["frame"]], 1 / 4)
    assert list(reduced.shape[:2]) == expected["size"]
    for row, column, rgb in expected["values"]:
        assert np.abs(reduced[row, column].astype(int) - rgb).max() <= 1


@pytest.mark.parametrize("entry", bikes_reference()["frames"], ids=lambda entry: f"frame{entry['frame']}")
def test_reduced_frames_have_the_reference_mean(entry: dict[str, float]) -> None:
    assert resize_u8(bikes_frames()[entry["frame"]], 1 / 4).mean() == pytest.approx(entry["lr_mean"], abs=0.01)


@given(
    size=st.integers(1, 60), scale=st.sampled_from([0.25, 1 / 3, 0.5, 1.0, 2.0, 3.0, 4.0]), value=st.integers(0, 255)
)
def test_flat_frames_stay_flat_at_any_size_and_scale(size: int, scale: float, value: int) -> None:
    flat = np.full((size, size + 3, 3), value, np.uint8)
    assert np.all(resize_u8(flat, scale) == value)


@given(size=st.integers(1, 40), scale=st.sampled_from([0.25, 1 / 3, 0.5, 2.0, 3.0, 4.0]))
def test_the_matrix_is_symmetric_under_a_flip_and_its_rows_sum_to_one(size: int, scale: float) -> None:
    whole = round(size / scale) if scale < 1 else size  # whole blocks: elsewhere the last pixel is off centre
    matrix = weights_matrix(whole, output_size(whole, scale), scale)
    np.testing.assert_allclose(matrix, matrix[::-1, ::-1], atol=1e-9)
    np.testing.assert_allclose(matrix.sum(axis=1), 1)


@pytest.mark.parametrize("scale", [1 / 4, 1 / 3, 1 / 2, 2, 3, 4])
def test_resizing_frames_is_the_product_with_the_two_matrices(scale: float) -> None:
    frame = bikes_frames()[120, :96, :132]
    height, width = output_size(96, scale), output_size(132, scale)
    rows = np.tensordot(weights_matrix(96, height, scale), frame.astype(float), axes=(1, 0))
    exact = np.tensordot(rows, weights_matrix(132, width, scale), axes=(1, 1)).swapaxes(1, 2)
    assert np.abs(resize_u8(frame, scale) - np.clip(exact, 0, 255)).max() < 0.502


def test_reducing_filters_first_so_fine_stripes_become_grey() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.ptp(resize_u8(stripes, 1 / 4)[4:-4, 4:-4]) <= 1


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_third_of_a_multiple_of_three_gains_no_pixel(scale: int) -> None:
    assert all(output_size(scale * size, 1 / scale) == size for size in range(1, 2000))


def test_clips_and_single_frames_are_resized_alike() -> None:
    clip = bikes_frames()[:3]
    np.testing.assert_array_equal(resize_u8(clip, 1 / 4)[2], resize_u8(clip[2], 1 / 4))


@pytest.mark.parametrize("frames", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8)])
def test_what_is_not_uint8_frames_is_refused(frames: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8, not"):
        resize_u8(frames, 0.5)


def test_a_frame_is_reduced_in_under_twenty_milliseconds_of_work() -> None:
    started_s = time.process_time()
    resize_u8(bikes_frames()[:25], 1 / 4)
    assert (time.process_time() - started_s) / 25 < 0.02
