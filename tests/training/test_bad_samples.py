"""Frames that cannot be read: named, on record, replaced the same way by every process, also after they were repaired."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.support.clips import piece, write_frames
from tests.support.reasons import raises
from tests.support.runs import Steered, weights_of
from vsrpp.data import messages as data_messages
from vsrpp.media import messages as media_messages
from vsrpp.paths import RunPaths
from vsrpp.store import Event, RunReader
from vsrpp.training import messages
from vsrpp.training.replay import Original, ReplayVerdict, replay

SETS: dict[str, Any] = {"reading": "originals", "batch_size": 2, "num_workers": 0, "max_steps": 30, "log_every": 1}


class Frames:
    """Folders of frames whose files can be damaged and repaired."""

    def __init__(self, folder: Path) -> None:
        self.root, self._whole = folder / "frames", folder / "whole"
        for number in range(6):
            write_frames(self.root / f"{number:03d}", piece(12, 32, 48, start=20 * number))
        shutil.copytree(self.root, self._whole)

    def files(self, clip: int) -> list[Path]:
        return sorted((self.root / f"{clip:03d}").iterdir())

    def damage(self, files: Iterable[Path]) -> None:
        for file in files:
            file.write_bytes(file.read_bytes()[:200])

    def repair(self) -> None:
        shutil.copytree(self._whole, self.root, dirs_exist_ok=True)


@pytest.fixture
def frames(tmp_path: Path) -> Frames:
    return Frames(tmp_path)


def on_record(paths: RunPaths) -> list[Event]:
    with RunReader(paths.run_db) as reader:
        return list(reader.events(types=("bad_sample",)))


def replayed(paths: RunPaths, folder: Path) -> ReplayVerdict:
    return replay(Original.of(paths), folder / "replays")


@pytest.mark.parametrize("num_workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_damaged_frame_is_on_record_and_resume_and_replay_have_its_samples_though_it_was_repaired(
    tmp_path: Path, frames: Frames, num_workers: int
) -> None:
    damaged = frames.files(1)[5]
    frames.damage([damaged])
    whole = Steered.new(tmp_path / "runs", frames.root, **{**SETS, "num_workers": num_workers})
    assert whole.train() == "finished"
    events = on_record(whole.paths)
    assert {event.data["file"] for event in events} == {str(damaged)}
    assert (events[0].data["clip"], events[0].data["frame"], events[0].data["rank"]) == ("001", 5, 0)
    assert events[0].data["from_index"] == 2 * events[0].step
    assert {index // 2 + 1 for index in events[0].data["indexes"]} == {events[0].step}
    assert events[0].data["because"]["reason_code"] == media_messages.UNREADABLE_IMAGE.code

    killed = Steered.new(tmp_path / "runs", frames.root, **SETS)
    killed.die_at(25)
    frames.repair()
    resumed = Steered.resumed(killed.paths)
    assert resumed.train() == "finished"
    assert weights_of(resumed.context) == weights_of(whole.context)
    assert len(on_record(killed.paths)) == len(events)
    assert replayed(killed.paths, tmp_path).identical


def test_frames_that_fail_in_mid_run_stay_bad_across_a_rollback_and_count_from_where_the_record_says(
    tmp_path: Path, frames: Frames
) -> None:
    at = {16: lambda _: frames.damage(frames.files(2)), 28: lambda run: run.ask("rollback", step=10)}
    run = Steered.new(tmp_path / "runs", frames.root, at, **SETS, bad_samples=12)
    assert run.train() == "finished"
    events = on_record(run.paths)
    assert min(event.step for event in events if event.branch == 0) > 16
    places = [(event.data["span"], event.data["frame"]) for event in events]
    assert len(places) == len(set(places))
    frames.repair()
    assert replayed(run.paths, tmp_path).identical


def test_a_replay_refuses_a_frame_that_only_it_cannot_read(tmp_path: Path, frames: Frames) -> None:
    run = Steered.new(tmp_path / "runs", frames.root, **SETS)
    run.train()
    frames.damage(frames.files(1))
    with raises(messages.REPLAY_UNREADABLE) as caught:
        replayed(run.paths, tmp_path)
    assert str(frames.root / "001") in str(caught.value)


@pytest.mark.parametrize("limit", [0, 2])
def test_one_frame_too_many_ends_the_run_with_a_checkpoint_and_a_resume_after_the_repair_is_exact(
    tmp_path: Path, frames: Frames, limit: int
) -> None:
    untouched = Steered.new(tmp_path / "runs", frames.root, **SETS, bad_samples=limit)
    untouched.train()
    frames.damage(frames.files(1))
    run = Steered.new(tmp_path / "runs", frames.root, **SETS, bad_samples=limit)
    with raises(data_messages.TOO_MANY_UNREADABLE) as caught:
        run.train()
    assert caught.value.fields["count"] > limit
    assert caught.value.exit_code == 1
    assert str(frames.root / "001") in str(caught.value)
    events = on_record(run.paths)
    assert len({event.data["file"] for event in events}) <= limit
    assert run.paths.checkpoint(run.context.state.step).root.is_dir()
    frames.repair()
    resumed = Steered.resumed(run.paths)
    assert resumed.train() == "finished"
    assert (weights_of(resumed.context) == weights_of(untouched.context)) == (limit == 0)
    assert replayed(run.paths, tmp_path).identical
