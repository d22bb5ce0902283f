"""Suites by name: found in the layouts they come in, scored by their own protocol, refused by what is missing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.clips import write_frames
from tests.support.layouts import clip_frames, make_vid4, make_vimeo, without
from tests.support.reasons import raises
from vsrpp import metrics
from vsrpp.cli import main
from vsrpp.data.degradations import bd
from vsrpp.inference import messages
from vsrpp.inference.suites import SUITES, check_scale, degradation_of, parse_suites, suite_sources
from vsrpp.resize import resize_u8

FRAMES = 4


@pytest.fixture(autouse=True)
def short_suites(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suites with fewer frames, which tests write as small pictures."""
    for name in ("reds4", "udm10", "spmcs"):
        suite = SUITES[name]
        clips = {clip: None if frames is None else FRAMES for clip, frames in suite.clips.items()}
        monkeypatch.setitem(SUITES, name, replace(suite, clips=clips))
    vid4 = {name: 14 + number for number, name in enumerate(SUITES["vid4"].clips)}
    monkeypatch.setitem(SUITES, "vid4", replace(SUITES["vid4"], clips=vid4))
    monkeypatch.setitem(SUITES, "vimeo-t", replace(SUITES["vimeo-t"], list_length=2))


def make_suite(root: Path, name: str, pattern: str) -> Path:
    for number, clip in enumerate(SUITES[name].clips):
        write_frames(root / pattern.format(clip=clip), clip_frames(number, FRAMES, 48, 64))
    return root


def evaluated(capsys: pytest.CaptureFixture[str], *words: Any) -> Any:
    assert main(["evaluate", *map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_protocols_are_those_of_the_papers() -> None:
    assert {name: (suite.colour, suite.border, suite.degradations[0]) for name, suite in SUITES.items()} == {
        "reds4": ("rgb", 0, "bicubic"), "vid4": ("y", 0, "bicubic"), "udm10": ("y", 0, "bd"), "spmcs": ("y", 8, "bd"),
        "vimeo-t": ("y", 0, "bicubic"),
    }  # fmt: skip
    assert parse_suites("vid4, REDS4,vid4") == ["vid4", "reds4"]
    with raises(messages.UNKNOWN_SUITE, suite="vid5"):
        parse_suites("reds4,vid5")
    assert (degradation_of("vid4", None, "bd"), degradation_of("udm10", None, "bicubic")) == ("bd", "bd")
    with raises(messages.SUITE_DEGRADATION, degradation="bd"):
        degradation_of("reds4", "bd", "bd")


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("reds4", "REDS/train/train_sharp/{clip}"), ("reds4", "REDS4/GT/{clip}"), ("reds4", "train_sharp/{clip}"),
        ("udm10", "UDM10/{clip}/truth"), ("udm10", "UDM10/GT/{clip}"), ("spmcs", "SPMCS/test_set/{clip}/truth"),
    ],
)  # fmt: skip
def test_a_suite_is_found_in_each_layout_it_comes_in(name: str, pattern: str, tmp_path: Path) -> None:
    make_suite(tmp_path, name, pattern)
    sources = suite_sources(name, tmp_path, SUITES[name].degradations[0])
    assert [source.name for source in sources] == list(SUITES[name].clips)
    assert all(source.lq is None and len(source.files) == FRAMES for source in sources)


def test_small_frames_that_come_with_a_suite_are_used_only_if_they_are_the_field_s(tmp_path: Path) -> None:
    make_vid4(tmp_path / "Vid4")
    for degradation, folder in (("bicubic", "BIx4"), ("bd", "BDx4")):
        sources = suite_sources("vid4", tmp_path, degradation)
        assert all(source.lq is not None and source.lq.path.parent.name == folder for source in sources)
    make_suite(tmp_path, "udm10", "UDM10/GT/{clip}")
    make_suite(tmp_path, "udm10", "UDM10/BDx4/{clip}")  # of another kernel and phase where KAIR's script made them
    assert all(source.lq is None for source in suite_sources("udm10", tmp_path, "bd"))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with raises(messages.SUITE_MISSING, suite="vid4"):
        suite_sources("vid4", tmp_path, "bicubic")
    with raises(messages.SUITE_MISSING, suite="vimeo-t"):
        suite_sources("vimeo-t", tmp_path, "bicubic")
    make_vid4(tmp_path / "Vid4")
    without(tmp_path / "Vid4", "GT/city", "GT/foliage/00000003.png")
    with raises(messages.SUITE_INCOMPLETE, suite="vid4", missing="city"):
        suite_sources("vid4", tmp_path, "bicubic")
    make_vid4(tmp_path / "Vid4")
    without(tmp_path / "Vid4", "GT/foliage/00000003.png")
    with raises(messages.SUITE_FRAMES, frames=15, expected=16):
        suite_sources("vid4", tmp_path, "bicubic")
    make_vimeo(tmp_path / "vimeo90k", test=1)
    with raises(messages.SUITE_INCOMPLETE, suite="vimeo-t", missing="1 of its 2 sequences"):
        suite_sources("vimeo-t", tmp_path, "bicubic")


def test_each_suite_is_scored_by_its_own_protocol(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_suite(tmp_path, "reds4", "REDS4/GT/{clip}")
    make_suite(tmp_path, "spmcs", "SPMCS/{clip}/truth")
    make_vimeo(tmp_path / "vimeo90k")
    document = evaluated(capsys, "bicubic", "--suite", "reds4,spmcs,vimeo-t", "--root", tmp_path)
    reds4, spmcs, vimeo = document["suites"]
    truth = clip_frames(0, FRAMES, 48, 64)
    upscaled = resize_u8(resize_u8(truth, 1 / 4), 4)
    assert reds4["clips"][0]["psnr_rgb"] == pytest.approx(metrics.evaluate_frames(upscaled, truth)["psnr_rgb"])
    upscaled = resize_u8(bd(truth), 4)
    inner = np.s_[:, 8:-8, 8:-8]
    assert spmcs["clips"][0]["psnr_y"] == pytest.approx(
        metrics.evaluate_frames(upscaled[inner], truth[inner])["psnr_y"]
    )
    assert (spmcs["degradation"], spmcs["border"], reds4["colour"]) == ("bd", 8, "rgb")
    assert [clip["per_frame"]["frame"] for clip in vimeo["clips"]] == [[3], [3]]
    assert (reds4["frames"], spmcs["frames"], vimeo["frames"]) == (16, 44, 2)


def test_the_table_comes_as_text_markdown_and_latex(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_suite(tmp_path, "reds4", "REDS4/GT/{clip}")
    frames = make_suite(tmp_path / "others_&_ours", "reds4", "{clip}")
    words = ["evaluate", "bicubic", "--suite", "reds4", "--root", str(tmp_path), "--against", str(frames)]
    said = {}
    for form in ("text", "markdown", "latex"):
        assert main([*words, "--table", form]) == 0
        said[form] = capsys.readouterr().out
    assert "| Method | REDS4 (RGB, BI) PSNR/SSIM |\n| --- | ---: |\n| Bicubic | " in said["markdown"]
    assert "| others_&_ours | 100.00/1.0000 |" in said["markdown"]
    assert "others\\_\\&\\_ours & 100.00/1.0000 \\\\" in said["latex"]
    assert "\\begin{tabular}{lc}" in said["latex"]
    assert "Bicubic        " in said["text"]


def test_a_network_of_another_scale_has_no_suite() -> None:
    check_scale("reds4", 4)
    with raises(messages.SUITE_SCALE, scale=4, network=2):
        check_scale("reds4", 2)
