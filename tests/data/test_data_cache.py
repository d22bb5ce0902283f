"""The cache is decoded once, is complete or absent, and survives killed and simultaneous processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.support.clips import bikes, piece, run_config, write_frames, write_video
from tests.support.reasons import raises
from vsrpp.data import Data, messages, open_data
from vsrpp.data.cache import StoredClip
from vsrpp.errors import Refused

_OPEN = """
import json, sys
from vsrpp.data import open_data
def tell(name, done, expected):
    print("decoding", done, flush=True)
data = open_data(json.loads(sys.argv[1]), cache_dir=sys.argv[2], progress=tell)
print("opened", data.fingerprint, flush=True)
"""


def _open(tmp_path: Path, path: Path) -> Data:
    return open_data(run_config(path), cache_dir=tmp_path / "cache")


def _process(tmp_path: Path, path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _OPEN, json.dumps(run_config(path)), str(tmp_path / "cache")]
    root = Path(__file__).parents[2]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(root)})


def _stored(tmp_path: Path) -> list[Path]:
    return sorted(path for path in (tmp_path / "cache").iterdir() if path.is_dir())


def test_a_clip_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "v.mkv", piece(12))
    first = _open(tmp_path, path)
    monkeypatch.setattr("vsrpp.data.readers.iter_video", lambda _: pytest.fail("decoded again"))
    again = _open(tmp_path, path)
    assert again.fingerprint == first.fingerprint
    np.testing.assert_array_equal(again.clips[0].gt(), piece(12))


@pytest.mark.parametrize("damage", ["no meta", "half meta", "short gt", "no lr"])
def test_a_torn_cache_is_made_again(tmp_path: Path, damage: str) -> None:
    path = write_video(tmp_path / "v.mkv", piece(12))
    _open(tmp_path, path)
    (folder,) = _stored(tmp_path)
    if damage == "no meta":
        (folder / "meta.json").unlink()
    elif damage == "half meta":
        (folder / "meta.json").write_text((folder / "meta.json").read_text()[:40])
    elif damage == "short gt":
        os.truncate(folder / "gt.bin", 1000)
    else:
        (folder / "lr.bin").unlink()
    np.testing.assert_array_equal(_open(tmp_path, path).clips[0].gt(), piece(12))
    assert _stored(tmp_path) == [folder]


def test_frames_made_again_replace_those_this_process_has_mapped(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mkv", piece(12))
    _open(tmp_path, path).clips[0].gt()
    (folder,) = _stored(tmp_path)
    with (folder / "gt.bin").open("r+b") as file:
        file.write(bytes(piece(12).nbytes))
    (folder / "meta.json").unlink()
    np.testing.assert_array_equal(_open(tmp_path, path).clips[0].gt(), piece(12))


def test_a_video_longer_than_it_said_stops_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vsrpp.data.readers.packet_count", lambda _: 6)
    config = run_config(write_video(tmp_path / "v.mkv", piece(20)), decode_cache_gib=200e3 / 2**30)
    with pytest.raises(Refused, match=r"v\.mkv refused: it decodes to more than the 195\.3 KiB"):
        open_data(config, cache_dir=tmp_path / "cache")
    assert _stored(tmp_path) == []


def test_a_source_that_changed_is_decoded_again(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "clip", piece(12))
    _open(tmp_path, path)
    write_frames(path, piece(12, start=30))
    np.testing.assert_array_equal(_open(tmp_path, path).clips[0].gt(), piece(12, start=30))


def test_each_scale_has_its_own_cache(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "clip", piece(12))
    sizes = [
        open_data(run_config(path, scale=scale), cache_dir=tmp_path / "cache").val[0].lr().shape[1:3]
        for scale in (2, 4)
    ]
    assert sizes == [(32, 48), (16, 24)]
    assert len(_stored(tmp_path)) == 2


def test_a_source_that_changes_while_it_is_decoded_is_refused(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "clip", piece(12))

    def copy_goes_on(_name: str, done: int, _expected: int) -> None:
        if done == 8:
            write_frames(path, piece(13))

    with raises(messages.CHANGED_WHILE_READ, path=path):
        open_data(run_config(path), cache_dir=tmp_path / "cache", progress=copy_goes_on)
    assert _stored(tmp_path) == []


def test_two_processes_at_once_decode_a_clip_once(tmp_path: Path) -> None:
    processes = [_process(tmp_path, bikes()) for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert sorted("decoding" in output for output in outputs) == [False, True]
    assert outputs[0].splitlines()[-1] == outputs[1].splitlines()[-1] != ""
    assert len(_stored(tmp_path)) == 1


def test_what_a_killed_process_left_is_swept_and_made_again(tmp_path: Path) -> None:
    process = _process(tmp_path, bikes())
    assert process.stdout is not None
    while process.stdout.readline() != "decoding 80\n":
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert [path.suffix for path in _stored(tmp_path)] == [".tmp"]
    assert _open(tmp_path, bikes()).clips[0].frames == 250
    assert [path.suffix for path in _stored(tmp_path)] == [""]


def test_an_unwritable_cache_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with raises(messages.DECODING_FAILED, folder=tmp_path / "cache"):
        _open(tmp_path, write_frames(tmp_path / "clip", piece(12)))


def test_a_thousand_clips_need_no_thousand_file_descriptors(tmp_path: Path) -> None:
    data = _open(tmp_path, write_frames(tmp_path / "clip", piece(12)))
    (stored,) = data.clips
    started = len(list(Path("/proc/self/fd").iterdir()))
    kept: list[StoredClip] = []
    for number in range(600):
        folder = tmp_path / f"copy{number}"
        folder.symlink_to(stored.folder)
        kept.append(StoredClip(**(vars(stored) | {"folder": folder})))
        kept[-1].gt()
    assert len(list(Path("/proc/self/fd").iterdir())) - started <= 256


def test_reopening_takes_no_longer_than_looking_at_the_files(tmp_path: Path) -> None:
    _open(tmp_path, bikes())
    started_s = time.process_time()
    _open(tmp_path, bikes())
    assert time.process_time() - started_s < 0.1
