"""The field's layouts: recognised from a path, split as in their papers, and paired with the small frames they contain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.clips import piece, run_config, write_frames, write_video
from tests.support.layouts import clip_frames, make_clips, make_pairs, make_reds, make_vid4, make_vimeo, without
from tests.support.reasons import raises
from vsrpp.data import Data, describe, messages, open_data
from vsrpp.data.degradations import bd
from vsrpp.data.layouts import LayoutQuery, find
from vsrpp.errors import NotFound, Refused
from vsrpp.resize import resize_u8


def _open(tmp_path: Path, path: Any, **changes: Any) -> Data:
    config = run_config(str(path)) | {"data": path if isinstance(path, dict) else str(path), **changes}
    return open_data(config, cache_dir=tmp_path / "cache")


def _splits(data: Data) -> dict[str, str]:
    return {clip["name"]: clip["split"] for clip in describe(data)["clips"]}


@pytest.mark.parametrize("place", ["", "train", "train_sharp"])
def test_reds_trains_on_all_but_reds4_and_validates_on_it(tmp_path: Path, place: str) -> None:
    root = tmp_path / "REDS"
    make_reds(root / place if place == "train" else root)
    data = _open(tmp_path, root / "train_sharp" if place == "train_sharp" else root)
    assert data.kind == "reds"
    assert _splits(data) == {"000": "val", "001": "train", "002": "train", "011": "val", "240": "train"}
    assert {clip.degradation for clip in data.clips} == {"given"}


def test_reds_without_small_frames_of_the_scale_makes_them(tmp_path: Path) -> None:
    (clip, *_) = _open(tmp_path, make_reds(tmp_path / "r"), scale=2).val
    np.testing.assert_array_equal(clip.lr(), resize_u8(clip_frames(0), 1 / 2))
    assert find(make_reds(tmp_path / "gt_alone", paired=False))[1][0].lq is None


def test_vimeo_follows_its_lists_and_scores_im4_alone(tmp_path: Path) -> None:
    data = _open(tmp_path, make_vimeo(tmp_path / "vimeo_septuplet"))
    assert data.kind == "vimeo90k"
    assert list(_splits(data).values()) == ["train"] * 3 + ["val"] * 2
    assert data.clips[0].name == "00001/0001"
    assert [clip.scored for clip in data.val] == [[3], [3]]
    np.testing.assert_array_equal(data.val[0].gt()[3], clip_frames(3, 7)[3])


def test_vimeo_takes_the_small_frames_beside_it(tmp_path: Path) -> None:
    root = make_vimeo(tmp_path / "vimeo_septuplet")
    for file in sorted((root / "sequences").glob("*/*/*.png")):
        small = tmp_path / "vimeo_septuplet_matlabLRx4" / file.relative_to(root)
        write_frames(small.parent, np.zeros((1, 16, 24, 3), np.uint8), small.name)
    (clip, _) = _open(tmp_path, root).val
    assert clip.lr().max() == 0


def test_a_vimeo_sample_of_14_frames_runs_there_and_back(tmp_path: Path) -> None:
    data = _open(tmp_path, make_vimeo(tmp_path / "v", train=1), num_frames=14, crop_size=64)
    lr, gt = data.train.sample_u8(0)
    assert (len(lr), len(gt), data.samples_per_epoch) == (14, 14, 1)
    np.testing.assert_array_equal(gt, gt[::-1])
    assert not np.array_equal(gt[0], gt[6])


def test_a_sequence_that_a_list_names_and_is_not_there_is_refused(tmp_path: Path) -> None:
    root = without(make_vimeo(tmp_path / "v"), "sequences/00001/0002")
    with pytest.raises(Refused, match=r"00001/0002 refused: sep_trainlist\.txt lists it"):
        find(root)


def test_sequences_without_lists_are_refused_by_what_was_looked_for(tmp_path: Path) -> None:
    root = without(make_vimeo(tmp_path / "v"), "sep_trainlist.txt", "sep_testlist.txt")
    with pytest.raises(Refused, match=r"none of sep_trainlist\.txt, sep_testlist\.txt, meta_info"):
        find(root)


@pytest.mark.parametrize(("degradation", "reduced"), [("bicubic", lambda f: resize_u8(f, 1 / 4)), ("bd", bd)])
def test_vid4_takes_the_small_frames_of_the_degradation(tmp_path: Path, degradation: str, reduced: Any) -> None:
    root = make_vid4(tmp_path / "Vid4")
    write_frames(root / ("BDx4" if degradation == "bicubic" else "BIx4") / "city", np.zeros((1, 18, 24, 3), np.uint8))
    data = _open(tmp_path, "sample", val_data=str(root), degradation=degradation)
    assert [(clip.name, clip.frames) for clip in data.val] == [
        *(("calendar", 14), ("city", 15), ("foliage", 16), ("walk", 17)),
    ]
    np.testing.assert_array_equal(data.val[1].lr(), reduced(clip_frames(1, 15, 72, 96)))


def test_pairs_side_by_side_and_pairs_of_two_paths_are_the_same(tmp_path: Path) -> None:
    root = make_pairs(tmp_path / "set")
    beside = _open(tmp_path, root)
    (apart, *_) = (_open(tmp_path, {"train": [{"path": str(root / "GT"), "lq": str(root / "LQ")}]}),)
    assert (beside.kind, apart.kind, beside.fingerprint) == ("pairs", "pairs", apart.fingerprint)
    np.testing.assert_array_equal(apart.val[0].lr(), resize_u8(clip_frames(4), 1 / 4) // 2)
    assert all(clip["paired"] for clip in describe(beside)["clips"])


def test_a_pair_of_videos_is_a_pair(tmp_path: Path) -> None:
    large, small = write_video(tmp_path / "gt.mkv", piece(12)), write_video(tmp_path / "s.mkv", piece(12, 16, 24))
    data = _open(tmp_path, {"train": [{"path": str(large), "lq": str(small)}]})
    np.testing.assert_array_equal(data.val[0].lr(), piece(12, 16, 24)[7:])


def test_another_small_frame_is_other_data(tmp_path: Path) -> None:
    root = make_pairs(tmp_path / "set")
    before = _open(tmp_path, root).fingerprint
    write_frames(root / "LQ" / "000", np.zeros((1, 16, 24, 3), np.uint8))
    assert _open(tmp_path, root).fingerprint != before


WRONG_PAIRS = [
    (lambda root: without(root, "LQ/002"), r"GT/002 refused: no LQ clip 002 in .* \(5 GT clips, 4 LQ clips\)"),
    (lambda root: without(root, "GT/002"), r"LQ/002 refused: no GT clip 002 in .* \(4 GT clips, 5 LQ clips\)"),
    (lambda root: without(root, "LQ/001/00000003.png"), r"LQ/001 refused: 7 LQ frames for the 8 GT frames of .*GT/001"),
    (
        lambda root: (root / "LQ/001/00000007.png").rename(root / "LQ/001/9.png"),
        r"LQ/001/9\.png refused: the GT frame in its place is 00000007\.png",
    ),
    (
        lambda root: write_frames(root / "LQ/003", np.zeros((8, 32, 48, 3), np.uint8)),
        r"LQ/003 refused: LQ frames of 48x32 for GT frames of 96x64; at scale = 4 they must be 24x16",
    ),
]


@pytest.mark.parametrize(("harm", "line"), WRONG_PAIRS)
def test_pairs_that_do_not_fit_are_refused_in_one_line(tmp_path: Path, harm: Any, line: str) -> None:
    root = make_pairs(tmp_path / "set")
    harm(root)
    with pytest.raises(Refused, match=line) as caught:
        _open(tmp_path, root)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "looked_for"), [("reds", "train_sharp"), ("vimeo90k", "sep_trainlist"), ("vid4", "BIx4"), ("pairs", "LQ")]
)
def test_a_folder_that_is_not_the_kind_asked_for_is_refused_by_what_was_looked_for(
    tmp_path: Path, kind: str, looked_for: str
) -> None:
    with raises(messages.NOT_THIS_KIND, kind=kind) as caught:
        find(make_clips(tmp_path / "c", 1), kind)
    assert looked_for in caught.value.fields["wanted"]
    with pytest.raises(NotFound):
        find(tmp_path / "nowhere", kind)


def test_another_kind_than_was_recognised_is_refused(tmp_path: Path) -> None:
    with raises(messages.OTHER_KIND, kind="vid4", recognised="reds"):
        find(make_reds(tmp_path / "r"), "vid4")


def test_clips_that_validate_need_not_match_in_number_size_or_length(tmp_path: Path) -> None:
    root = tmp_path / "val"
    shapes = {"a": (1, 40, 44), "b": (9, 64, 96), "c": (3, 23, 61)}
    for name, shape in shapes.items():
        write_frames(root / name, piece(*shape))
    data = _open(tmp_path, "sample", val_data=str(root), num_frames=7, crop_size=64)
    assert [clip.gt().shape[:3] for clip in data.val] == [(1, 40, 44), (9, 64, 96), (3, 20, 60)]
    assert [clip.lr().shape[:3] for clip in data.val] == [(1, 10, 11), (9, 16, 24), (3, 5, 15)]


def test_small_frames_of_an_odd_size_are_cut_like_the_large_ones(tmp_path: Path) -> None:
    write_frames(tmp_path / "s" / "GT", piece(12, 50, 71))
    write_frames(tmp_path / "s" / "LQ", resize_u8(piece(12, 50, 71), 1 / 4))  # 13x18: MATLAB rounds up
    (clip,) = _open(tmp_path, tmp_path / "s").val
    assert (clip.gt().shape[1:3], clip.lr().shape[1:3]) == ((48, 68), (12, 17))


def test_the_layout_asked_of_a_scale_it_lacks_is_made(tmp_path: Path) -> None:
    sources = find(make_vid4(tmp_path / "v"), query=LayoutQuery(3))[1]
    assert [source.lq for source in sources] == [None] * 4
