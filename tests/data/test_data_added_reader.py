"""A reader from outside: asked about paths that no layout takes, decoded into the cache, its code part of the fingerprint."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.clips import piece, run_config, write_frames
from tests.support.reasons import raises
from vsrpp.data import Data, describe, messages, open_data
from vsrpp.data.layouts import find
from vsrpp.data.pack import pack
from vsrpp.data.readers import ADDED, FORMATS, AddedReader, ClipRecord, add_reader
from vsrpp.errors import Refused
from vsrpp.inference.evaluate import bicubic_of, evaluate_path

NAME = "stacks.py:Stacks"


class Stacks:
    """Several clips in one .npz file."""

    def recognises(self, path: Path) -> bool:
        return path.suffix == ".npz"

    def clips(self, path: Path) -> Sequence[ClipRecord]:
        with np.load(path) as stacks:
            shapes = {name: stacks[name].shape for name in stacks.files}
        split = {"last": "val"}
        return [
            ClipRecord(name, path, shape[0], shape[2], shape[1], split=split.get(name, "train"))
            for name, shape in shapes.items()
        ]

    def read(self, clip: ClipRecord, start: int, count: int) -> Any:
        with np.load(clip.path) as stacks:
            return stacks[clip.name][start : start + count]


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    ADDED.pop(NAME, None)
    FORMATS.pop(NAME, None)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    clips = {name: piece(14, start=40 * number) for number, name in enumerate(("first", "second", "last"))}
    np.savez(tmp_path / "clips.npz", **clips)
    return tmp_path / "clips.npz"


def _open(path: Path, cache: Path, **changes: Any) -> Data:
    return open_data(run_config(path, **changes), cache_dir=cache)


@pytest.mark.parametrize("reading", ["cache", "originals"])
def test_its_clips_train_and_validate_like_folders_of_frames(tmp_path: Path, file: Path, reading: str) -> None:
    with pytest.raises(Refused, match="FFmpeg finds no video"):
        _open(file, tmp_path / "cache")
    add_reader(AddedReader(NAME, Stacks(), "a"))
    data = _open(file, tmp_path / "cache", reading=reading)
    assert data.kind == NAME
    assert [(clip["name"], clip["split"], clip["frames"]) for clip in describe(data)["clips"]] == [
        ("first", "train", 14), ("second", "train", 14), ("last", "val", 14),
    ]  # fmt: skip
    np.testing.assert_array_equal(data.val[0].gt(), piece(14, start=80))
    for number in range(2):
        write_frames(tmp_path / "frames" / f"{number}", piece(14, start=40 * number))
    write_frames(tmp_path / "val", piece(14, start=80))
    frames = _open(tmp_path / "frames", tmp_path / "cache", val_data=str(tmp_path / "val"))
    for index in range(10):
        for ours, theirs in zip(data.train.sample_u8(index), frames.train.sample_u8(index), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_its_clips_are_packed_and_scored(tmp_path: Path, file: Path) -> None:
    add_reader(AddedReader(NAME, Stacks(), "a"))
    pack(str(file), tmp_path / "packed", scale=4)
    assert _open(tmp_path / "packed", tmp_path / "a").fingerprint == _open(file, tmp_path / "b").fingerprint
    figures = evaluate_path(str(file), bicubic_of(4), 4, start=3, count=2)
    assert [(clip["name"], clip["frames"]) for clip in figures["clips"]] == [("last", 2)]


def test_a_moved_file_is_the_same_data_and_other_code_is_not(tmp_path: Path, file: Path) -> None:
    add_reader(AddedReader(NAME, Stacks(), "a"))
    before = _open(file, tmp_path / "cache").fingerprint
    moved = Path(shutil.copy(file, tmp_path / "moved.npz"))
    assert _open(moved, tmp_path / "cache").fingerprint == before
    add_reader(AddedReader(NAME, Stacks(), "b"))
    assert _open(file, tmp_path / "cache").fingerprint != before


def test_a_layout_that_ships_is_recognised_first_unless_the_kind_names_the_reader(tmp_path: Path, file: Path) -> None:
    class Everything(Stacks):
        def recognises(self, path: Path) -> bool:
            return True

        def clips(self, path: Path) -> Sequence[ClipRecord]:
            return super().clips(file)

    write_frames(tmp_path / "set" / "GT" / "0", piece(2))
    write_frames(tmp_path / "set" / "LQ" / "0", piece(2, 16, 24))
    add_reader(AddedReader(NAME, Everything(), "a"))
    assert find(tmp_path / "set")[0] == "pairs"
    assert find(tmp_path / "set", NAME)[0] == NAME
    assert find(tmp_path / "set" / "GT")[0] == NAME
    assert find(tmp_path / "set" / "GT", "clips")[0] == "clips"


@pytest.mark.parametrize(
    ("method", "does", "reason", "fields"),
    [
        ("recognises", lambda *_: 1 / 0, messages.READER_FAILED, {"method": "recognises"}),
        ("clips", lambda *_: [], messages.READER_CLIPS, {"expected": "at least one ClipRecord"}),
        (
            "clips", lambda _, path: [ClipRecord("a", path, 9, 96, 64, (path / "no",))], messages.READER_CLIPS, {},
        ),
        ("read", lambda *_: np.zeros((8, 64, 96, 3)), messages.READER_FRAMES, {"given": "float64 (8, 64, 96, 3)"}),
        ("read", lambda *_: [], messages.READER_FRAMES, {"given": "list"}),
    ],
)  # fmt: skip
def test_what_a_reader_does_wrong_is_said_in_one_line(
    tmp_path: Path, file: Path, method: str, does: Callable[..., Any], reason: Any, fields: dict[str, Any]
) -> None:
    add_reader(AddedReader(NAME, type("Broken", (Stacks,), {method: does})(), "a"))
    with raises(reason, reader=NAME, **fields):
        _open(file, tmp_path / "cache")
