"""Several clips in, a folder out: which file comes from which; one that fails does not stop the others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.support.clips import piece, tiny_clip, write_frames, write_video
from tests.support.processes import vsrpp
from tests.support.reasons import raises
from vsrpp.inference import messages
from vsrpp.inference.batch import tasks_of


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        write_video(folder / name, piece(2, 16, 16))
    return folder


def names(inputs: list[Path], *, as_videos: bool = False) -> dict[str, str]:
    tasks = tasks_of([str(path) for path in inputs], "out", as_videos=as_videos)
    assert tasks is not None
    return {Path(task.source).name: task.target for task in tasks}


def test_one_video_and_one_folder_of_frames_are_no_batch(tmp_path: Path) -> None:
    touch(tmp_path, "a.mkv")
    write_frames(tmp_path / "frames", piece(2, 16, 16))
    assert tasks_of([str(tmp_path / "a.mkv")], "out.mkv", as_videos=False) is None
    assert tasks_of([str(tmp_path / "frames")], "out", as_videos=False) is None


def test_videos_keep_name_and_suffix_and_folders_of_frames_their_name(tmp_path: Path) -> None:
    touch(tmp_path / "in", "a.mkv", "b.mp4.mkv")
    shutil.copy(tmp_path / "in" / "a.mkv", tmp_path / "in" / "c.vob")
    write_frames(tmp_path / "in" / "d", piece(2, 16, 16))
    assert names([tmp_path / "in"]) == {
        "a.mkv": "out/a.mkv", "b.mp4.mkv": "out/b.mp4.mkv", "c.vob": "out/c.vob.mkv", "d": "out/d"
    }  # fmt: skip
    assert names([tmp_path / "in" / "d", tmp_path / "in" / "a.mkv"], as_videos=True)["d"] == "out/d.mkv"


def test_a_batch_needs_a_folder_and_names_that_differ(tmp_path: Path) -> None:
    one, other = touch(tmp_path / "x", "a.mkv"), touch(tmp_path / "y", "a.mkv")
    with raises(messages.BATCH_NEEDS_FOLDER):
        tasks_of([str(one), str(other)], str(tmp_path / "o.mkv"), as_videos=False)
    with raises(messages.SAME_TARGET):
        tasks_of([str(one), str(other)], str(tmp_path / "o"), as_videos=False)


@pytest.mark.slow
def test_one_clip_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    from tests.support.runs import Steered

    assert Steered.new(tmp_path / "runs", tiny_clip(tmp_path), max_steps=2).train() == "finished"
    touch(tmp_path / "in", "a.mkv", "c.mkv")
    (tmp_path / "in" / "b.mp4").write_bytes(b"no video")
    words = ("upscale", "latest", "in", "out/", "--tile", "0")
    done = vsrpp(tmp_path, *words, "--json")
    assert done.returncode == 1, done.stderr
    said = json.loads(done.stdout)
    assert [document["status"] for document in said] == ["done", "error", "done"]
    assert said[1]["reason_code"] == "refused.media.not_opened_as_video"
    assert "[2/3]" in done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.mkv", "c.mkv"]
    (tmp_path / "in" / "b.mp4").unlink()
    (tmp_path / "out" / "c.mkv").unlink()
    again = vsrpp(tmp_path, *words, "--resume")
    assert again.returncode == 0, again.stderr
    assert "2 clips: 1 upscaled, 1 already there" in again.stdout
