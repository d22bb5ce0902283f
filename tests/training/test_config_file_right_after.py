"""A save by a person right after the trainer wrote the file is an edit like any other.

It can come so soon that the clock of the file system has not moved on, with as many bytes as were written: then neither
time, size nor inode tell it from the trainer's own text.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from vsrpp.training import config_file
from vsrpp.training.config_file import SETTLE_S, RuntimeConfigFile

OURS, THEIRS, LATER = '{"max_lr": 0.0001}', '{"max_lr": 0.0009}', '{"max_lr": 0.0005}'
Save = Callable[[Path], None]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def in_place(path: Path) -> None:
    path.write_text(THEIRS)


def in_place_in_the_same_tick(path: Path) -> None:
    before = path.stat()
    path.write_text(THEIRS)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_mtime_ns, after.st_size, after.st_ino) == (before.st_mtime_ns, before.st_size, before.st_ino)


def renamed_over(path: Path) -> None:
    fresh = path.with_name("somebody")
    fresh.write_text(THEIRS)
    fresh.replace(path)


SAVES = (in_place, in_place_in_the_same_tick, renamed_over)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path, clock: Clock) -> RuntimeConfigFile:
    return RuntimeConfigFile(tmp_path / "runtime_config.json", clock=clock)


def values_of(file: RuntimeConfigFile) -> dict[str, float] | None:
    save = file.look()
    assert save is None or save.error is None
    return save.values if save else None


@pytest.mark.parametrize("save", SAVES)
@pytest.mark.parametrize("next_step_s", [0.0, SETTLE_S / 2, 0.3, 60.0])
def test_a_save_right_after_the_write_is_taken_however_long_the_next_step(
    file: RuntimeConfigFile, clock: Clock, save: Save, next_step_s: float
) -> None:
    file.write(OURS)
    save(file.path)
    clock.now += next_step_s
    assert values_of(file) == json.loads(THEIRS)
    clock.now += 60.0
    assert values_of(file) is None


@pytest.mark.parametrize("save", SAVES)
def test_a_save_inside_the_write_itself_is_taken(
    file: RuntimeConfigFile, clock: Clock, save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write('{"max_lr": 0.0002}')
    exchange = config_file.exchange_files

    def saved_right_after(one: Path, other: Path) -> bool:
        done = exchange(one, other)
        save(other)
        return done

    monkeypatch.setattr(config_file, "exchange_files", saved_right_after)
    file.write(OURS)
    clock.now += 0.3
    assert values_of(file) == json.loads(THEIRS)


@pytest.mark.parametrize("save", SAVES)
def test_a_save_between_two_writes_with_no_look_between_is_taken(
    file: RuntimeConfigFile, clock: Clock, save: Save
) -> None:
    file.write(OURS)
    save(file.path)
    file.write(LATER)
    clock.now += 0.3
    assert values_of(file) == json.loads(THEIRS)
    assert values_of(file) is None
    assert file.path.read_text() == LATER


@pytest.mark.parametrize("next_step_s", [0.0, 0.3])
def test_a_second_save_in_the_tick_of_the_first_is_taken_however_long_the_next_step(
    file: RuntimeConfigFile, clock: Clock, next_step_s: float
) -> None:
    file.write(OURS)
    file.path.write_text(LATER)
    assert values_of(file) == json.loads(LATER)
    in_place_in_the_same_tick(file.path)
    clock.now += next_step_s
    assert values_of(file) == json.loads(THEIRS)


def test_a_file_that_nobody_touches_is_read_once_more_and_then_only_looked_at(
    file: RuntimeConfigFile, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write(OURS)
    clock.now += 1.0
    assert file.look() is None
    monkeypatch.setattr(config_file, "parse_file", lambda path: pytest.fail("the file was read again"))
    assert file.look() is None
