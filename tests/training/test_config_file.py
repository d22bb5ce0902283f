from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from vsrpp.training.config_file import MAX_BYTES, TORN_GRACE_S, RuntimeConfigFile


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path, clock: Clock) -> RuntimeConfigFile:
    made = RuntimeConfigFile(tmp_path / "runtime_config.json", clock=clock)
    made.write('{"revision": 0, "max_lr": 0.1}\n')
    return made


def test_its_own_writing_is_no_edit(file: RuntimeConfigFile) -> None:
    assert file.look() is None
    file.write('{"revision": 1, "max_lr": 0.2}\n')
    assert file.look() is None


def test_a_save_is_seen_once(file: RuntimeConfigFile, clock: Clock) -> None:
    file.path.write_text('{"revision": 0, "max_lr": 0.3}')
    save = file.look()
    assert save is not None
    assert (save.values["max_lr"], save.error) == (0.3, None)
    assert file.look() is None
    clock.now += 10
    assert file.look() is None


def test_a_save_that_changes_nothing_is_no_edit(file: RuntimeConfigFile) -> None:
    text = file.path.read_text()
    os.utime(file.path, (1, 1))
    file.path.write_text(text)
    assert file.look() is None


def test_a_second_save_within_one_clock_tick_is_seen(file: RuntimeConfigFile) -> None:
    file.path.write_text('{"max_lr": 0.3}')
    first = file.path.stat()
    assert file.look() is not None
    file.path.write_text('{"max_lr": 0.4}')
    os.utime(file.path, ns=(first.st_atime_ns, first.st_mtime_ns))
    save = file.look()
    assert save is not None
    assert save.values["max_lr"] == 0.4


@pytest.mark.parametrize("replace", [True, False], ids=["renamed over", "written in place"])
def test_a_save_that_slips_in_before_the_file_is_rewritten_is_not_lost(file: RuntimeConfigFile, replace: bool) -> None:
    text = '{"revision": 0, "max_lr": 0.5}'
    if replace:
        other = file.path.with_name("editor.tmp")
        other.write_text(text)
        other.rename(file.path)
    else:
        file.path.write_text(text)
    file.write('{"revision": 1, "max_lr": 0.2}\n')
    assert json.loads(file.path.read_text())["revision"] == 1
    save = file.look()
    assert save is not None
    assert save.values["max_lr"] == 0.5
    assert file.look() is None
    assert sorted(path.name for path in file.path.parent.iterdir()) == ["runtime_config.json"]


def test_a_file_that_was_never_looked_at_is_not_thrown_away_by_a_write(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "runtime_config.json"
    path.write_text('{"revision": 0, "max_lr": 0.5}')
    file = RuntimeConfigFile(path, clock=clock)
    file.write('{"revision": 1, "max_lr": 0.2}\n')
    save = file.look()
    assert save is not None
    assert save.values["max_lr"] == 0.5


def test_a_torn_file_is_read_again_for_a_while_and_taken_when_it_is_whole(
    file: RuntimeConfigFile, clock: Clock
) -> None:
    file.path.write_text('{"revision": 0, "max_')
    assert file.look() is None
    clock.now += TORN_GRACE_S / 2
    assert file.look() is None
    file.path.write_text('{"revision": 0, "max_lr": 0.7}')
    save = file.look()
    assert save is not None
    assert save.values["max_lr"] == 0.7


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty (line 1, column 1)"),
        (b'{"revision": 0,\n "max_lr": }', "is not valid JSON: Expecting value (line 2, column 12)"),
        (b"[1, 2]", "does not contain a JSON object (line 1, column 1)"),
        (b'{"max_lr": 1, "max_lr": 2}', "max_lr appears twice"),
        (b'\xff\xfe{"max_lr": 1}', "is not UTF-8 (byte 0)"),
        (b"[" * 100_000, "is not usable as a config"),
        (b"3" * 5000, "is not usable as a config"),
        (b" " * (MAX_BYTES + 1), "a live config has at most"),
    ],
)
def test_what_stays_unreadable_is_given_once_with_why(
    file: RuntimeConfigFile, clock: Clock, content: bytes, why: str
) -> None:
    file.path.write_bytes(content)
    first = file.look()
    clock.now += TORN_GRACE_S
    save = first or file.look()
    assert save is not None
    assert why in str(save.error)
    assert file.look() is None
    assert file.path.read_bytes() == content, "it is left alone"


def test_a_file_that_is_gone_is_an_error_after_a_while(file: RuntimeConfigFile, clock: Clock) -> None:
    file.path.unlink()
    assert file.look() is None
    clock.now += TORN_GRACE_S
    save = file.look()
    assert save is not None
    assert str(save.error) == "no longer exists"


def test_a_pipe_in_the_files_place_never_blocks(file: RuntimeConfigFile) -> None:
    file.path.unlink()
    os.mkfifo(file.path)
    save = file.look()
    assert save is not None
    assert str(save.error) == "is not a regular file"


def test_the_file_behind_a_symbolic_link_is_read(file: RuntimeConfigFile, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere.json"
    target.write_text('{"max_lr": 0.9}')
    file.path.unlink()
    file.path.symlink_to(target)
    save = file.look()
    assert save is not None
    assert save.values["max_lr"] == 0.9


def test_a_byte_order_mark_is_passed_over(file: RuntimeConfigFile) -> None:
    file.path.write_bytes(b'\xef\xbb\xbf{"max_lr": 0.9}')
    save = file.look()
    assert save is not None
    assert save.error is None


def test_a_save_right_after_a_write_is_seen(file: RuntimeConfigFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody may save between the exchange of the files and the writer's next action."""
    import vsrpp.training.config_file as config_file

    exchange = config_file.exchange_files

    def saved_right_after(one: Path, other: Path) -> bool:
        done = exchange(one, other)
        fresh = other.with_name("somebody")
        fresh.write_text('{"max_lr": 0.0009}')
        fresh.replace(other)
        return done

    monkeypatch.setattr(config_file, "exchange_files", saved_right_after)
    file.write('{"max_lr": 0.0001}')
    save = file.look()
    assert save is not None and save.values == {"max_lr": 0.0009}
