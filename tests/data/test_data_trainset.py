"""Samples are a pure function of (seed, index), cut only where allowed, with small and large frames aligned."""

from __future__ import annotations

import pickle
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.clips import piece, run_config, write_frames
from vsrpp.data import Data, TrainSet, open_data
from vsrpp.data.cache import StoredClip
from vsrpp.data.sampling import Sampling
from vsrpp.data.split import Span
from vsrpp.resize import resize_u8


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    folder = tmp_path_factory.mktemp("clips")
    write_frames(folder / "000", piece(20, 64, 96))
    write_frames(folder / "001", piece(44, 48, 60, start=100))
    return open_data(run_config(folder), cache_dir=folder / "cache")


def _train(data: Data, *, num_frames: int = 5, seed: int = 0, crop_size: int = 32) -> TrainSet:
    return TrainSet(data.split.train, seed=seed, sampling=Sampling(num_frames), crop_size=crop_size, scale=4)


def _coloured(frames: int, height: int, width: int, folder: Path) -> Span:
    """A clip whose pixels encode their position: red is the frame, green the row / 4, blue the column / 4."""
    gt = np.empty((frames, height, width, 3), np.uint8)
    gt[..., 0] = np.arange(frames)[:, None, None]
    gt[..., 1] = np.arange(height)[:, None] // 4
    gt[..., 2] = np.arange(width) // 4
    write_frames(folder / "clip", gt)
    clip = open_data(run_config(folder / "clip", num_frames=1, crop_size=16), cache_dir=folder / "cache").clips[0]
    return Span(clip, 3, frames - 2)


@given(seed=st.integers(0, 2**63), index=st.integers(0, 2**62))
@settings(max_examples=30)
def test_a_sample_depends_on_seed_and_index_alone(data: Data, seed: int, index: int) -> None:
    train = _train(data, seed=seed)
    first = train.sample(index)
    np.random.seed(index % 1000)
    train.sample(index + 1)
    again = pickle.loads(pickle.dumps(_train(data, seed=seed))).sample(index)
    for ours, theirs in zip(first, again, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_samples_are_the_same_in_every_version(tmp_path: Path) -> None:
    """First pixel (frame, row / 4, column / 4) of samples, recorded: a newer version must draw the same."""
    train = TrainSet([_coloured(12, 24, 32, tmp_path)], seed=7, sampling=Sampling(2), crop_size=16, scale=4)
    first_pixels = [train.sample_u8(index)[1][0, :, 0, 0].tolist() for index in (0, 1, 2, 123456)]
    assert first_pixels == [[8, 0, 2], [8, 4, 2], [5, 1, 7], [3, 1, 6]]


def test_neighbouring_indexes_and_seeds_differ(data: Data) -> None:
    train, other = _train(data), _train(data, seed=1)
    for index in range(16):
        gt = train.sample(index)[1]
        assert not np.array_equal(gt, train.sample(index + 1)[1])
        assert not np.array_equal(gt, other.sample(index)[1])


def test_samples_are_contiguous_floats_between_zero_and_one(data: Data) -> None:
    lr, gt = _train(data).sample(3)
    assert (lr.shape, gt.shape) == ((5, 3, 8, 8), (5, 3, 32, 32))
    for array in (lr, gt):
        assert array.dtype == np.float32
        assert array.flags.c_contiguous
        assert 0 <= array.min() < array.max() <= 1


def test_the_small_crop_is_the_large_one_reduced(data: Data) -> None:
    """Compare away from the border, whose neighbours the crop lacks; both must be flipped and transposed alike."""
    for index in range(40):
        lr, gt = _train(data).sample_u8(index)
        reduced = resize_u8(gt.transpose(0, 2, 3, 1), 1 / 4).transpose(0, 3, 1, 2)
        assert np.abs(reduced[..., 2:-2, 2:-2].astype(int) - lr[..., 2:-2, 2:-2]).max() <= 1


@given(height=st.integers(4, 12), width=st.integers(4, 12), crop=st.integers(2, 4), num_frames=st.integers(1, 4))
@settings(max_examples=15, deadline=None)
def test_every_crop_lies_in_its_span_aligned_to_the_scale(
    tmp_path_factory: pytest.TempPathFactory, height: int, width: int, crop: int, num_frames: int
) -> None:
    span = _coloured(12, height * 4, width * 4, tmp_path_factory.mktemp("c"))
    train = TrainSet([span], seed=height, sampling=Sampling(num_frames), crop_size=crop * 4, scale=4)
    for index in range(40):
        _, gt = train.sample_u8(index)
        frames, rows, columns = (np.unique(gt[:, channel]) for channel in range(3))
        assert (len(frames), len(rows), len(columns)) == (num_frames, crop, crop)  # whole 4x4 blocks: aligned
        assert np.ptp(frames) == num_frames - 1
        assert frames.min() >= 3
        assert frames.max() < 10


def test_crops_reach_every_window_and_every_corner(tmp_path: Path) -> None:
    span = _coloured(12, 24, 32, tmp_path)
    train = TrainSet([span], seed=0, sampling=Sampling(2), crop_size=16, scale=4)
    gts = [train.sample_u8(index)[1] for index in range(400)]
    assert {int(gt[:, 0].min()) for gt in gts} == set(range(3, 9))
    assert {int(gt[:, 1].min()) for gt in gts} == {0, 1, 2}
    assert {int(gt[:, 2].min()) for gt in gts} == {0, 1, 2, 3, 4}


def test_flips_transposes_and_reversals_each_happen_half_the_time(tmp_path: Path) -> None:
    train = TrainSet([_coloured(12, 24, 32, tmp_path)], seed=0, sampling=Sampling(2), crop_size=16, scale=4)
    gts = [train.sample_u8(index)[1].astype(int) for index in range(400)]
    reversed_time = np.mean([gt[0, 0, 0, 0] > gt[1, 0, 0, 0] for gt in gts])
    transposed = np.mean([gt[0, 1, 0, 0] == gt[0, 1, -1, 0] for gt in gts])  # green no longer follows the rows
    turned = np.mean([gt[0, 1].min() == gt[0, 1, 0, 0] for gt in gts])
    mirrored = np.mean([gt[0, 2].min() == gt[0, 2, 0, 0] for gt in gts])
    for share in (reversed_time, transposed, turned, mirrored):
        assert 0.42 < share < 0.58


def _switched(span: Span, **switches: Any) -> TrainSet:
    return TrainSet([span], seed=0, sampling=Sampling(3, **switches), crop_size=16, scale=4)


def test_a_symmetry_that_is_off_leaves_every_other_draw_as_it_was(tmp_path: Path) -> None:
    span = _coloured(16, 24, 32, tmp_path)
    usual = _switched(span)
    still, upright, forwards = (
        _switched(span, **{name: False}) for name in ("flip", "transpose", "reverse_time")
    )  # fmt: skip
    for index in range(60):
        gt = usual.sample_u8(index)[1].astype(int)
        transposed = gt[0, 1, 0, 0] == gt[0, 1, -1, 0]
        pixels = still.sample_u8(index)[1]
        rows, columns = (2, 1) if transposed else (1, 2)
        assert pixels[0, rows, 0, 0] == pixels[0, rows].min()
        assert pixels[0, columns, 0, 0] == pixels[0, columns].min()
        np.testing.assert_array_equal(np.sort(pixels[:, 0, 0, 0]), np.sort(gt[:, 0, 0, 0]))
        np.testing.assert_array_equal(upright.sample_u8(index)[1], gt.swapaxes(-1, -2) if transposed else gt)
        backwards = gt[0, 0, 0, 0] > gt[1, 0, 0, 0]
        np.testing.assert_array_equal(forwards.sample_u8(index)[1], gt[::-1] if backwards else gt)


def test_frames_are_as_far_apart_as_the_interval_drawn_for_the_sample(tmp_path: Path) -> None:
    span = _coloured(16, 24, 32, tmp_path)
    train = _switched(span, intervals=(1, 3, 3), reverse_time=False)
    again = pickle.loads(pickle.dumps(train))
    steps = []
    for index in range(300):
        frames = train.sample_u8(index)[1][:, 0, 0, 0].astype(int)
        assert set(frames) <= set(range(3, 14))
        np.testing.assert_array_equal(again.sample_u8(index)[1][:, 0, 0, 0], frames)
        (step,) = set(np.diff(frames).tolist())
        steps.append(step)
    assert set(steps) == {1, 3}
    assert 0.58 < np.mean(np.array(steps) == 3) < 0.76  # twice in the list: drawn twice as often
    assert len(train) == 9 + 5  # windows 1 apart, and 3 apart


def test_a_clip_that_mirrors_is_played_back_and_forth_at_an_interval() -> None:
    clip = StoredClip("a", Path("a"), Path("a"), "a", 7, 64, 64, 64, 64, 4, mirrors=True)
    span = Span(clip, 0, 7)
    assert span.windows(7, 1) == 1
    assert span.windows(7, 2) == 2
    assert span.numbers(0, 7, 2) == [0, 2, 4, 6, 5, 3, 1]
    assert span.windows(8, 2) == 0


def test_clips_are_drawn_in_proportion_to_their_windows(tmp_path: Path) -> None:
    for number, frames in enumerate((20, 44)):
        write_frames(tmp_path / "clips" / str(number), np.full((frames, 32, 32, 3), number, np.uint8))
    data = open_data(run_config(tmp_path / "clips"), cache_dir=tmp_path / "cache")
    windows = [span.frames - 4 for span in data.split.train]
    assert len(data.train) == data.samples_per_epoch == sum(windows)
    from_second = np.mean([data.train.sample_u8(index)[1].flat[0] for index in range(400)])
    assert from_second == pytest.approx(windows[1] / sum(windows), abs=0.06)


@pytest.mark.parametrize("wrong", [{"num_frames": 16}, {"crop_size": 52}, {"crop_size": 30}])
def test_a_sample_that_does_not_fit_a_span_is_refused_at_once(data: Data, wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="in every span"):
        _train(data, **wrong)


def test_a_sample_of_five_96_pixel_frames_takes_under_five_milliseconds_of_work(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "clip", piece(12, 128, 160))
    train = open_data(run_config(folder, crop_size=96), cache_dir=tmp_path / "cache").train
    train.sample(0)
    started_s = time.process_time()
    for index in range(50):
        train.sample(index)
    assert (time.process_time() - started_s) / 50 < 0.005
