"""Scoring a run later gives the figures of its validation, for every degradation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.clips import piece, write_frames
from tests.support.processes import train_command, vsrpp
from tests.support.reasons import raises
from tests.support.runs import open_in_process, train
from vsrpp.data import messages as data_messages
from vsrpp.data.degradations import bd
from vsrpp.inference.evaluate import bicubic_of, evaluate_path, network_of
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
def test_evaluate_scores_the_frames_that_validation_saw(tmp_path: Path, tiny_clip: Path, degradation: str) -> None:
    folder, validated = trained(tmp_path / "runs", tiny_clip, degradation=degradation)
    upscale, scale, its_own = network_of(folder)
    assert (scale, its_own) == (4, degradation)
    unseen = 24 - validated["clips"][0]["frames"]
    for name, way in (("", upscale), ("bicubic_", bicubic_of(4))):
        seen = evaluate_path(str(tiny_clip), way, 4, start=unseen, degradation=degradation)
        for figure in FIGURES:
            assert seen[figure] == pytest.approx(validated[name + figure], abs=1e-9), figure


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

    def upscale(frames: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        for frame in frames:
            seen.append(frame)
            yield resize_u8(frame, 4)

    assert evaluate_path(path, upscale, 4, degradation="bd")["degradation"] == "bd"
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
