"""A run goes on, and is replayed, with data that was moved: if it is the same data."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.clips import piece, write_frames
from tests.support.reasons import raises
from tests.support.runs import Steered, weights_of
from vsrpp import control
from vsrpp.data import messages as data_messages
from vsrpp.data.moved import moved
from vsrpp.store import RunReader
from vsrpp.training import messages
from vsrpp.training.replay import Original, replay
from vsrpp.training.resume import prepare_resume

SETS: dict[str, Any] = {"reading": "originals", "max_steps": 14}


def data(folder: Path, clips: int = 6) -> Path:
    for number in range(clips):
        write_frames(folder / f"{number:03d}", piece(8, 32, 48, start=20 * number))
    return folder


def resume(run: Steered, moved_to: str | None = None) -> Steered:
    return Steered(prepare_resume(run.paths, say=lambda _: None, moved_to=moved_to))


def test_a_run_whose_data_moved_is_resumed_and_replayed_exactly_and_remembers_the_new_place(tmp_path: Path) -> None:
    old, new = data(tmp_path / "old"), tmp_path / "new" / "frames"
    whole = Steered.new(tmp_path / "runs", old, **SETS)
    whole.train()
    run = Steered.new(tmp_path / "runs", old, {5: lambda run: run.ask("stop")}, **SETS)
    run.train()
    shutil.move(old, new)
    with raises(messages.DATA_GONE) as caught:
        resume(run)
    assert f"vsrpp train --resume {run.paths.run_id} --data NEW" in str(caught.value)
    run = resume(run, str(new))
    run.at[9] = lambda run: run.ask("stop")
    run.train()
    run = resume(run)
    run.train()
    assert weights_of(run.context) == weights_of(whole.context)
    with RunReader(run.paths.run_db) as reader:
        started, restored = reader.last_event("started"), reader.last_event("restored")
        assert started is not None
        assert restored is not None
        assert started.data["run_config"]["data"] == str(old)
        assert restored.data["moved"] == {"data": str(new), "val_data": None}
        assert control.run_config_of(reader)["data"] == str(new)
    assert replay(Original.of(run.paths), tmp_path / "replays").identical
    newest = shutil.move(new, tmp_path / "newest")
    with raises(messages.DATA_GONE):
        replay(Original.of(run.paths), tmp_path / "replays")
    assert replay(Original.of(run.paths), tmp_path / "replays", moved_to=str(newest)).identical


@pytest.mark.parametrize("older", [False, True])
def test_other_data_is_refused_with_what_differs(tmp_path: Path, older: bool) -> None:
    """`older`: a record without the hashes of its clips."""
    run = Steered.new(tmp_path / "runs", data(tmp_path / "old"), {5: lambda run: run.ask("stop")}, **SETS)
    run.train()
    original = Original.of(run.paths)
    if older:
        del original.events[0].data["data_clips"]
    other, fewer = data(tmp_path / "other"), data(tmp_path / "fewer", clips=5)
    shutil.copy(other / "001" / "00000000.png", other / "003" / "00000002.png")
    clip, count = ("its files differ", "4 clips for training") if older else ("clip 003 differs", "5 clips")
    with raises(messages.OTHER_DATA) as caught:
        replay(original, tmp_path / "replays", moved_to=str(other))
    assert clip in str(caught.value)
    with raises(messages.OTHER_DATA) as caught:
        replay(original, tmp_path / "replays", moved_to=str(fewer))
    assert count in str(caught.value)


@pytest.mark.parametrize(
    ("config", "path", "now"),
    [
        ({"data": "old", "val_data": None}, "new", {"data": "new", "val_data": None}),
        ({"data": "old/a", "val_data": "old/b"}, "new", {"data": "new/a", "val_data": "new/b"}),
        ({"data": "gone/a", "val_data": "new/b"}, "new/a", {"data": "new/a", "val_data": "new/b"}),
        (
            {"data": {"train": [{"path": "old/a", "lq": "old/b", "weight": 2}, {"path": "old"}], "val": [{"path": "sample"}]}},
            "new",
            {
                "data": {"train": [{"path": "new/a", "lq": "new/b", "weight": 2}, {"path": "new"}], "val": [{"path": "sample"}]},
                "val_data": None,
            },
        ),
    ],
)  # fmt: skip
def test_the_new_path_stands_for_the_folder_of_all_paths_or_for_the_training_data(
    tmp_path: Path, config: dict[str, Any], path: str, now: dict[str, Any]
) -> None:
    (tmp_path / "new" / "a").mkdir(parents=True)
    (tmp_path / "new" / "b").mkdir()
    assert moved(_absolute(config, tmp_path), str(tmp_path / path)) == _absolute(now, tmp_path)


def test_a_part_that_is_in_neither_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "new" / "a").mkdir(parents=True)
    config = _absolute({"data": "old/a", "val_data": "old/b"}, tmp_path)
    with raises(data_messages.PART_NOT_MOVED, missing=str(tmp_path / "new" / "b")):
        moved(config, str(tmp_path / "new"))


def _absolute(value: Any, folder: Path) -> Any:
    if isinstance(value, dict):
        return {key: _absolute(item, folder) for key, item in value.items()}
    if isinstance(value, list):
        return [_absolute(item, folder) for item in value]
    return str(folder / value) if isinstance(value, str) and value != "sample" else value
