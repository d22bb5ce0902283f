"""Steadiness without warping, and the temporal profile."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.clips import piece, write_frames
from vsrpp.inference import evaluate
from vsrpp.metrics import temporal_difference_y, temporal_profile, to_y


def test_it_is_the_mean_absolute_difference_of_frame_differences() -> None:
    ours, truth = piece(4, 20, 30), piece(4, 20, 30, start=7)
    changes = [np.diff(np.stack([to_y(frame) for frame in clip]), axis=0) for clip in (ours, truth)]
    assert temporal_difference_y(ours, truth) == pytest.approx(np.abs(changes[0] - changes[1]).mean(), abs=1e-9)


def test_a_constant_error_is_steady_and_flicker_is_not() -> None:
    truth = np.full((6, 12, 12, 3), 100, np.uint8)
    flicker = truth.copy()
    flicker[::2] += 10
    assert temporal_difference_y(truth + 10, truth) == pytest.approx(0, abs=1e-9)
    assert temporal_difference_y(flicker, truth) == pytest.approx(10 * 219 / 255, rel=1e-6)
    assert temporal_difference_y(truth[:1], truth[:1]) is None
    with pytest.raises(ValueError, match="same shape"):
        temporal_difference_y(truth[:2], truth)


def test_a_profile_shows_one_row_of_every_frame_time_downward() -> None:
    clip = piece(12, 20, 30)
    made = temporal_profile([clip, 255 - clip])
    assert made.shape == (96, 60, 3)
    assert np.array_equal(made[::8, :30], clip[:, 10])
    assert np.array_equal(made[7::8, 30:], 255 - clip[:, 10])


def test_evaluate_gives_the_measure_and_a_profile_of_each_clip(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_frames(tmp_path / "clips" / name, piece(3, 32, 48))
    seen = evaluate.evaluate_path(
        str(tmp_path / "clips"), evaluate.bicubic_of(4), 4, profile=tmp_path / "out" / "p.png"
    )
    assert json.loads(json.dumps(seen)) == seen
    assert seen["tdiff_y"] == pytest.approx(np.mean([clip["tdiff_y"] for clip in seen["clips"]]))
    assert seen["tdiff_y"] > 0
    for name in ("a", "b"):
        with Image.open(tmp_path / "out" / f"p_{name}.png") as picture:
            assert picture.size == (3 * 48, 96)
    one = write_frames(tmp_path / "one", piece(1, 32, 48))
    assert evaluate.evaluate_path(str(one), evaluate.bicubic_of(4), 4)["tdiff_y"] is None
