"""The figures of each validation's frames are kept beside the record: through kills and rollbacks, within bounds."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.runs import Steered
from vsrpp import Run, control
from vsrpp.metrics.meter import mean_of_clips
from vsrpp.paths import RunPaths
from vsrpp.store import FrameFigures, read_frame_figures


def files(run: Steered) -> dict[str, str]:
    return {file.name: file.read_text() for file in sorted(run.paths.validations.iterdir())}


def test_a_validation_has_the_figures_of_its_clips_and_frames(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip, max_steps=20)
    assert run.train() == "finished"
    seen = Run(run.paths.root).validations()
    assert [(one.step, one.branch) for one in seen] == [(10, 0), (20, 0)]
    assert list(files(run)) == ["step_0000010_branch_0.json", "step_0000020_branch_0.json"]
    (clip,) = seen[-1].clips
    per_frame = clip["per_frame"]
    assert per_frame["frame"] == list(range(clip["frames"])) and per_frame["tdiff_y"][0] is None
    for measure in ("psnr_y", "ssim_y"):
        mean = sum(per_frame[measure]) / clip["frames"]
        assert clip[measure] == pytest.approx(mean) == pytest.approx(seen[-1].figures[measure])
    assert mean_of_clips([clip])["psnr_y"] == seen[-1].figures["psnr_y"]


def test_a_run_that_was_killed_and_rolled_back_has_those_of_every_branch(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip, max_steps=60, checkpoint_every=20)
    run.die_at(35)
    before = files(run)
    run.paths.frame_figures(30, 0).write_text("torn")
    resumed = Steered.resumed(run.paths, {50: lambda run: run.ask("rollback", step=20)})
    assert resumed.train() == "finished"
    kept = files(resumed)
    assert {name: kept[name] for name in before} == before, "what is trained again validates alike"
    here = Run(run.paths.root).validations()
    assert [(one.step, one.branch) for one in here] == [(10, 0), (20, 0), (30, 1), (40, 1), (50, 1), (60, 1)]
    left_behind = {(30, 0), (40, 0), (50, 0)}
    everywhere = Run(run.paths.root).validations(left_behind=True)
    assert {(one.step, one.branch) for one in everywhere} == {(one.step, one.branch) for one in here} | left_behind
    assert all("per_frame" in clip for one in everywhere for clip in one.clips)


def test_figures_that_cannot_be_written_are_reported_and_stop_nothing(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip, max_steps=30)
    run.paths.validations.write_text("in the way")
    run.at[15] = lambda run: run.paths.validations.unlink()
    assert run.train() == "finished"
    told = [(event.type, event.step, event.data["what"]) for event in run.events if event.type.startswith("output_")]
    assert told == [("output_lost", 10, "frame_figures"), ("output_back", 20, "frame_figures")]
    assert ["per_frame" in one.clips[0] for one in control.validations(run.paths)] == [False, True, True]


def test_the_oldest_files_make_room(tmp_path: Path) -> None:
    paths, clips = RunPaths(tmp_path), [{"name": "a", "per_frame": {"frame": [0, 1], "psnr_y": [30.0, None]}}]
    figures = FrameFigures(paths, limit_bytes=3 * len(json.dumps({"step": 1, "branch": 0, "clips": clips})))
    for number, (step, branch) in enumerate([(3, 0), (4, 0), (1, 1), (2, 1), (3, 1)]):
        figures.keep(step, branch, clips)
        os.utime(paths.frame_figures(step, branch), ns=(number, number))
    left = [(1, 1), (2, 1), (3, 1)]
    assert {path.name for path in paths.validations.iterdir()} == {paths.frame_figures(*one).name for one in left}
    assert read_frame_figures(paths, 3, 1) == clips and read_frame_figures(paths, 3, 0) == []
    FrameFigures(paths, limit_bytes=1).keep(9, 1, clips)
    assert [path.name for path in paths.validations.iterdir()] == ["step_0000009_branch_1.json"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"clips": 3}', '{"clips": [{"name": "a"}]}', "[" * 100_000])
def test_a_damaged_file_counts_as_none(tmp_path: Path, content: Any) -> None:
    paths = RunPaths(tmp_path)
    paths.validations.mkdir()
    paths.frame_figures(1, 0).write_text(content)
    assert read_frame_figures(paths, 1, 0) == []
