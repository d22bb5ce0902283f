"""Upscaling a clip in chunks: the frames read, the error at a cut, and no files left over."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.support.clips import piece
from vsrpp import models
from vsrpp.inference.chunks import Chunk, chunk_plan, upscale_chunks, upscale_frames
from vsrpp.models.network import Network


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model() -> Network:
    """A small network after a few training steps, so that its recurrence has an effect."""
    torch.manual_seed(0)
    model = models.build({"network": "vsrpp", "n_feats": 8, "n_blocks": 2, "scale": 2})
    gt = torch.from_numpy(piece(5, 48, 64).copy()).permute(0, 3, 1, 2)[None].float() / 255
    lr = torch.nn.functional.avg_pool2d(gt[0], 2)[None]
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(30):
        optimizer.zero_grad()
        (model(lr) - gt).abs().mean().backward()
        optimizer.step()
    return model


def test_overlap_of_the_whole_clip_gives_the_whole_clips_pictures(model: Network) -> None:
    lr_u8 = piece(9, 20, 30)
    whole = upscale_frames(model, lr_u8, device="cpu")
    assert whole.shape == (9, 40, 60, 3)
    assert whole.dtype == np.uint8
    assert np.array_equal(upscale_frames(model, lr_u8, device="cpu", chunk_frames=2, overlap=9), whole)
    assert np.array_equal(upscale_frames(model, lr_u8, device="cpu", chunk_frames=9, overlap=0), whole)


def test_a_cut_with_an_overlap_of_four_frames_is_within_one_grey_level_of_the_whole(model: Network) -> None:
    """For this network; how far a cut reaches depends on the weights."""
    lr_u8 = piece(16, 20, 30)
    whole = upscale_frames(model, lr_u8, device="cpu").astype(int)
    error = {
        overlap: np.abs(upscale_frames(model, lr_u8, device="cpu", chunk_frames=4, overlap=overlap) - whole)
        for overlap in (0, 4)
    }
    assert error[4].max() <= 1
    assert error[4].mean() < 0.02
    assert error[4].sum() < error[0].sum()


def test_no_more_than_chunk_and_overlaps_is_read_at_once(model: Network) -> None:
    clip, asked = piece(10, 8, 8), []

    def read(start: int, stop: int) -> np.ndarray:
        asked.append((start, stop))
        return clip[start:stop]

    frames = [len(part) for part in upscale_chunks(model, read, 10, device="cpu", chunk_frames=4, overlap=1)]
    assert asked == [(0, 5), (3, 9), (7, 10)]
    assert frames == [4, 4, 2]


@given(frames=st.integers(1, 60), chunk_frames=st.integers(1, 70), overlap=st.integers(0, 70))
def test_a_plan_keeps_every_frame_once_and_reads_what_it_keeps(frames: int, chunk_frames: int, overlap: int) -> None:
    plan = chunk_plan(frames, chunk_frames, overlap)
    kept = [frame for chunk in plan for frame in range(chunk.keep_start, chunk.keep_stop)]
    assert kept == list(range(frames))
    for chunk in plan:
        assert 0 <= chunk.read_start <= chunk.keep_start < chunk.keep_stop <= chunk.read_stop <= frames
        assert chunk.read_stop - chunk.read_start <= chunk_frames + 2 * overlap


def test_no_chunk_size_means_the_whole_clip() -> None:
    assert chunk_plan(250, None, 8) == [Chunk(0, 250, 0, 250)]


@pytest.mark.parametrize(("chunk_frames", "overlap"), [(0, 1), (-1, 1), (4, -1)])
def test_a_plan_without_sense_is_refused(chunk_frames: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="must be at least"):
        chunk_plan(10, chunk_frames, overlap)


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_in_the_mode_it_was_in(model: Network, training: bool) -> None:
    model.train(training)
    upscale_frames(model, piece(1, 8, 8), device="cpu")
    assert model.training is training


def test_a_read_only_frame_comes_out_the_same_and_one_frame_is_enough(model: Network) -> None:
    lr_u8 = piece(1, 9, 7)
    assert not lr_u8.flags.writeable
    before = lr_u8.copy()
    sr_u8 = upscale_frames(model, lr_u8, device="cpu")
    assert sr_u8.shape == (1, 18, 14, 3)
    assert np.array_equal(lr_u8, before)


def test_bf16_pictures_are_near_the_fp32_ones(model: Network) -> None:
    lr_u8 = piece(2, 20, 30)
    fp32 = upscale_frames(model, lr_u8, device="cpu").astype(int)
    bf16 = upscale_frames(model, lr_u8, device="cpu", precision="bf16").astype(int)
    assert np.abs(fp32 - bf16).max() <= 3


def test_pictures_beyond_black_and_white_are_clipped_not_wrapped(model: Network) -> None:
    checker = np.zeros((1, 8, 8, 3), np.uint8)
    checker[:, ::2] = 255  # bicubic overshoots at every edge
    untrained = models.build({"network": "vsrpp", "n_feats": 4, "n_blocks": 1, "scale": 4})
    sr_u8 = upscale_frames(untrained, checker, device="cpu")
    assert sr_u8[0, 1:3].min() > 200
    assert sr_u8[0, 5:7].max() < 55
