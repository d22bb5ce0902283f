"""A validation scores chunk by chunk: the figures of whole arrays, in memory that does not depend on a clip's length."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.support.clips import piece, run_config, write_video
from vsrpp import metrics, resize
from vsrpp.data import ValClip, open_data
from vsrpp.distributed.process_group import ProcessGroup
from vsrpp.inference.chunks import upscale_frames
from vsrpp.inference.window import validation_overlap
from vsrpp.training.validation import CHUNK_FRAMES, Scored, Validator

VERSION_1 = validation_overlap({})

LENGTH = CHUNK_FRAMES + 14
START = 60 - LENGTH


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> ValClip:
    folder = tmp_path_factory.mktemp("validation")
    path = write_video(folder / "clip.mkv", piece(60, 32, 48))
    data = open_data(run_config(path, val_fraction=LENGTH / 60), cache_dir=folder / "cache")
    assert data.val[0].frames == LENGTH
    return data.val[0]


class Smear(nn.Module):
    """Every output frame depends on all frames it is read with."""

    scale = 4

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        frames = lr.shape[1]
        weights = torch.softmax(-0.3 * (torch.arange(frames) - torch.arange(frames)[:, None]).abs(), dim=1)
        mixed = torch.einsum("ts,nschw->ntchw", weights, lr)
        return mixed.repeat_interleave(4, dim=3).repeat_interleave(4, dim=4)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return Smear()


def validator(*clips: ValClip, **added: Callable[..., Any]) -> Validator:
    return Validator(clips, 4, torch.device("cpu"), "fp32", ProcessGroup.single(), metrics_=added)


def score(clip: ValClip, network: nn.Module, **added: Callable[..., Any]) -> Scored:
    return validator(clip, **added).score(network, pictures=True)[0]


def mae(pred: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    return (pred - truth).abs().mean()


def edges(frames: np.ndarray) -> float:
    total = 0.0
    for frame in frames:
        y = metrics.to_y(frame)
        total += float(np.abs(np.diff(y, axis=0)).mean() + np.abs(np.diff(y, axis=1)).mean())
    return total / len(frames)


@pytest.mark.parametrize("scored", [(), (START + 3, START + 20)], ids=["all frames", "two frames"])
def test_the_figures_are_those_of_whole_arrays_to_the_last_bit(
    clip: ValClip, network: nn.Module, scored: tuple[int, ...]
) -> None:
    clip = ValClip(replace(clip.span, clip=replace(clip.span.clip, scored=scored)))  # type: ignore[type-var]
    lr, gt = clip.lr(), clip.gt()
    output = upscale_frames(network, lr, device="cpu", chunk_frames=CHUNK_FRAMES, overlap=VERSION_1)
    bicubic = resize.resize_u8(lr, 4)
    assert clip.scored == ([3, 20] if scored else list(range(LENGTH)))
    expected: dict[str, float] = {"sharpness": edges(output[clip.scored]) / edges(gt[clip.scored])}
    for prefix, frames in (("", output), ("bicubic_", bicubic)):
        figures = metrics.evaluate_frames(frames[clip.scored], gt[clip.scored], rgb=False)
        total = 0.0
        for number in clip.scored:
            total += float(mae(*(torch.from_numpy(c[number]).permute(2, 0, 1).float() / 255 for c in (frames, gt))))
        figures["mae"] = total / len(clip.scored)
        tdiff_y = metrics.temporal_difference_y(frames, gt)
        assert tdiff_y is not None
        figures |= {"tdiff_y": tdiff_y, "quality": metrics.quality(figures["psnr_y"], figures["ssim_y"])}
        expected |= {prefix + name: value for name, value in figures.items()}
    found = score(clip, network, mae=mae)
    assert found.figures == expected
    assert found.row == {"name": "clip", "frames": len(clip.scored), **expected}
    assert found.picture is not None and found.picture.frame == LENGTH // 2


def test_every_scored_frame_keeps_its_figures(clip: ValClip, network: nn.Module) -> None:
    found = score(clip, network, mae=mae)
    rows = list(found.frames.rows())
    assert [row["frame"] for row in rows] == list(range(LENGTH))
    assert set(rows[0]) == {"frame", "psnr_y", "ssim_y", "tdiff_y", "sharpness", "mae"}
    assert rows[0]["tdiff_y"] is None
    assert math.fsum(row["psnr_y"] for row in rows) / LENGTH == found.figures["psnr_y"]


def test_a_sampled_frame_has_the_score_it_has_in_the_whole_clip(clip: ValClip, network: nn.Module) -> None:
    whole = {row["frame"]: row for row in score(clip, network).frames.rows()}
    found = score(replace(clip, runs=(range(2, 6), range(20, 30))), network)
    rows = list(found.frames.rows())
    assert [row["frame"] for row in rows] == [*range(2, 6), *range(20, 30)]
    for row in rows:
        first_of_run = row["frame"] in (2, 20)
        assert row == {**whole[row["frame"]], **({"tdiff_y": None} if first_of_run else {})}
    steps = [row["tdiff_y"] for row in rows if row["tdiff_y"] is not None]
    assert found.figures["tdiff_y"] == pytest.approx(sum(steps) / len(steps), rel=1e-12)
    assert found.row["frames"] == 14
    assert found.picture is not None and found.picture.frame == 23


def test_chunks_without_a_sampled_frame_are_not_upscaled(clip: ValClip, network: nn.Module) -> None:
    upscaled = 0

    def count(_module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        nonlocal upscaled
        upscaled += given[0].shape[1]

    handle = network.register_forward_pre_hook(count)
    try:
        score(replace(clip, runs=(range(CHUNK_FRAMES),)), network)
    finally:
        handle.remove()
    assert upscaled == CHUNK_FRAMES + VERSION_1


def test_peak_memory_does_not_grow_with_the_clip(tmp_path: Path, network: nn.Module) -> None:
    """Of frames: numpy's allocations are traced, torch's follow from the chunk."""
    path = write_video(tmp_path / "long.mkv", np.concatenate([piece(60, 32, 48)] * 4))
    data = open_data(run_config(path, val_fraction=0.5), cache_dir=tmp_path / "cache")
    peaks = {}
    for frames in (30, 30, 90):  # the first one fills caches
        clip = ValClip(replace(data.val[0].span, stop=120 + frames))
        tracemalloc.start()
        validator(clip).score(network, pictures=False)
        peaks[frames] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    one_frame = 32 * 48 * 3
    assert peaks[90] - peaks[30] < 10 * one_frame, "60 frames more"
