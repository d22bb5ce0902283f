"""A stream of frames through chunks and tiles: every frame once, invisible seams, memory independent of the length."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.support.clips import piece
from vsrpp import models
from vsrpp.inference.chunks import StreamBounds, upscale_frames, upscale_stream
from vsrpp.inference.tiles import fade_in, tile_spans
from vsrpp.models.network import Network


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=["vsrpp", "basicvsr"])
def model(request: pytest.FixtureRequest) -> Network:
    """A small network with strong random detail, so that the effect of every border and cut is visible."""
    torch.manual_seed(0)
    made = models.build({"network": request.param, "n_feats": 8, "n_blocks": 2, "scale": 2})
    last = [module for module in made.modules() if isinstance(module, torch.nn.Conv2d)][-1]
    torch.nn.init.normal_(last.weight, std=0.05 if request.param == "vsrpp" else 0.5)
    return made


class Nearest(Network):
    """Every pixel twice as large: the output shows exactly which frame and position it came from."""

    scale = 2

    def forward(self, lr: Tensor) -> Tensor:
        return lr.repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2)

    def blocks(self) -> dict[str, torch.nn.Module]:
        return {}

    def facts(self) -> dict[str, object]:
        return {}


def stream(model: Network, clip: np.ndarray, **bounds: int) -> np.ndarray:
    return np.stack(list(upscale_stream(model, iter(clip), device="cpu", bounds=StreamBounds(**bounds))))


@settings(deadline=None)
@given(
    frames=st.integers(1, 25), chunk=st.integers(1, 9), overlap=st.integers(0, 9), tile=st.integers(0, 12),
    tile_overlap=st.integers(0, 5),
)  # fmt: skip
def test_every_frame_and_pixel_comes_out_once_and_in_its_place(
    frames: int, chunk: int, overlap: int, tile: int, tile_overlap: int
) -> None:
    tile = tile if tile > 2 * tile_overlap else 0
    clip = np.random.default_rng(frames).integers(0, 256, (frames, 13, 17, 3), dtype=np.uint8)
    made = stream(Nearest(), clip, chunk_frames=chunk, overlap=overlap, tile=tile, tile_overlap=tile_overlap)
    assert np.array_equal(made, clip.repeat(2, axis=1).repeat(2, axis=2))


@settings(deadline=None)
@given(frames=st.integers(1, 30), chunk=st.integers(1, 9), overlap=st.integers(0, 9), chunks=st.integers(0, 10))
def test_a_stream_that_starts_later_gives_the_rest_of_the_whole_one(
    frames: int, chunk: int, overlap: int, chunks: int
) -> None:
    class Mixing(Nearest):
        """Each output frame depends on all frames of its window."""

        def forward(self, lr: Tensor) -> Tensor:
            return super().forward(lr * 0.5 + lr.mean() * 0.5)

    bounds = StreamBounds(chunk_frames=chunk, overlap=overlap, tile=0)
    clip = np.random.default_rng(frames).integers(0, 256, (frames, 3, 4, 3), dtype=np.uint8)
    works: list[int] = []
    whole = list(upscale_stream(Mixing(), clip, device="cpu", bounds=bounds, on_work=works.append))
    assert sum(works) == bounds.work(frames, 3, 4)
    start = min(chunks * chunk, frames // chunk * chunk)
    works.clear()
    rest = list(
        upscale_stream(
            Mixing(), clip[bounds.reads_from(start) :], device="cpu", bounds=bounds, start=start, on_work=works.append
        )
    )
    assert sum(works) == bounds.work(frames, 3, 4, start)
    assert np.array_equal(np.array(rest), np.array(whole[start:]))


def test_frames_of_16_bits_keep_them() -> None:
    clip = np.random.default_rng(0).integers(0, 65536, (6, 13, 17, 3), dtype=np.uint16)
    made = stream(Nearest(), clip, chunk_frames=4, overlap=2, tile=8, tile_overlap=2)
    assert made.dtype == np.uint16
    assert np.array_equal(made, clip.repeat(2, axis=1).repeat(2, axis=2))


def test_an_empty_stream_gives_nothing() -> None:
    assert list(upscale_stream(Nearest(), [], device="cpu")) == []


def test_chunks_and_tiles_with_overlap_are_within_two_grey_levels_of_the_whole(model: Network) -> None:
    """For these networks; how far a border or a cut reaches depends on the weights. Without overlap it is ten levels."""
    clip = piece(12, 48, 80)
    whole = upscale_frames(model, clip, device="cpu").astype(int)
    soft = np.abs(stream(model, clip, chunk_frames=6, overlap=6, tile=56, tile_overlap=24) - whole)
    hard = np.abs(stream(model, clip, chunk_frames=6, overlap=0, tile=56, tile_overlap=0) - whole)
    assert soft.max() <= 2
    assert soft.mean() < 0.05
    assert hard.max() > 8
    assert hard.mean() > 10 * soft.mean()


def test_no_more_of_the_input_is_taken_than_chunk_and_overlaps_ahead() -> None:
    taken = 0

    def source() -> Iterator[np.ndarray]:
        nonlocal taken
        for frame in np.zeros((100, 4, 4, 3), np.uint8):
            taken += 1
            yield frame

    for given_out, _ in enumerate(
        upscale_stream(Nearest(), source(), device="cpu", bounds=StreamBounds(chunk_frames=4, overlap=2))
    ):
        assert taken - given_out <= 4 + 2 * 2 + 2


def test_spans_cover_a_side_and_weights_grow_from_nought_to_one_in_each_overlap() -> None:
    spans = tile_spans(100, 40, 10)
    assert spans == [(0, 40), (30, 70), (60, 100)]
    first, second, _ = fade_in(spans, 2)
    assert first.min() == 1
    assert second[0] == 0
    assert second[19] == 1
    assert (np.diff(second) >= 0).all()


@pytest.mark.parametrize("wrong", [{"chunk_frames": 0}, {"overlap": -1}, {"tile": 8, "tile_overlap": 4}, {"tile": -1}])
def test_bounds_without_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        StreamBounds(**wrong)
