"""Scoring a run later gives the figures of its validation, for every degradation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.clips import piece, write_frames
from tests.support.processes import train_command, vsrpp
from tests.support.reasons import raises
from tests.support.runs import open_in_process, train
from vsrpp import models
from vsrpp.data import messages as data_messages
from vsrpp.data.degradations import bd
from vsrpp.inference import evaluate as scoring
from vsrpp.inference.evaluate import FrameByFrame, InWindows, bicubic_of, evaluate_path, network_of
from vsrpp.resize import resize_u8
from vsrpp.store import RunReader

FIGURES = ("psnr_y", "ssim_y", "tdiff_y")


def trained(runs: Path, data: Path, **sets: Any) -> tuple[Any, dict[str, Any]]:
    """(the last checkpoint, the last validation) of a tiny run."""
    prepared, context = open_in_process(runs, data, scale=4, max_steps=10, **sets)
    train(context)
    with RunReader(prepared.paths.run_db) as record:
        validated = record.last_event("validated")
        rows = record.latest("val/")
    assert validated is not None
    assert rows["val/tdiff_y"].value == validated.data["tdiff_y"]
    return prepared.paths.checkpoint(10), validated.data


@pytest.mark.parametrize("degradation", ["bicubic", "bd", "realistic"])
def test_evaluate_gives_a_clip_the_figures_that_validation_gave_it(
    tmp_path: Path, tiny_clip: Path, degradation: str
) -> None:
    unseen = write_frames(tmp_path / "unseen", piece(16, 64, 96, start=60))
    folder, validated = trained(tmp_path / "runs", tiny_clip, degradation=degradation, val_data=str(unseen))
    upscale, scale, its_own = network_of(folder)
    assert (scale, its_own) == (4, degradation)
    for name, way in (("", upscale), ("bicubic_", bicubic_of(4))):
        seen = evaluate_path(str(unseen), way, 4, degradation=degradation)
        for figure in FIGURES:
            assert seen[figure] == pytest.approx(validated[name + figure], abs=1e-9), figure


@pytest.mark.parametrize("degradation", ["bicubic", "bd", "realistic"])
def test_bicubic_of_held_out_frames_has_the_figures_of_validation(
    tmp_path: Path, tiny_clip: Path, degradation: str
) -> None:
    _, validated = trained(tmp_path / "runs", tiny_clip, degradation=degradation)
    start = 24 - validated["clips"][0]["frames"]
    seen = evaluate_path(str(tiny_clip), bicubic_of(4), 4, start=start, degradation=degradation)
    for figure in FIGURES:
        assert seen[figure] == pytest.approx(validated[f"bicubic_{figure}"], abs=1e-9), figure


PARTS = [(0, 1), (0, 6), (3, None), (5, 2), (7, 3), (8, 1), (10, 2), (11, 9), (16, 4), (19, 1), (19, 8)]


@pytest.mark.parametrize("whole", [20, 9, 6])
def test_a_frame_has_one_score_whatever_part_of_its_clip_is_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: int
) -> None:
    """As one window, and in several; with degradations that work on the frame and on blocks of frames."""
    monkeypatch.setattr(scoring, "WHOLE_CLIP_FRAMES", whole)
    monkeypatch.setattr(scoring, "OVERLAP", 2)
    torch.manual_seed(0)
    network = models.build({"network": "vsrpp", "n_feats": 4, "n_blocks": 1, "scale": 4})
    with torch.no_grad():
        for part in network.parameters():  # untrained, it is bicubic
            part.add_(torch.randn_like(part), alpha=0.1)
    upscale, clip = (
        InWindows(network.eval(), torch.device("cpu")),
        str(write_frames(tmp_path / "clip", piece(20, 48, 64))),
    )
    for degradation in ("bicubic", "realistic"):
        per_frame = evaluate_path(clip, upscale, 4, degradation=degradation)["clips"][0]["per_frame"]
        for start, count in PARTS:
            seen = evaluate_path(clip, upscale, 4, start=start, count=count, degradation=degradation)
            stop = 20 if count is None else min(20, start + count)
            part = seen["clips"][0]["per_frame"]
            assert part["frame"] == list(range(start, stop))
            for figure in ("psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb"):
                assert part[figure] == per_frame[figure][start:stop], (figure, start, count)
    with raises(data_messages.NO_SUCH_FRAME, frame=20):
        evaluate_path(clip, upscale, 4, start=20)


def test_no_more_than_the_context_of_a_part_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "WHOLE_CLIP_FRAMES", 8)
    monkeypatch.setattr(scoring, "OVERLAP", 2)
    network = models.build({"network": "vsrpp", "n_feats": 4, "n_blocks": 1, "scale": 4})
    reads = InWindows(network, torch.device("cpu")).reads
    assert [reads(*part) for part in ((0, None), (3, 5), (8, 9), (17, 40), (17, None))] == [
        (0, None), (0, 10), (6, 18), (14, 42), (14, None)
    ]  # fmt: skip


def test_a_single_frame_validates_without_a_temporal_measure(tmp_path: Path, tiny_clip: Path) -> None:
    one = write_frames(tmp_path / "val" / "one", piece(1, 64, 96))
    two = write_frames(tmp_path / "val" / "two", piece(3, 64, 96, start=60))
    prepared, context = open_in_process(tmp_path / "a", tiny_clip, max_steps=10, val_data=str(one))
    train(context)
    with RunReader(prepared.paths.run_db) as record:
        assert "val/tdiff_y" not in record.latest("val/") and "val/psnr_y" in record.latest("val/")
    prepared, context = open_in_process(tmp_path / "b", tiny_clip, max_steps=10, val_data=str(two.parent))
    train(context)
    with RunReader(prepared.paths.run_db) as record:
        validated = record.last_event("validated")
    assert validated is not None
    by_name = {clip["name"]: clip for clip in validated.data["clips"]}
    assert "tdiff_y" not in by_name["one"]
    assert validated.data["tdiff_y"] == by_name["two"]["tdiff_y"]


def test_bd_frames_are_blurred_by_the_field_s_kernel(tmp_path: Path) -> None:
    truth = piece(3, 48, 64)
    path = str(write_frames(tmp_path / "clip", truth))
    seen: list[np.ndarray] = []

    def upscale(frame: np.ndarray) -> np.ndarray:
        seen.append(frame)
        return resize_u8(frame, 4)

    assert evaluate_path(path, FrameByFrame(upscale), 4, degradation="bd")["degradation"] == "bd"
    assert np.array_equal(np.stack(seen), bd(truth))
    with raises(data_messages.DEGRADATION_SCALE, degradation="bd", scale=2):
        evaluate_path(path, bicubic_of(2), 2, degradation="bd")


@pytest.mark.slow
def test_the_command_takes_the_degradation_of_the_run(tmp_path: Path, tiny_clip: Path) -> None:
    words = train_command(tiny_clip, scale=4, degradation="bd")
    assert vsrpp(tmp_path, *words).returncode == 0
    seen = json.loads(vsrpp(tmp_path, "evaluate", "latest", "--data", str(tiny_clip), "--json").stdout)
    assert seen["degradation"] == "bd"
    said = vsrpp(tmp_path, "evaluate", "bicubic", "--data", str(tiny_clip), "--degradation", "realistic")
    assert "small frames: made (realistic)" in said.stdout
