"""The frames of any program are scored as a network's are: `evaluate --frames DIR`, and `--against DIR`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.clips import piece, write_frames, write_video
from tests.support.layouts import make_clips, make_vimeo
from tests.support.reasons import raises
from vsrpp.cli import main
from vsrpp.data.readers import Source
from vsrpp.inference import messages
from vsrpp.inference.evaluate import bicubic_of, evaluate_path, scored_sources
from vsrpp.inference.foreign_frames import evaluate_frames_of
from vsrpp.resize import resize_u8


def upscaled(source: Source) -> np.ndarray:
    """Bicubic of a clip's whole frames."""
    truth = np.stack(list(source.frames()))
    height, width = (side - side % 4 for side in truth.shape[1:3])
    return resize_u8(resize_u8(np.ascontiguousarray(truth[:, :height, :width]), 1 / 4), 4)


def test_frames_of_bicubic_get_the_figures_of_bicubic(tmp_path: Path) -> None:
    data = make_clips(tmp_path / "truth", 3)
    sources = scored_sources(str(data), 4)
    for source in sources[:2]:
        write_frames(tmp_path / "out" / source.name, upscaled(source), "frame_{:04d}.png")
    write_video(tmp_path / "out" / f"{sources[2].name}.mkv", upscaled(sources[2]))
    ours = evaluate_path(str(data), bicubic_of(4), 4, start=1, count=5)
    theirs = evaluate_frames_of(tmp_path / "out", sources, 4, start=1, count=5)
    assert theirs == {key: value for key, value in ours.items() if key != "degradation"}
    assert theirs["clips"][0]["per_frame"]["frame"] == [1, 2, 3, 4, 5]


def test_one_clip_needs_no_name_and_frames_may_be_cut_to_the_scale(tmp_path: Path) -> None:
    write_frames(tmp_path / "truth", piece(3, 50, 71))
    (source,) = scored_sources(str(tmp_path / "truth"), 4)
    write_frames(tmp_path / "out", upscaled(source))
    whole = np.pad(upscaled(source), ((0, 0), (0, 2), (0, 3), (0, 0)))
    write_frames(tmp_path / "padded", whole)
    found = [evaluate_frames_of(tmp_path / name, [source], 4)["psnr_y"] for name in ("out", "padded")]
    assert found == [evaluate_path(str(tmp_path / "truth"), bicubic_of(4), 4)["psnr_y"]] * 2


def test_of_vimeo_the_middle_frames_are_enough(tmp_path: Path) -> None:
    data = make_vimeo(tmp_path / "vimeo90k")
    sources = scored_sources(str(data), 4)
    for source in sources:
        write_frames(tmp_path / "all" / source.name, upscaled(source))
        write_frames(tmp_path / "middle" / source.name, upscaled(source)[3:4], "im4_{}.png")
    whole, middle = (evaluate_frames_of(tmp_path / name, sources, 4) for name in ("all", "middle"))
    assert whole["psnr_y"] == middle["psnr_y"] == evaluate_path(str(data), bicubic_of(4), 4)["psnr_y"]
    assert (middle["tdiff_y"], middle["frames"]) == (None, 2)


def test_frames_that_do_not_fit_are_refused_by_clip(tmp_path: Path) -> None:
    sources = scored_sources(str(make_clips(tmp_path / "truth", 2)), 4)
    for source in sources:
        write_frames(tmp_path / "out" / source.name, upscaled(source))
    write_frames(tmp_path / "out" / "001" / "..", upscaled(sources[0])[:0])
    (tmp_path / "out" / "001" / "00000007.png").unlink()
    with raises(messages.OUTPUT_COUNT, clip="001", frames=7, more="fewer"):
        evaluate_frames_of(tmp_path / "out", sources, 4)
    for number in (7, 8):
        write_frames(tmp_path / "out" / "001", upscaled(sources[1])[:1], f"{number:08d}.png")
    with raises(messages.OUTPUT_COUNT, frames=8, more="more"):
        evaluate_frames_of(tmp_path / "out", sources, 4)
    write_frames(tmp_path / "out" / "000", resize_u8(upscaled(sources[0]), 1 / 2))
    with raises(messages.OUTPUT_SIZE, width=48, gt_width=96):
        evaluate_frames_of(tmp_path / "out", sources, 4)
    with raises(messages.NO_OUTPUT_FRAMES, clip="000"):
        evaluate_frames_of(tmp_path / "truth" / "000", sources, 4)


def test_two_programs_are_compared_and_the_worse_one_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_clips(tmp_path / "truth", 2)
    for source in scored_sources(str(data), 4):
        frames = upscaled(source)
        write_frames(tmp_path / "good" / source.name, frames)
        write_frames(tmp_path / "bad" / source.name, np.clip(frames.astype(int) + 9, 0, 255).astype(np.uint8))

    def compared(a: str, b: str, *words: str) -> tuple[int, dict[str, Any], str]:
        code = main(["evaluate", "--frames", str(tmp_path / a), "--against", str(tmp_path / b), "--data", str(data),
                     "--fail-if", "psnr_y < -0.05", "--json", *words])  # fmt: skip
        said = capsys.readouterr()
        return code, json.loads(said.out), said.err

    code, document, said = compared("bad", "good")
    difference = document["difference"]["psnr_y"]
    assert (code, document["code"], document["reason_code"]) == (6, 6, "proof_failed.gate")
    assert difference["low"] <= difference["mean"] <= difference["high"] < -1
    assert difference["mean"] == pytest.approx(document["psnr_y"] - document["against"]["psnr_y"])
    assert document["gate"]["failed"] and said.startswith("vsrpp: psnr_y < -0.05 holds: A − B = -")
    assert len(document["clips"]) == 2 and "message" in document
    code, document, _ = compared("good", "bad", "--by", "interval")
    assert (code, document["gate"]["failed"], document["gate"]["by"]) == (0, False, "interval")
    code, document, _ = compared("good", "bicubic" if (tmp_path / "bicubic").exists() else "good")
    assert (code, document["difference"]["psnr_y"]["mean"]) == (0, 0)
