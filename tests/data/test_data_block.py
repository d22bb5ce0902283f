"""The data: block: mixes with weights, drawn from (seed, index), checked early, equal to the short form for one source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.clips import piece, run_config, write_frames, write_video
from tests.support.layouts import make_clips, make_reds, make_vid4, make_vimeo
from tests.support.reasons import raises
from vsrpp import config
from vsrpp.data import Data, TrainSet, describe, messages, open_data, with_absolute_paths
from vsrpp.data.block import read_block
from vsrpp.data.sampling import Sampling


def _open(tmp_path: Path, data: Any, **changes: Any) -> Data:
    return open_data({**run_config("sample"), "data": data, **changes}, cache_dir=tmp_path / "cache")


def _grey(folder: Path, level: int, frames: int) -> str:
    return str(write_frames(folder, np.full((frames, 48, 48, 3), level, np.uint8)))


def test_a_block_of_one_source_is_the_short_form(tmp_path: Path) -> None:
    folder = make_clips(tmp_path / "clips")
    short, block = _open(tmp_path, str(folder)), _open(tmp_path, {"train": [{"path": str(folder)}]})
    assert (short.fingerprint, describe(short)) == (block.fingerprint, describe(block))
    for index in range(8):
        for ours, theirs in zip(short.train.sample_u8(index), block.train.sample_u8(index), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_sources_are_drawn_by_their_weights_not_by_their_sizes(tmp_path: Path) -> None:
    sources = [
        {"path": _grey(tmp_path / "a", 0, 60), "weight": 1},
        {"path": _grey(tmp_path / "b", 255, 12), "weight": 3},
    ]
    data = _open(tmp_path, {"train": sources})
    from_second = np.mean([data.train.sample_u8(index)[1].flat[0] == 255 for index in range(400)])
    assert from_second == pytest.approx(0.75, abs=0.06)
    assert data.kind == "mix"
    assert data.samples_per_epoch == sum(span.frames - 4 for span in data.split.train)


def test_a_mix_is_drawn_by_seed_and_index_alone(tmp_path: Path) -> None:
    data = _open(tmp_path, _mix(tmp_path), degradation="realistic")
    there = [data.train.sample_u8(index) for index in range(12)]
    again = _open(tmp_path, _mix(tmp_path), degradation="realistic").train
    for index in reversed(range(12)):
        for ours, theirs in zip(again.sample_u8(index), there[index], strict=True):
            np.testing.assert_array_equal(ours, theirs)


def _mix(tmp_path: Path) -> dict[str, Any]:
    if not (tmp_path / "reds").exists():
        make_reds(tmp_path / "reds")
        make_vimeo(tmp_path / "vimeo")
        make_vid4(tmp_path / "vid4")
        write_video(tmp_path / "v.mkv", piece(16, start=120))
    return {
        "train": [
            {"path": str(tmp_path / "reds"), "kind": "reds", "weight": 2, "degradation": "bicubic"},
            {"path": str(tmp_path / "vimeo"), "max_clips": 2},
            {"path": str(tmp_path / "v.mkv")},
        ],
        "val": [
            {"path": str(tmp_path / "vid4"), "degradation": "bd"},
            {"path": str(tmp_path / "reds"), "max_clips": 1},
        ],
    }


def test_a_mix_of_layouts_validates_on_what_val_names(tmp_path: Path) -> None:
    rows = describe(_open(tmp_path, _mix(tmp_path)))["clips"]
    assert [row["name"] for row in rows if row["split"] == "train"] == [
        *("001", "002", "240", "00001/0001", "00001/0002", "v"),
    ]
    assert [row["name"] for row in rows if row["split"] == "val"] == ["calendar", "city", "foliage", "walk", "000"]


def test_without_val_each_plain_source_gives_some_of_its_own(tmp_path: Path) -> None:
    long = [str(write_frames(tmp_path / name, piece(20, start=start))) for name, start in (("a", 0), ("b", 40))]
    clips = str(make_clips(tmp_path / "clips"))
    data = _open(tmp_path, {"train": [{"path": path} for path in (*long, clips)]})
    assert [clip.name for clip in data.val] == ["a", "b", "004"]


def test_the_degradation_of_a_source_is_its_own(tmp_path: Path) -> None:
    folder = str(make_clips(tmp_path / "clips"))
    data = _open(tmp_path, {"train": [{"path": folder}, {"path": folder, "degradation": "bd"}]}, degradation="bicubic")
    assert [clip.degradation for clip in data.clips] == ["bicubic"] * 5 + ["bd"] * 5
    assert not np.array_equal(data.clips[0].lr()[:], data.clips[5].lr()[:])


def test_the_degradation_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    folder = str(make_clips(tmp_path / "clips"))
    prints = [_open(tmp_path, folder, degradation=name).fingerprint for name in ("bicubic", "bd", "realistic")]
    assert len(set(prints)) == 3


def test_bd_at_another_scale_than_four_is_refused(tmp_path: Path) -> None:
    with raises(messages.DEGRADATION_SCALE, only_scale=4, scale=2):
        _open(tmp_path, str(make_clips(tmp_path / "c")), degradation="bd", scale=2)


def test_a_source_with_nothing_left_to_train_on_is_refused_by_its_path(tmp_path: Path) -> None:
    root = make_reds(tmp_path / "r", ("000", "011"))
    with raises(messages.ALL_RESERVED, path=str(root)):
        _open(tmp_path, str(root))


def test_validation_data_said_twice_is_refused(tmp_path: Path) -> None:
    with raises(messages.VAL_DATA_TWICE, val_data="sample"):
        _open(tmp_path, {"train": [{"path": "sample"}], "val": [{"path": "sample"}]}, val_data="sample")


def test_what_has_no_effect_beside_lq_is_refused(tmp_path: Path) -> None:
    for more in ({"degradation": "bd"}, {"kind": "reds"}):
        with raises(messages.NO_EFFECT_BESIDE_LQ, where="data.train[0]"):
            _open(tmp_path, {"train": [{"path": "a", "lq": "b", **more}]})


def test_paths_of_a_block_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    block = {"train": [{"path": "gt", "lq": "lq", "weight": 2}, {"path": "sample"}], "val": [{"path": "v.mp4"}]}
    assert with_absolute_paths(block) == {
        "train": [{"path": str(tmp_path / "gt"), "lq": str(tmp_path / "lq"), "weight": 2}, {"path": "sample"}],
        "val": [{"path": str(tmp_path / "v.mp4")}],
    }
    assert with_absolute_paths("v.mp4") == str(tmp_path / "v.mp4")


def test_a_block_comes_from_a_config_file(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(
        "data:\n  train:\n    - {path: /a, kind: reds, weight: 2}\n    - path: /b\n      degradation: realistic\n"
        "      max_clips: 3\n  val:\n    - path: /c\n"
    )
    run, _ = config.resolve("demo", file, {})
    block = read_block(run)
    assert [(entry.path, entry.kind, entry.weight, entry.degradation) for entry in block.train] == [
        ("/a", "reds", 2, "bicubic"),
        ("/b", "auto", 1.0, "realistic"),
    ]
    assert (block.train[1].max_clips, block.val[0].path) == (3, "/c")


def test_a_train_set_says_when_a_mix_does_not_fit_its_spans(tmp_path: Path) -> None:
    spans = _open(tmp_path, str(make_clips(tmp_path / "c"))).split.train
    for mix in ([(1.0, 3)], [(1.0, 4), (1.0, 0)], [(0.0, 4)]):
        with pytest.raises(ValueError, match="a mix of"):
            TrainSet(spans, seed=0, sampling=Sampling(5), crop_size=32, scale=4, mix=mix)
