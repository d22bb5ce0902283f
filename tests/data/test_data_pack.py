"""A packed copy is bit-identical to the originals, is complete or absent, and is refused if it was changed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.clips import piece, run_config, write_frames, write_video
from tests.support.layouts import make_clips, make_pairs, make_reds, make_vid4, make_vimeo
from tests.support.reasons import raises
from vsrpp.data import Data, describe, messages, open_data
from vsrpp.data.pack import pack

ROOT = Path(__file__).resolve().parents[2]


def _open(path: Path | str, cache: Path, **changes: Any) -> Data:
    return open_data(run_config(path, **changes), cache_dir=cache)


def _videos(root: Path) -> Path:
    for number in range(2):
        write_video(root / f"{number}.mkv", piece(16, 50, 71, start=40 * number))
    return root


@pytest.mark.parametrize("make", [make_clips, make_pairs, make_reds, make_vid4, make_vimeo, _videos])
@pytest.mark.parametrize("degradation", ["bicubic", "bd", "realistic"])
def test_samples_clips_and_fingerprint_are_those_of_the_originals(tmp_path: Path, make: Any, degradation: str) -> None:
    root = make(tmp_path / "set")
    pack(str(root), tmp_path / "packed", scale=4, degradation=degradation)
    originals, packed = (
        _open(path, tmp_path / place, degradation=degradation, num_frames=3, frame_interval="2,1")
        for path, place in ((root, "a"), (tmp_path / "packed", "b"))
    )
    assert (packed.kind, packed.fingerprint) == ("packed", originals.fingerprint)
    assert not list((tmp_path / "b").glob("*/gt.bin"))
    for index in range(16):
        for ours, theirs in zip(packed.train.sample_u8(index), originals.train.sample_u8(index), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(packed.val, originals.val, strict=True):
        assert (ours.name, ours.scored) == (theirs.name, theirs.scored)
        np.testing.assert_array_equal(ours.gt(), theirs.gt())
        np.testing.assert_array_equal(ours.lr(), theirs.lr())
    rows = [[{**row, "path": ""} for row in describe(data)["clips"]] for data in (packed, originals)]
    assert rows[0] == rows[1]


def test_at_another_scale_the_packed_ground_truth_counts(tmp_path: Path) -> None:
    root = _videos(tmp_path / "set")
    pack(str(root), tmp_path / "packed", scale=4)
    originals, packed = (_open(path, tmp_path / "c", scale=3, crop_size=30) for path in (root, tmp_path / "packed"))
    assert packed.fingerprint == originals.fingerprint
    for ours, theirs in zip(packed.train.sample_u8(5), originals.train.sample_u8(5), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(packed.val[0].lr(), originals.val[0].lr())


def test_a_packed_copy_outlives_its_originals_and_its_place(tmp_path: Path) -> None:
    root = make_clips(tmp_path / "set")
    pack(str(root), tmp_path / "packed", scale=4)
    before = _open(tmp_path / "packed", tmp_path / "c").fingerprint
    shutil.rmtree(root)
    (tmp_path / "packed").rename(tmp_path / "moved")
    assert _open(tmp_path / "moved", tmp_path / "c").fingerprint == before


@pytest.mark.parametrize("name", ["gt.bin", "lr.bin", "meta.json"])
def test_one_changed_byte_is_refused_by_its_file(tmp_path: Path, name: str) -> None:
    pack(str(make_clips(tmp_path / "set")), tmp_path / "packed", scale=4)
    _open(tmp_path / "packed", tmp_path / "c")  # its hashes matched once, which must not count for other bytes
    file = tmp_path / "packed" / "000002" / name
    content = bytearray(file.read_bytes())
    content[20] ^= 1
    file.write_bytes(content)
    with raises(messages.PACK_CHANGED, file=file):
        _open(tmp_path / "packed", tmp_path / "c")


@pytest.mark.parametrize("name", ["gt.bin", "meta.json"])
def test_a_missing_file_is_refused(tmp_path: Path, name: str) -> None:
    pack(str(make_clips(tmp_path / "set")), tmp_path / "packed", scale=4)
    (tmp_path / "packed" / "000001" / name).unlink()
    with raises(messages.PACK_FILE_MISSING, file=tmp_path / "packed" / "000001" / name):
        _open(tmp_path / "packed", tmp_path / "c")


def test_a_torn_index_and_another_version_are_refused(tmp_path: Path) -> None:
    pack(str(make_clips(tmp_path / "set", 1)), tmp_path / "packed", scale=4)
    index = tmp_path / "packed" / "vsrpp-pack.json"
    text = index.read_text()
    index.write_text(text.replace('"version": 1', '"version": 9'))
    with raises(messages.PACK_VERSION, version=9, readable=1):
        _open(tmp_path / "packed", tmp_path / "c")
    index.write_text(text[:50])
    with raises(messages.UNREADABLE_INDEX, file=index):
        _open(tmp_path / "packed", tmp_path / "c")


def test_the_index_says_what_is_in_it(tmp_path: Path) -> None:
    made = pack(str(make_reds(tmp_path / "r")), tmp_path / "packed", scale=4)
    index = json.loads((tmp_path / "packed" / "vsrpp-pack.json").read_text())
    assert (index["kind"], index["scale"], index["degradation"]) == ("reds", 4, "bicubic")
    assert [(row["name"], row["split"]) for row in index["clips"]][:2] == [("000", "val"), ("001", "train")]
    assert made == {
        "path": str(tmp_path / "packed"), "kind": "reds", "clips": 5, "frames": 40,
        "bytes": 5 * 8 * 3 * (64 * 96 + 16 * 24), "left_out": [], "remarks": [],
    }  # fmt: skip
    assert not list(tmp_path.glob("packed.*"))


CHILD = """
import os, signal, sys
from pathlib import Path
from vsrpp.data.pack import pack
def die(name, done, expected):
    print(name, flush=True)
    if name == sys.argv[3] and done:
        os.kill(os.getpid(), signal.SIGKILL)
pack(sys.argv[1], Path(sys.argv[2]), scale=4, progress=die)
"""


def test_a_killed_pack_leaves_nothing_in_place_and_goes_on_where_it_was(tmp_path: Path) -> None:
    root, out = make_clips(tmp_path / "set"), tmp_path / "packed"
    died = subprocess.run(
        [sys.executable, "-c", CHILD, str(root), str(out), "003"],
        capture_output=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False, timeout=120,
    )  # fmt: skip
    assert died.returncode == -signal.SIGKILL
    assert not out.exists()
    again: list[str] = []
    pack(str(root), out, scale=4, progress=lambda name, *_: again.append(name))
    assert list(dict.fromkeys(again)) == ["003", "004"]
    assert _open(out, tmp_path / "a").fingerprint == _open(root, tmp_path / "b").fingerprint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "packed", "set"]


def test_a_clip_that_changed_after_the_kill_is_packed_anew(tmp_path: Path) -> None:
    root, out = make_clips(tmp_path / "set"), tmp_path / "packed"
    subprocess.run(
        [sys.executable, "-c", CHILD, str(root), str(out), "003"],
        capture_output=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False, timeout=120,
    )  # fmt: skip
    write_frames(root / "001", piece(1, start=200))
    pack(str(root), out, scale=4)
    assert _open(out, tmp_path / "a").fingerprint == _open(root, tmp_path / "b").fingerprint


def test_a_disk_that_is_short_is_refused_before_anything_is_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_clips(tmp_path / "set")
    usage = shutil.disk_usage(tmp_path)._replace(free=100_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with raises(messages.NO_DISK_ROOM, verb="packs", size="765.0 KiB", free="97.7 KiB"):
        pack(str(root), tmp_path / "packed", scale=4)
    assert not (tmp_path / "packed").exists()


def test_a_folder_that_is_there_is_never_written_into(tmp_path: Path) -> None:
    root = make_clips(tmp_path / "set")
    with raises(messages.PACK_EXISTS, path=root):
        pack(str(root), root, scale=4)
    pack(str(root), tmp_path / "packed", scale=4)
    with raises(messages.ALREADY_PACKED):
        pack(str(tmp_path / "packed"), tmp_path / "twice", scale=4)
