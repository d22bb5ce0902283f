"""What real folders hold besides whole clips: understood, left out with a note, or refused by what it is."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.clips import piece, run_config, write_frames, write_video
from tests.support.layouts import make_pairs, make_reds, make_vimeo, without
from tests.support.reasons import raises
from tests.support.runs import Steered
from vsrpp.cli import main
from vsrpp.data import Data, describe, messages, open_data
from vsrpp.data.layouts import find
from vsrpp.data.pack import pack
from vsrpp.data.sequence import numbering
from vsrpp.data.survey import KEY, Survey
from vsrpp.errors import Reason, Refused
from vsrpp.media.inputs import is_video
from vsrpp.media.promise import cut_off_at, promised_frames
from vsrpp.resize import resize_u8
from vsrpp.store import RunReader
from vsrpp.training.replay import Original, replay


def _open(tmp_path: Path, root: Path, started: dict[str, Any] | None = None, **changes: Any) -> Data:
    config = run_config(root, num_frames=3, **changes)
    return open_data(config, cache_dir=tmp_path / "cache", started=started)


def _small(folder: Path, frames: int = 8, start: int = 0, name: str = "{:08d}.png") -> Path:
    return write_frames(folder, piece(frames, 32, 48, start), name)


def _two(root: Path) -> Path:
    _small(root / "c1")
    _small(root / "c2", start=20)
    return root


@dataclass(frozen=True)
class Kind:
    """A folder that people have, and what is made of it."""

    build: Callable[[Path], Any]
    clips: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    remarks: tuple[Any, ...] = ()
    """Codes of `messages`, and words that the sentences contain."""
    refused: Reason | None = None


def _touch(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")


def _gap(root: Path) -> None:
    without(_two(root), "c1/00000003.png", "c1/00000004.png")


def _same_frame_twice(root: Path) -> None:
    _small(root, name="{:04d}.png")
    _small(root, name="{:04d}.jpg")


def _broken_link(root: Path) -> None:
    without(_small(root), "00000003.png")
    (root / "00000003.png").symlink_to("/nowhere/x.png")


def _broken_clip_link(root: Path) -> None:
    (_two(root) / "c3").symlink_to("/nowhere")


def _link_loops(root: Path) -> None:
    (_two(root) / "self").symlink_to("self")
    (root / "c1" / "up").symlink_to("..")


def _system_folders(root: Path) -> None:
    for folder in ("lost+found", "@eaDir/c1", "c1/@eaDir", "$RECYCLE.BIN", "#recycle"):
        (root / folder).mkdir(parents=True)
    _two(root)


def _beside(*names: str) -> Callable[[Path], None]:
    def build(root: Path) -> None:
        for name in names:
            _small(_two(root), 1, name=name)

    return build


def _train_val(root: Path) -> None:
    for part, start in (("train", 0), ("val", 50), ("test", 90)):
        _small(root / part / "HR" / "c1", start=start)
        write_frames(root / part / "LR" / "c1", resize_u8(piece(8, 32, 48, start), 1 / 4))


def _named(ground: str, small: str) -> Callable[[Path], None]:
    def build(root: Path) -> None:
        make_pairs(root, 1)
        (root / "GT").rename(root / ground)
        (root / "LQ").rename(root / small)

    return build


def _lmdb(root: Path) -> None:
    _touch(root / "train_sharp_with_val.lmdb" / "data.mdb", root / "train_sharp_with_val.lmdb" / "meta_info.txt")


def _vimeo_of_basicsr(root: Path) -> None:
    without(make_vimeo(root), "sep_trainlist.txt", "sep_testlist.txt")
    (root / "meta_info_Vimeo90K_train_GT.txt").write_text("00001/0001 7 (64,96,3)\r\n00001/0002 7 (64,96,3)\n")
    (root / "meta_info_Vimeo90K_test_GT.txt").write_bytes(b"\xef\xbb\xbf00002/0001 7 (64,96,3)\n")


def _reds_of_basicsr(root: Path) -> None:
    (make_reds(root, ("000", "001")) / "meta_info_REDS_GT.txt").write_text("001 8 (64,96,3)\n")


def _several_bad(root: Path) -> None:
    _two(root)
    (root / "empty").mkdir()
    _small(root / "short", 2)
    write_frames(root / "tiny", piece(8, 16, 16))
    _small(root / "torn")
    (root / "torn" / "00000002.png").write_bytes(b"\x89PNG")
    _touch(root / "no.mp4")


def _pair_of_other_count(root: Path) -> None:
    without(make_pairs(root, 3), "LQ/001/00000003.png")


def _media_in_other_suffixes(root: Path) -> None:
    for name in ("a.mkv", "b.ts", "C.MTS"):
        write_video(root / name, piece(8, 32, 48), codec="ffv1" if name == "a.mkv" else "mpeg2video")
    _touch(root / "d.heic", root / "e.zip", root / "notes.txt")


def _frames_beside_a_folder(root: Path) -> None:
    _small(root)
    _touch(root / "docs" / "readme.txt")


KINDS = {
    "a gap in the numbering": Kind(_gap, ("c1", "c2"), remarks=(messages.FRAMES_MISSING, "00000003 to 00000004")),
    "two files of one frame": Kind(_same_frame_twice, refused=messages.SAME_FRAME_TWICE),
    "a broken link": Kind(_broken_link, refused=messages.BROKEN_LINK),
    "a broken link to a clip": Kind(_broken_clip_link, ("c1", "c2"), left_out=("c3",)),
    "links in circles": Kind(_link_loops, ("c1", "c2"), left_out=("self",), remarks=(messages.NOT_USED, "up")),
    "system folders": Kind(_system_folders, ("c1", "c2")),
    "a cover beside clips": Kind(_beside("cover.jpg"), ("c1", "c2"), remarks=(messages.NOT_USED, "cover.jpg")),
    "thumbnails of clips": Kind(
        _beside("c1.jpg", "c2.jpg"), ("c1", "c2"), remarks=(messages.NOT_USED, "c1.jpg, c2.jpg")
    ),
    "frames beside clips": Kind(
        lambda root: (_two(root), _small(root, 4)), refused=messages.FRAMES_AND_CLIPS
    ),
    "frames beside another folder": Kind(_frames_beside_a_folder, ("it",), remarks=(messages.NOT_USED, "docs")),
    "train and val": Kind(_train_val, ("train/c1", "val/c1"), remarks=(messages.NOT_USED, "test")),
    "HQ and LQ": Kind(_named("HQ", "LQ"), ("000",)),
    "Gt and lq": Kind(_named("Gt", "lq"), ("000",)),
    "LMDB": Kind(_lmdb, refused=messages.LMDB),
    "Vimeo-90K with BasicSR's lists": Kind(_vimeo_of_basicsr, ("00001/0001", "00001/0002", "00002/0001")),
    "REDS with BasicSR's list": Kind(
        _reds_of_basicsr, ("001", "000"), remarks=(messages.META_NOT_USED, "meta_info_REDS_GT.txt")
    ),
    "several bad clips": Kind(
        _several_bad, ("c1", "c2"), left_out=("empty", "no", "short", "tiny", "torn")
    ),
    "a pair of other counts": Kind(_pair_of_other_count, ("000", "002"), left_out=("001",)),
    "folders of folders": Kind(
        lambda root: (_two(root / "a"), _two(root / "b")), refused=messages.FOLDERS_OF_FOLDERS
    ),
    "videos of cameras": Kind(_media_in_other_suffixes, ("a", "b", "C"), remarks=(messages.NOT_USED, "d.heic, e.zip")),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_folder_is_understood_or_refused_by_what_it_is(tmp_path: Path, kind: Kind) -> None:
    kind.build(root := tmp_path / "it")
    if kind.refused is not None:
        with raises(kind.refused):
            _open(tmp_path, root)
        return
    told = describe(_open(tmp_path, root))
    assert [clip["name"] for clip in told["clips"]] == list(kind.clips)
    assert sorted(one["clip"] for one in told["left_out"]) == sorted(kind.left_out)
    words = " ".join(remark["message"] for remark in told["remarks"])
    assert {remark["reason_code"] for remark in told["remarks"]} == {
        each.code for each in kind.remarks if not isinstance(each, str)
    }
    assert all(each in words for each in kind.remarks if isinstance(each, str))
    json.dumps(told)


def test_small_frames_that_do_not_fit_the_settings_are_named(tmp_path: Path) -> None:
    data = _open(tmp_path, make_pairs(tmp_path / "it", 1), degradation="bd")
    assert [remark["reason_code"] for remark in data.survey.remarks] == [messages.SMALL_NOT_USED.code]


def test_a_folder_val_is_held_out_like_val_data_also_when_it_is_packed(tmp_path: Path) -> None:
    for part, start in (("train", 0), ("val", 60)):
        _small(tmp_path / "it" / part / "c1", 40, start)
    sampled = {"validation_version": 2, "val_frames": 16}
    data = _open(tmp_path, tmp_path / "it", **sampled)
    assert [(clip.name, clip.split) for clip in data.clips] == [("train/c1", "train"), ("val/c1", "")]
    assert data.val_frames == (16, 40)
    packed = pack(str(tmp_path / "it"), tmp_path / "packed", scale=4)
    assert (packed["left_out"], packed["remarks"]) == ([], [])
    again = _open(tmp_path, tmp_path / "packed", **sampled)
    assert (again.fingerprint, again.val_frames, again.val[0].runs) == (data.fingerprint, (16, 40), data.val[0].runs)


def test_if_every_clip_is_bad_the_first_reason_is_the_refusal(tmp_path: Path) -> None:
    for clip in ("a", "b"):
        _small(tmp_path / "it" / clip, 2)
    with raises(messages.TOO_FEW_FRAMES, path=str(tmp_path / "it" / "a")):
        _open(tmp_path, tmp_path / "it")


def test_a_clip_that_a_layout_reserves_for_validation_is_never_left_out(tmp_path: Path) -> None:
    root = make_reds(tmp_path / "it")
    shutil.copy(root / "train_sharp/001/00000003.png", root / "train_sharp/011/000003.png")
    (root / "train_sharp/011/00000003.png").write_bytes(b"no picture")
    with pytest.raises(Refused, match="011"):
        _open(tmp_path, root)


def test_all_clips_without_a_partner_are_named(tmp_path: Path) -> None:
    root = without(make_pairs(tmp_path / "it"), "LQ/001", "LQ/003")
    with raises(messages.NO_LQ_CLIP, name="001, 003", gt_clips=5, lq_clips=3):
        _open(tmp_path, root)


# ---- numbering
@pytest.mark.parametrize(
    ("stems", "missing"),
    [
        (["im1", "im2", "im4"], ["im3"]),
        (["f009", "f010", "f012", "f013"], ["f011"]),
        (["0000", "0002", "0004", "0008"], ["0006"]),  # every second frame of a film
        (["a1x4", "a2x4", "a4x4"], ["a3x4"]),
        (["00001", "00002", "00003"], []),
        (["1403636579763555584", "1403636579813555456", "1403636579863555584"], None),  # time stamps
        (["1_1", "1_2", "2_1", "2_2"], None),
        (["a", "b", "c"], None),
        (["1", "2"], None),
    ],
)
def test_missing_numbers_are_named_as_the_files_are(stems: list[str], missing: list[str] | None) -> None:
    found = numbering([Path(f"{stem}.png") for stem in stems])
    names = None if found is None else [found.name(first) for first, _ in found.gaps]
    assert names == missing


# ---- videos
def test_a_video_whose_header_promises_more_than_it_holds_is_named(tmp_path: Path) -> None:
    root = tmp_path / "it"
    noise = np.random.default_rng(0).integers(0, 256, (50, 64, 96, 3), np.uint8)
    whole = write_video(root / "whole.mkv", noise)
    (root / "cut.mkv").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert cut_off_at(whole) is None
    (remark,) = _open(tmp_path, root).survey.remarks
    assert (remark["reason_code"], remark["fields"]["path"]) == (messages.CUT_OFF.code, str(root / "cut.mkv"))
    assert remark["fields"]["promised"] == "2.0"


def test_a_torn_download_is_named_with_both_numbers_of_frames(tmp_path: Path) -> None:
    import av

    noise = np.random.default_rng(0).integers(0, 256, (50, 64, 96, 3), np.uint8)
    file = tmp_path / "it" / "torn.mp4"
    file.parent.mkdir()
    with av.open(str(file), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        for frame in noise:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    assert promised_frames(file) == 50
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    (remark,) = _open(tmp_path, file).survey.remarks
    assert (remark["reason_code"], remark["fields"]["promised"]) == (messages.FEWER_FRAMES.code, 50)
    assert remark["fields"]["frames"] < 30


def test_one_file_is_a_video_by_its_contents(tmp_path: Path) -> None:
    film = write_video(tmp_path / "film.mkv", piece(4, 32, 48)).rename(tmp_path / "film.bin2")
    picture = _small(tmp_path, 1).joinpath("00000000.png").rename(tmp_path / "picture.data")
    (tmp_path / "notes.txt").write_text("a text that FFmpeg would draw\n" * 50)
    (tmp_path / "list.dat").write_text(f"#EXTM3U\n#EXTINF:1,\n{film}\n#EXT-X-ENDLIST\n")
    assert find(film)[0] == "video"
    assert [is_video(tmp_path / name) for name in (film.name, picture.name, "notes.txt", "list.dat")] == [
        True, False, False, False,
    ]  # fmt: skip
    with raises(messages.NOT_A_VIDEO, path=tmp_path / "notes.txt"):
        find(tmp_path / "notes.txt")


# ---- runs on record
def test_a_run_on_record_leaves_out_the_clips_it_names_even_if_they_were_repaired(tmp_path: Path) -> None:
    _several_bad(root := tmp_path / "it")
    new = _open(tmp_path, root)
    started = new.survey.record()
    _small(root / "empty", start=50)
    _small(root / "short", start=60)
    again = _open(tmp_path, root, json.loads(json.dumps(started)))
    assert (again.fingerprint, again.survey.record()) == (new.fingerprint, started)
    assert len(_open(tmp_path, root).clips) == len(new.clips) + 2


def test_a_run_on_record_uses_every_other_clip_or_none(tmp_path: Path) -> None:
    started = _open(tmp_path, _two(tmp_path / "it")).survey.record()
    without(tmp_path / "it", "c2/00000003.png")
    (tmp_path / "it/c2/00000003.png").symlink_to("/nowhere")
    with raises(messages.BROKEN_LINK):
        _open(tmp_path, tmp_path / "it", started)


def _flat(root: Path, *folders: str) -> Path:
    for number, folder in enumerate(folders):
        _small(root / folder, start=20 * number)
    return root


OLD = {
    "frames hide clips": (lambda root: (_two(root), _small(root, 9)), "frames", [9]),
    "a broken link is no frame": (_broken_link, "frames", [7]),
    "two files of one frame are two frames": (_same_frame_twice, "frames", [16]),
    "train and val are clips": (lambda root: _flat(root, "train", "val"), "clips", [8, 8]),
    "Gt and Lq are clips": (lambda root: _flat(root, "Gt", "Lq"), "clips", [8, 8]),
    "thumbs is a clip": (lambda root: _flat(root, "thumbs", "x"), "clips", [8, 8]),
    "files of cameras are not read": (_media_in_other_suffixes, "videos", [8]),
}  # fmt: skip


@pytest.mark.parametrize(("build", "kind", "frames"), OLD.values(), ids=OLD)
def test_a_record_without_a_list_finds_what_it_found_then(
    tmp_path: Path, build: Callable[[Path], Any], kind: str, frames: list[int]
) -> None:
    build(root := tmp_path / "it")
    data = _open(tmp_path, root, {})
    assert (data.kind, [clip.frames for clip in data.clips]) == (kind, frames)
    assert data.survey.record() == {}


def test_a_record_without_a_list_refuses_a_bad_clip(tmp_path: Path) -> None:
    _several_bad(root := tmp_path / "it")
    with raises(messages.CLIP_WITHOUT_FRAMES):
        _open(tmp_path, root, {})


@pytest.mark.slow
def test_a_run_records_what_it_leaves_out_and_resumes_and_replays_with_that(tmp_path: Path) -> None:
    root = tmp_path / "it"
    for number in range(6):
        _small(root / f"{number:03d}", start=20 * number)
    bad = os.fsdecode(b"\xe9003")
    (root / "003").rename(root / bad)
    without(root, *(f"{bad}/{number:08d}.png" for number in range(1, 8)))
    run = Steered.new(tmp_path / "runs", root, {3: lambda run: run.ask("stop")}, max_steps=6)
    run.train()
    with RunReader(run.paths.run_db) as reader:
        started = reader.last_event("started")
    assert started is not None
    assert [(one["entry"], one["clip"]) for one in started.data[KEY]] == [("train[0]", r"\udce9003")]
    _small(root / bad, start=60)
    Steered.resumed(run.paths).train()
    assert replay(Original.of(run.paths), tmp_path / "replays").identical


def test_the_command_lists_all_that_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _several_bad(root := tmp_path / "it")
    assert main(["data", str(root), "--set", "num_frames=3", "--set", "crop_size=32"]) == 0
    shown = capsys.readouterr().out
    assert all(f"clip {name} is left out" in shown for name in ("empty", "no", "short", "tiny"))


def test_the_contact_sheet_is_not_written_into_the_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = _two(tmp_path / "it")
    for inside in (root / "sheet.png", root / "c1" / "sheet.png"):
        assert main(["data", str(root), "--set", "num_frames=3", "--sheet", str(inside)]) == 2
        assert not inside.exists()
    assert "it lies in the data" in capsys.readouterr().err


def test_an_evaluation_names_the_clips_it_scored_in_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    without(_small(tmp_path / "it"), "00000002.png")
    assert main(["evaluate", "bicubic", "--data", str(tmp_path / "it"), "--json"]) == 0
    assert [one["reason_code"] for one in json.loads(capsys.readouterr().out)["remarks"]] == ["data.frames_missing"]


def test_a_survey_shows_few_lines_and_counts_the_others() -> None:
    survey = Survey()
    for number in range(20):
        survey.remark(messages.ODD_FRAMES, clip=f"c{number}", names="x.png")
    lines = survey.lines()
    assert (len(lines), lines[-1]) == (6, "… and 15 more; vsrpp data PATH lists all of them.")
    assert len(survey.lines(None)) == 20
