"""Opening a run's data: what is decoded, kept and described, and what is refused before the first step."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.clips import bikes, bikes_frames, piece, run_config, write_frames, write_video
from vsrpp.data import Data, describe, open_data
from vsrpp.errors import NotFound, Refused
from vsrpp.resize import resize_u8


def _open(tmp_path: Path, path: Path | str, **changes: Any) -> Data:
    return open_data(run_config(path, **changes), cache_dir=tmp_path / "cache")


def _refusal(tmp_path: Path, path: Path, **changes: Any) -> str:
    with pytest.raises(Refused) as caught:
        _open(tmp_path, path, **changes)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "cache").glob("*/gt.bin"))  # refused before anything is decoded
    return str(caught.value)


def test_the_sample_trains_on_its_beginning_and_validates_on_its_end(tmp_path: Path) -> None:
    data = _open(tmp_path, "sample", val_fraction=0.1, reader_version=1)
    (clip,) = data.val
    assert (clip.name, clip.frames, data.samples_per_epoch) == ("bikes", 25, 221)
    np.testing.assert_array_equal(clip.gt(), bikes_frames()[225:])
    np.testing.assert_array_equal(clip.gt(15, 16)[0], bikes_frames()[240])
    np.testing.assert_array_equal(clip.lr(15, 17), resize_u8(bikes_frames()[240:242], 1 / 4))


def test_frames_are_cut_to_multiples_of_the_scale_at_the_right_and_bottom(tmp_path: Path) -> None:
    frames = piece(12, 50, 71)
    (clip,) = _open(tmp_path, write_frames(tmp_path / "odd", frames), scale=3, crop_size=30).val
    np.testing.assert_array_equal(clip.gt(), frames[-5:, :48, :69])
    assert clip.lr().shape == (5, 16, 23, 3)


def test_val_data_is_validated_on_whole(tmp_path: Path) -> None:
    train, val = write_video(tmp_path / "t.mkv", piece(12)), write_frames(tmp_path / "v", piece(1, start=50))
    data = _open(tmp_path, train, val_data=str(val))
    assert [(clip.name, clip.frames) for clip in data.val] == [("v", 1)]
    assert data.samples_per_epoch == 8


def test_description_names_every_clip_with_its_split(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    for number in range(6):
        write_frames(folder / f"{number:03d}", piece(6, 50, 72, start=number * 10))
    described = describe(_open(tmp_path, folder))
    json.dumps(described)
    assert (described["kind"], described["samples_per_epoch"]) == ("clips", 10)
    assert [clip["split"] for clip in described["clips"]] == ["train"] * 5 + ["val"]
    first = {key: described["clips"][0][key] for key in ("name", "frames", "width", "height", "paired")}
    assert first == {"name": "000", "frames": 6, "width": 72, "height": 50, "paired": False}


def test_description_says_where_one_clip_does_both_or_neither(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    for number in range(2):
        write_frames(folder / f"{number}", piece(12, start=number * 20))
    (both, _) = describe(_open(tmp_path, folder))["clips"]
    assert (both["split"], both["train_frames"], both["val_frames"]) == ("train+val", 7, 5)
    (left_out, train, val) = describe(_open(tmp_path, folder, val_data=str(folder / "0")))["clips"]
    assert [row["split"] for row in (left_out, train, val)] == ["left out", "train", "val"]


def test_progress_tells_frames_as_they_are_decoded_and_nothing_the_second_time(tmp_path: Path) -> None:
    config = run_config(write_video(tmp_path / "v.mkv", piece(20)))
    first: list[tuple[str, int, int]] = []
    second: list[tuple[str, int, int]] = []
    for calls in (first, second):
        open_data(config, cache_dir=tmp_path / "cache", progress=lambda *call, to=calls: to.append(call))
    assert first == [("v", 0, 20), ("v", 8, 20), ("v", 16, 20), ("v", 20, 20)]
    assert second == []


def test_fingerprint_is_of_the_contents_not_of_places_or_names(tmp_path: Path) -> None:
    here = write_frames(tmp_path / "here", piece(12))
    there = write_frames(tmp_path / "there", piece(12), "im{}.png")
    other = write_frames(tmp_path / "other", piece(12, start=1))
    prints = [_open(tmp_path, path).fingerprint for path in (here, there, other)]
    assert prints[0] == prints[1] != prints[2]
    assert len(prints[0]) == 64


def test_fingerprint_changes_when_one_pixel_of_a_source_does(tmp_path: Path) -> None:
    frames = piece(12).copy()
    before = _open(tmp_path, write_frames(tmp_path / "clip", frames)).fingerprint
    frames[3, 0, 0, 0] ^= 1
    assert _open(tmp_path, write_frames(tmp_path / "clip", frames)).fingerprint != before


def test_fingerprint_tells_training_from_validation_data(tmp_path: Path) -> None:
    a, b = write_frames(tmp_path / "a", piece(12)), write_frames(tmp_path / "b", piece(12, start=40))
    assert _open(tmp_path, a, val_data=str(b)).fingerprint != _open(tmp_path, b, val_data=str(a)).fingerprint


def test_missing_validation_data_is_not_found_before_anything_is_decoded(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no data at .*nowhere"):
        _open(tmp_path, bikes(), val_data=str(tmp_path / "nowhere"))
    assert not (tmp_path / "cache").exists()


def test_frames_smaller_than_the_crop_are_refused_with_both_sizes(tmp_path: Path) -> None:
    path = write_video(tmp_path / "small.mkv", piece(12, 48, 64))
    assert f"{path} refused: its frames are 64x48, crop_size needs at least 52x52" in _refusal(
        tmp_path, path, crop_size=52
    )


def test_fewer_frames_than_num_frames_are_refused_with_both_numbers(tmp_path: Path) -> None:
    path = write_video(tmp_path / "short.mkv", piece(1))
    assert f"{path} refused: it has 1 frame, fewer than num_frames = 5" in _refusal(tmp_path, path)


def test_a_clip_too_short_for_the_widest_interval_is_refused_and_one_frame_more_is_enough(tmp_path: Path) -> None:
    path = write_video(tmp_path / "short.mkv", piece(12))
    assert _refusal(tmp_path, path, frame_interval="1, 3") == (
        f"{path} refused: it has 12 frames, fewer than num_frames = 5 at frame_interval = 3 (13 frames); "
        "use a longer clip or a smaller num_frames or frame_interval."
    )
    data = _open(tmp_path, write_video(tmp_path / "long.mkv", piece(18)), frame_interval="1, 3")
    assert (data.samples_per_epoch, data.val[0].frames) == (9 + 1, 5)
    assert describe(data)["sampling"]["intervals"] == [1, 3]


def test_validation_frames_too_small_for_ssim_are_refused(tmp_path: Path) -> None:
    tiny = write_frames(tmp_path / "tiny", piece(2, 8, 16))
    assert f"{tiny} refused: its frames are 16x8" in _refusal(tmp_path, bikes(), val_data=str(tiny))


def test_more_than_decode_cache_gib_is_refused_with_both_sizes(tmp_path: Path) -> None:
    line = _refusal(tmp_path, bikes(), decode_cache_gib=0.1)
    assert "the data decodes to 132.3 MiB, more than decode_cache_gib = 0.1 allows" in line


def test_more_than_the_free_disk_is_refused_with_both_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=50 * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert "the data decodes to 132.3 MiB, more than the 50.0 MiB free for" in _refusal(tmp_path, bikes())


def test_a_crop_that_is_no_multiple_of_the_scale_is_refused(tmp_path: Path) -> None:
    assert "crop_size = 34 refused: must be a multiple of scale = 4" in _refusal(tmp_path, bikes(), crop_size=34)


def test_an_unknown_degradation_is_refused(tmp_path: Path) -> None:
    assert "degradation = blur refused: must be bicubic, bd or realistic" in _refusal(
        tmp_path, bikes(), degradation="blur"
    )


def test_a_torn_image_is_refused_by_its_name_and_leaves_no_half_clip(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "clip", piece(12))
    torn = folder / "00000009.png"
    torn.write_bytes(torn.read_bytes()[:600])
    assert f"{torn} refused: it cannot be read as an image" in _refusal(tmp_path, folder)
    assert not list((tmp_path / "cache").glob("*.tmp"))
