"""Samples from the original frames equal those from the decoded copy."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.clips import piece, run_config, write_frames, write_video
from tests.support.layouts import make_clips, make_pairs, make_vimeo
from tests.support.reasons import raises
from vsrpp.data import Data, messages, open_data, originals
from vsrpp.data.loader import Batches
from vsrpp.media import messages as media_messages
from vsrpp.media.decode import Corner
from vsrpp.media.images import read_corner
from vsrpp.resize import output_size, resize_part_u8, resize_u8


def _both(tmp_path: Path, path: Path, **changes: Any) -> tuple[Data, Data]:
    return tuple(  # type: ignore[return-value]
        open_data(run_config(path, reading=reading, **changes), cache_dir=tmp_path / reading)
        for reading in ("cache", "originals")
    )


@pytest.mark.parametrize("make", [make_clips, make_pairs, make_vimeo])
@pytest.mark.parametrize(("degradation", "scale"), [("bicubic", 4), ("bicubic", 3), ("bd", 4), ("realistic", 2)])
def test_samples_and_validation_clips_are_bit_identical(
    tmp_path: Path, make: Any, degradation: str, scale: int
) -> None:
    if make is make_pairs and (scale, degradation) != (4, "bicubic"):
        degradation = "bd" if scale == 4 else "realistic"
    root = make(tmp_path / "set")
    apart = {"num_frames": 3, "frame_interval": "1,2", "flip": False} if scale == 3 else {}
    cached, originals = _both(tmp_path, root, degradation=degradation, scale=scale, crop_size=24, **apart)
    assert originals.fingerprint == cached.fingerprint
    for index in range(20):
        for ours, theirs in zip(originals.train.sample_u8(index), cached.train.sample_u8(index), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(originals.val, cached.val, strict=True):
        np.testing.assert_array_equal(ours.gt(), theirs.gt())
        np.testing.assert_array_equal(ours.lr(1, 4), theirs.lr(1, 4))
    assert not list((tmp_path / "originals").glob("*/gt.bin"))


@pytest.mark.parametrize("scale", [1 / 2, 1 / 3, 1 / 4, 3, 0.7])
def test_a_part_resized_has_the_bits_of_the_whole(scale: float) -> None:
    frame = piece(1, 60, 90)[0]
    whole = resize_u8(frame, scale)
    height, width = (output_size(side, scale) for side in frame.shape[:2])
    for rows, columns in ((slice(0, 3), slice(width - 5, width)), (slice(height // 2, height // 2 + 7), slice(4, 11))):
        np.testing.assert_array_equal(resize_part_u8(frame, scale, rows, columns), whole[rows, columns])


@pytest.mark.parametrize(
    ("make", "degradation"), [(make_clips, "bicubic"), (make_clips, "realistic"), (make_pairs, "bicubic")]
)
def test_a_sample_reads_each_file_once_and_no_further_than_its_crop_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Any, degradation: str
) -> None:
    config = run_config(make(tmp_path / "set"), reading="originals", crop_size=16, degradation=degradation)
    train = open_data(config, cache_dir=tmp_path / "cache").train
    read: list[tuple[Path, int, int]] = []

    def counted(file: Path, version: int, rows: int, columns: int) -> Corner:
        read.append((file, rows, columns))
        return read_corner(file, version, rows, columns)

    monkeypatch.setattr(originals, "read_corner", counted)
    train.sample_u8(0)
    assert len(read) == (10 if make is make_pairs else 5)
    areas = []
    for index in range(1, 10):
        read.clear()
        train.sample_u8(index)
        assert len(read) == len({file for file, *_ in read})
        areas += [rows * columns for _, rows, columns in read]
    assert min(areas) < max(areas) / 2


def test_a_video_is_decoded_all_the_same(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mkv", piece(14))
    data = open_data(run_config(path, reading="originals"), cache_dir=tmp_path / "cache")
    assert list((tmp_path / "cache").glob("*/gt.bin"))
    assert data.samples_per_epoch == 5


def test_originals_need_no_room_in_the_cache(tmp_path: Path) -> None:
    root = make_clips(tmp_path / "set")
    with raises(messages.OVER_CACHE_LIMIT, limit=1e-5):
        open_data(run_config(root, decode_cache_gib=1e-5), cache_dir=tmp_path / "cache")
    assert open_data(run_config(root, decode_cache_gib=1e-5, reading="originals"), cache_dir=tmp_path / "cache").val


def test_a_file_that_changed_since_it_was_hashed_is_other_data(tmp_path: Path) -> None:
    root = make_clips(tmp_path / "set")
    config = run_config(root, reading="originals")
    before = open_data(config, cache_dir=tmp_path / "cache").fingerprint
    assert open_data(config, cache_dir=tmp_path / "cache").fingerprint == before
    write_frames(root / "001", piece(1, start=200))
    assert open_data(config, cache_dir=tmp_path / "cache").fingerprint != before


@pytest.mark.slow
def test_a_frame_deleted_after_the_start_keeps_its_reason_on_the_way_from_a_worker(tmp_path: Path) -> None:
    root = make_clips(tmp_path / "set")
    train = open_data(run_config(root, reading="originals"), cache_dir=tmp_path / "cache").train
    shutil.rmtree(root)
    with Batches(train, 2, num_workers=1) as batches, raises(messages.NOTHING_READABLE) as caught:
        next(batches)
    assert str(root) in caught.value.fields["error"]


def test_a_frame_gone_after_the_start_is_refused_by_its_name(tmp_path: Path) -> None:
    root = make_clips(tmp_path / "set")
    train = open_data(run_config(root, reading="originals"), cache_dir=tmp_path / "cache").train
    shutil.rmtree(root)
    with raises(media_messages.UNREADABLE_IMAGE):
        train.sample_u8(0)
