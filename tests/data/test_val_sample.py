"""Of long footage a validation scores a sample: spread evenly, the same in every run, and said."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.clips import piece, run_config, write_frames, write_video
from tests.support.runs import open_in_process
from vsrpp.cli import main
from vsrpp.data import Data, datasets, open_data, val_sample_of
from vsrpp.data.dataset import SMALLEST_SIDE
from vsrpp.data.val_sample import RUN_FRAMES, spread
from vsrpp.metrics import SSIM_MIN_SIZE
from vsrpp.store import RunReader
from vsrpp.training.validation import CHUNK_FRAMES

SAMPLED: dict[str, Any] = {"validation_version": 2, "val_frames": 32}


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("footage")
    return write_video(folder / "long.mkv", np.concatenate([piece(60, 32, 48)] * 4))


def opened(path: Path, cache: Path, **changes: Any) -> Data:
    return open_data(run_config(path, val_fraction=0.5, **changes), cache_dir=cache / "cache")


@given(st.lists(st.integers(1, 300), min_size=1, max_size=40), st.integers(16, 500))
@example([1, 1, 33, 64], 66)
def test_a_sample_is_as_large_as_it_may_be_and_evenly_shared(lengths: list[int], limit: int) -> None:
    runs = spread(lengths, limit)
    taken = [sum(map(len, clip)) for clip in runs]
    assert sum(taken) <= limit
    assert sum(taken) > limit - 2 * RUN_FRAMES or taken == lengths
    for clip, length in zip(runs, lengths, strict=True):
        assert clip == [range(length)] or all(run.start % RUN_FRAMES == len(run) % RUN_FRAMES == 0 for run in clip)
        assert all(before.stop < after.start for before, after in pairwise(clip))
    unfinished = [count for count, length in zip(taken, lengths, strict=True) if count < length]
    assert not unfinished or max(unfinished) - min(unfinished) <= RUN_FRAMES


def test_runs_are_spread_over_the_clip_and_over_the_clips() -> None:
    assert spread([1800], 64) == [[range(start, start + 16) for start in (224, 672, 1120, 1568)]]
    assert [bool(clip) for clip in spread([400] * 6, 48)] == [False, True, False, True, False, True]


def test_a_run_is_a_chunk_of_validation() -> None:
    assert RUN_FRAMES == CHUNK_FRAMES


def test_the_smallest_validation_frame_is_the_window_of_ssim() -> None:
    assert SMALLEST_SIDE == SSIM_MIN_SIZE


def test_only_the_sample_of_held_out_footage_validates(tmp_path: Path, footage: Path) -> None:
    data = opened(footage, tmp_path, **SAMPLED)
    assert data.val[0].runs == (range(16, 32), range(80, 96)) and data.val_frames == (32, 120)
    assert data.split.val[0].frames == 120, "the others are not trained on"
    assert val_sample_of(data) == {
        "frames": 32, "of": 120, "runs": 2, "clips": [{"name": "long", "frames": [[136, 151], [200, 215]]}]
    }  # fmt: skip
    whole = opened(footage, tmp_path, **SAMPLED | {"val_frames": None})
    assert val_sample_of(whole) is None and whole.val_frames == (120, 120)
    rows = [datasets(each, run_config(footage))[1] for each in (data, whole)]
    assert [(row["clips"], row["frames"]) for row in rows] == [(1, 32), (1, 120)]
    assert rows[0]["digest"] != rows[1]["digest"]


def test_a_record_of_version_1_scores_every_frame(tmp_path: Path, footage: Path) -> None:
    for older in ({}, {"validation_version": 1, "val_frames": 32}):
        assert opened(footage, tmp_path, **older).val_frames == (120, 120)


def test_plain_val_data_is_sampled_and_pairs_are_scored_whole(tmp_path: Path, footage: Path) -> None:
    frames = piece(40, 32, 48)
    write_frames(tmp_path / "pairs" / "GT" / "a", frames)
    write_frames(tmp_path / "pairs" / "LQ" / "a", np.ascontiguousarray(frames[:, ::4, ::4]))
    write_frames(tmp_path / "plain" / "a", frames)
    found = {
        name: opened(footage, tmp_path, **SAMPLED, val_data=str(tmp_path / name)).val_frames
        for name in ("pairs", "plain")
    }
    assert found == {"pairs": (40, 40), "plain": (16, 40)}


def test_the_start_and_the_look_say_which_frames_are_scored(
    tmp_path: Path, footage: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VSRPP_CACHE", str(tmp_path / "cache"))
    prepared, _ = open_in_process(tmp_path / "runs", footage, val_fraction=0.5, val_frames=32, crop_size=32)
    with RunReader(prepared.paths.run_db) as record:
        started = record.last_event("started")
    assert started is not None and started.data["validation_sample"] == val_sample_of(prepared.data)
    sets = [word for item in ("val_fraction=0.5", "val_frames=32", "crop_size=32") for word in ("--set", item)]
    assert main(["data", str(footage), *sets]) == 0
    said = capsys.readouterr().out
    assert "validation scores 32 of 120 frames, 2 runs spread evenly (val_frames): long 136–151, long 200–215" in said
