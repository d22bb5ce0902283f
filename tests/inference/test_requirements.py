"""What the machine cannot have is refused before the first frame, with what would fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.inference.test_upscale import Nearest
from tests.support.reasons import raises
from vsrpp import models
from vsrpp.inference import messages
from vsrpp.inference.chunks import StreamBounds, upscale_stream
from vsrpp.inference.memory import MemoryEstimate
from vsrpp.inference.requirements import check_requirements
from vsrpp.media.video_reader import OpenClip

CPU = torch.device("cpu")


def clip(width: int = 64, height: int = 48, expected: int | None = 10) -> OpenClip:
    return OpenClip(width, height, iter(()), expected)


def test_a_picture_that_the_machine_cannot_hold_is_refused_with_what_would_fit(tmp_path: Path) -> None:
    with raises(messages.TOO_LARGE) as refused:
        check_requirements(Nearest(), clip(10**6, 10**5), tmp_path / "out", StreamBounds(), CPU, None, 0)
    assert "No smaller tile or chunk would fit." in str(refused.value)
    with raises(messages.TOO_LARGE) as refused:
        check_requirements(
            Nearest(), clip(20_000, 20_000), tmp_path / "out", StreamBounds(chunk_frames=4000), CPU, None, 0
        )
    assert "would fit." in str(refused.value)


def test_a_disk_without_room_for_an_easy_film_is_refused(tmp_path: Path) -> None:
    with raises(messages.NO_ROOM):
        check_requirements(Nearest(), clip(expected=10**12), tmp_path / "out", StreamBounds(), CPU, None, 0)
    check_requirements(Nearest(), clip(expected=None), tmp_path / "out", StreamBounds(), CPU, None, 0)
    check_requirements(Nearest(), clip(), tmp_path / "out", StreamBounds(), CPU, None, 0)


def test_less_tile_and_chunk_need_less_and_the_advice_fits() -> None:
    model = models.build({"network": "vsrpp", "n_feats": 4, "n_blocks": 1, "scale": 2})
    estimate = MemoryEstimate(model, (1920, 1080), CPU)
    bounds = StreamBounds()
    whole = estimate.needs(bounds)
    assert estimate.needs(replace(bounds, tile=128)) < whole
    assert estimate.needs(replace(bounds, chunk_frames=8)) < whole
    fits = estimate.that_fits(bounds, int(whole * 0.9))
    assert fits is not None
    assert estimate.needs(fits) <= whole * 0.9
    assert estimate.that_fits(bounds, 1) is None


@pytest.mark.parametrize("network", ["vsrpp", "basicvsr", "basicvsrpp"])
def test_the_estimate_of_a_network_follows_its_tensors(network: str) -> None:
    model = models.build({"network": network, "n_feats": 8, "n_blocks": 1, "scale": 2})
    estimate = MemoryEstimate(model, (128, 96), CPU)
    short, long = (estimate.network(StreamBounds(chunk_frames=frames, overlap=0, tile=0)) for frames in (4, 16))
    output = 3 * 4 * 128 * 96 * 4  # bytes of a frame, fp32
    assert long - short >= 12 * output
    assert long < 16 * 20 * output
    next(upscale_stream(model, torch.zeros(2, 8, 8, 3, dtype=torch.uint8).numpy(), device="cpu"))  # still on the CPU
