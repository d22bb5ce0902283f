"""How files become pixels: a run on record reads as it did, and what two versions read is never mixed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.clips import piece, run_config, write_frames, write_video
from vsrpp.data import describe, look_at_data, open_data
from vsrpp.data.clip_notes import note_lines
from vsrpp.data.dataset import Data
from vsrpp.data.identity import datasets
from vsrpp.data.pack import pack
from vsrpp.media.video_reader import iter_video


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A video whose colours the two versions read differently."""
    return write_video(tmp_path / "film.mp4", piece(20), codec="libx264")


def opened(path: Path, cache: Path, version: int | None, **changes: Any) -> Data:
    config = run_config(path, **changes)
    del config["reader_version"]
    return open_data(config if version is None else config | {"reader_version": version}, cache_dir=cache)


def test_each_version_has_its_own_pixels_cache_and_fingerprint(tmp_path: Path, film: Path) -> None:
    data = {version: opened(film, tmp_path / "cache", version) for version in (1, 2)}
    for version, read in data.items():
        frames = np.stack(list(iter_video(film, version)))
        assert np.array_equal(read.clips[0].gt()[:], frames)
    assert data[1].clips[0].content_sha256 == data[2].clips[0].content_sha256
    assert data[1].fingerprint != data[2].fingerprint
    rows = [datasets(read, run_config(film)) for read in data.values()]
    assert rows[0][0]["digest"] != rows[1][0]["digest"]


def test_a_record_without_the_key_means_version_1(tmp_path: Path, film: Path) -> None:
    older, first = (opened(film, tmp_path / "cache", version) for version in (None, 1))
    assert older.clips == first.clips and older.fingerprint == first.fingerprint


def test_a_cache_folder_from_before_the_key_is_read_by_version_1_only(tmp_path: Path, film: Path) -> None:
    (clip,) = opened(film, tmp_path / "cache", 1).clips
    meta_file = clip.folder / "meta.json"  # type: ignore[union-attr]
    meta = json.loads(meta_file.read_text())
    del meta["reader_version"], meta["notes"]
    meta_file.write_text(json.dumps(meta))
    before = meta_file.stat().st_mtime_ns
    assert opened(film, tmp_path / "cache", 1).clips[0].reader_version == 1
    assert meta_file.stat().st_mtime_ns == before
    assert opened(film, tmp_path / "cache", 2).clips[0].folder != clip.folder  # type: ignore[union-attr]


@pytest.mark.parametrize("packed_by", (1, 2))
def test_a_packed_copy_stands_for_the_version_it_was_packed_by(tmp_path: Path, film: Path, packed_by: int) -> None:
    pack(str(film), tmp_path / "packed", scale=4, reader_version=packed_by)
    original = opened(film, tmp_path / "cache", packed_by)
    for version in (1, 2):
        assert opened(tmp_path / "packed", tmp_path / "cache", version).fingerprint == original.fingerprint
    raw = opened(tmp_path / "packed", tmp_path / "cache", 2, degradation="bd")
    assert raw.clips[0].reader_version == packed_by


@pytest.mark.parametrize("reading", ("cache", "originals"))
def test_frames_are_read_by_the_runs_version(tmp_path: Path, reading: str) -> None:
    write_frames(tmp_path / "clip", piece(20))
    turned = Image.Exif()
    turned[0x0112] = 3
    for file in (tmp_path / "clip").iterdir():
        Image.open(file).save(file, exif=turned)
    frames = {v: opened(tmp_path / "clip", tmp_path / "cache", v, reading=reading).clips[0].gt()[:] for v in (1, 2)}
    assert np.array_equal(frames[1], piece(20))
    assert np.array_equal(frames[2], piece(20)[:, ::-1, ::-1])


def test_the_notes_of_clips_are_told(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_frames(tmp_path / "clips" / name, piece(20))
    for file in (tmp_path / "clips" / "b").iterdir():
        Image.open(file).convert("RGBA").save(file)
    for data in (
        look_at_data(run_config(tmp_path / "clips"), cache_dir=tmp_path / "cache"),
        open_data(run_config(tmp_path / "clips"), cache_dir=tmp_path / "cache"),
        open_data(run_config(tmp_path / "clips", reading="originals"), cache_dir=tmp_path / "cache"),
    ):
        rows = {row["name"]: row["notes"] for row in describe(data)["clips"]}
        assert rows["a"] == [] and "alpha" in rows["b"][0]


def test_clips_with_the_same_note_share_a_line() -> None:
    rows = [(f"c{number}", ["too dark"]) for number in range(9)] + [("d", ["torn", "too dark"])]
    assert note_lines(rows) == ["c0, c1, c2 and 7 more: too dark", "d: torn"]
