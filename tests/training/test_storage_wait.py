"""A run waits at a step boundary until what it promises is on disk, and ends only as what it can prove."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.faults import full_disk, locked, while_it_waits
from tests.support.processes import TrainingProcess, train_command, vsrpp
from tests.support.rank_0 import Rank0, decision
from tests.support.runs import Steered
from tests.support.waiting import wait_until
from vsrpp import control
from vsrpp.control import run_state
from vsrpp.errors import START_AGAIN, VsrppError
from vsrpp.paths import RunPaths
from vsrpp.store import RunReader
from vsrpp.training import config_file, storage_wait
from vsrpp.training.config_file import RuntimeConfigFile
from vsrpp.training.turn import Turn

Make = Callable[..., Rank0]


@pytest.fixture
def rank_0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    monkeypatch.setattr(storage_wait, "SHOWN_AFTER_S", 0.0)
    monkeypatch.setattr(storage_wait, "PATIENCE_AFTER_SIGNAL_S", 0.3)
    made: list[Rank0] = []

    def make(**sets: Any) -> Rank0:
        made.append(Rank0(tmp_path, **{"storage_wait_s": 60, **sets}))  # so that a failing test ends
        return made[-1]

    yield make
    for rank in made:
        rank.close()


def test_an_edit_is_answered_once_its_event_is_on_disk(rank_0: Make) -> None:
    run = rank_0()
    edit = run.edit(max_lr=2e-4)
    unlock = ExitStack()
    unlock.enter_context(locked(run.paths.run_db))
    seen: list[Any] = []

    def look_and_unlock() -> None:
        view = control.view_run(run.paths)
        seen.extend([view.state, view.waiting, run.inbox.wait(edit, 0.0).status, "config_applied" in run.types()])
        unlock.close()

    while_it_waits(run.paths.run_db, look_and_unlock, run.step)
    state, waiting, answer, told = seen
    assert (state, answer, told) == ("waiting", "pending", False)
    assert waiting["why"] == "the record (run.db) cannot be written: database is locked"
    assert waiting["reason_code"] == "because.record_unwritten"
    assert run.answer(edit).status == "applied"
    assert run.types()[-2:] == ["config_applied", "storage_back"]
    assert control.status(run.paths)["waiting"] is None
    assert [(wait.over, wait.saved) for wait in run.waits] == [(False, False), (True, True)]


def test_a_checkpoint_anchors_no_event_that_is_not_on_disk(rank_0: Make) -> None:
    run = rank_0(ranks=2)
    run.boundary()
    run.run.next_turn = 9  # the ranks do not meet until then
    with locked(run.paths.run_db):
        run.recorder.emit("face_failed", data={"face": "panel"})
        run.state.step = 3
        run.checkpoints.save_now("due")
        run.boundary()
        assert run.checkpoints.busy and control.checkpoint_steps(run.paths) == []
    run.recorder.settle()
    run.checkpoints.collect(wait=True)
    manifest = control.manifest_of(run.paths, 3)
    assert manifest is not None and control.verify(run.paths).ok
    assert manifest["chain"]["seq"] == run.recorder.writer.last_event("face_failed").seq


def test_other_ranks_are_told_to_keep_waiting(rank_0: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    run = rank_0(ranks=2)
    run.recorder.emit("face_failed", data={"face": "panel"})
    heard = len(run.run.group.heard)
    unlock = ExitStack()
    unlock.enter_context(locked(run.paths.run_db))
    run.recorder.emit("face_failed", data={"face": "tensorboard"})
    run.run.next_turn = 0
    while_it_waits(run.paths.run_db, unlock.close, run.step)
    assert decision(run.run.group.heard[heard]) == "wait"


def test_other_ranks_are_told_to_keep_waiting_before_the_run_ends(rank_0: Make) -> None:
    unlock = ExitStack()

    def lock(_step: int) -> float:
        unlock.enter_context(locked(run.paths.run_db))
        return 30.0

    run = rank_0(ranks=2, max_steps=1, psnr_y=lock)
    heard = len(run.run.group.heard)
    assert while_it_waits(run.paths.run_db, unlock.close, run.step) == "finished"
    told = [decision(turn) for turn in run.run.group.heard[heard:] if isinstance(turn, Turn)]
    assert told == ["on record", "wait", "finished"]


def test_a_signal_in_a_wait_has_its_patience_even_if_the_limit_is_over_before(
    rank_0: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_wait, "PATIENCE_AFTER_SIGNAL_S", 1.2)
    run = rank_0(storage_wait_s=1)
    run.step()
    with locked(run.paths.run_db):
        run.ending.signal = "SIGTERM"
        run.recorder.emit("face_failed", data={"face": "panel"})
        with pytest.raises(VsrppError) as ended:
            run.step()
        error = run.ending.failed(ended.value)
    assert (error.fields["ended"], error.exit_code) == ("SIGTERM", START_AGAIN)


@pytest.mark.parametrize(
    ("name", "state", "code"), [("SIGTERM", "stopped", START_AGAIN), ("SIGINT", "stopped", 1), (None, "failed", 1)]
)
def test_a_wait_ends_by_a_signal_or_its_limit_and_says_what_is_lost(
    rank_0: Make, name: str | None, state: str, code: int
) -> None:
    run = rank_0(storage_wait_s=1)
    run.step()
    edit = run.edit(max_lr=2e-4)
    with locked(run.paths.run_db):
        run.ending.signal = name
        run.recorder.emit("face_failed", data={"face": "panel"})
        with pytest.raises(VsrppError) as ended:
            run.step()
        error = run.ending.failed(ended.value)
        view = control.view_run(run.paths)
    assert error.reason_code == "failed.not_saved" and error.exit_code == code
    assert "Not saved: 1 events, 0 metric rows and the 2 steps since step 0" in str(error)
    assert (view.state, view.ended_because) == (state, str(error))
    assert run.waits[-1].over and not run.waits[-1].saved
    run.live_config.close()
    assert run.answer(edit).status == "refused"
    with RunReader(run.paths.run_db) as reader:
        assert reader.last_event("config_applied", "stopped", "failed") is None


def test_a_moved_run_folder_is_waited_for_and_not_made_again(rank_0: Make) -> None:
    run = rank_0(checkpoint_every=10)
    run.step()
    away = run.paths.root.with_name("away")
    run.paths.root.rename(away)
    was_there: list[bool] = []

    def move_back() -> None:
        was_there.append(run.paths.root.exists())
        away.rename(run.paths.root)

    run.state.step = 9
    while_it_waits(away / "run.db", move_back, run.step)
    assert was_there == [False] and run.waits[0].because["reason_code"] == "because.folder_moved"
    run.checkpoints.collect(wait=True)
    assert "checkpoint_failed" in run.types() and control.checkpoint_steps(run.paths) == []


# ---- the last checkpoint
def test_the_end_waits_for_its_checkpoint(rank_0: Make) -> None:
    run = rank_0(max_steps=3)
    run.step()
    run.step()
    shutil.rmtree(run.paths.checkpoints)
    run.paths.checkpoints.write_text("in the way")
    states: list[str] = []

    def clear() -> None:
        states.append(control.status(run.paths)["state"])
        run.paths.checkpoints.unlink()

    assert while_it_waits(run.paths.run_db, clear, run.step) == "finished"
    assert states == ["waiting"] and control.checkpoint_steps(run.paths) == [3]
    assert run.types()[-4:] == ["checkpoint_failed", "checkpoint_saved", "storage_back", "finished"]
    assert run.waits[0].because["reason_code"] == "because.checkpoint_unwritten"


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", START_AGAIN), ("SIGINT", 1)])
def test_a_run_without_its_last_checkpoint_is_neither_finished_nor_ends_with_0(
    rank_0: Make, name: str, code: int
) -> None:
    run = rank_0(max_steps=2)
    run.step()
    shutil.rmtree(run.paths.checkpoints)
    run.paths.checkpoints.write_text("in the way")
    run.ending.signal = name
    with pytest.raises(VsrppError) as ended:
        run.step()
    error = run.ending.failed(ended.value)
    assert error.exit_code == code and run.types()[-1] == "stopped" and "finished" not in run.types()
    assert "the last checkpoint cannot be written" in str(error) and control.status(run.paths)["state"] == "stopped"


def test_a_finished_run_without_its_last_checkpoint_is_resumed_to_the_same_bits(
    tmp_path: Path, tiny_clip: Path
) -> None:
    run = Steered.new(tmp_path, tiny_clip, max_steps=12)
    assert run.train() == "finished"
    whole = run.weights()
    with pytest.raises(VsrppError, match="is finished"):
        Steered.resumed(run.paths)
    shutil.rmtree(run.paths.checkpoint(12).root)
    resumed = Steered.resumed(run.paths)
    assert resumed.train() == "finished"
    assert resumed.weights() == whole and control.verify(run.paths).ok


# ---- what training does not depend on
def test_pictures_that_cannot_be_written_are_told_once(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip, max_steps=40)
    run.paths.images.write_text("in the way")
    run.at[25] = lambda run: run.paths.images.unlink()
    assert run.train() == "finished"
    told = [(event.type, event.step, event.data["what"]) for event in run.events if event.type.startswith("output_")]
    assert told == [("output_lost", 10, "pictures"), ("output_back", 30, "pictures")]
    assert [len(event.data["images"]) > 0 for event in run.events if event.type == "validated"] == [
        False, False, True, True,
    ]  # fmt: skip


def test_an_edit_is_applied_although_the_file_cannot_be_rewritten(
    rank_0: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = rank_0()
    before = run.paths.runtime_config.read_text()
    block = run.paths.root / f".runtime_config.json.{os.getpid()}.new"
    block.mkdir()
    edit = run.edit(max_lr=2e-4)
    run.step()
    assert run.answer(edit).status == "applied" and run.paths.runtime_config.read_text() == before
    block.rmdir()
    run.live_config.rewrite_file()
    run.step()
    assert json.loads(run.paths.runtime_config.read_text())["revision"] == 1
    assert [type for type in run.types() if type.startswith("output_")] == ["output_lost", "output_back"]


def test_a_config_file_that_is_a_mount_point_is_written_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runtime_config.json"
    path.write_text('{"revision": 0}')
    inode = path.stat().st_ino
    file = RuntimeConfigFile(path)
    file.accept()

    def busy(self: Path, target: Path) -> Path:  # what the kernel says of a mount point
        raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(Path, "replace", busy)
    monkeypatch.setattr(config_file, "exchange_files", lambda one, other: False)
    file.write('{"revision": 1}')
    assert json.loads(path.read_text())["revision"] == 1 and path.stat().st_ino == inode
    path.write_text('{"revision": 1, "max_lr": 0.0002}')
    file.write('{"revision": 2}')  # somebody saved in between
    save = file.look()
    assert save is not None and save.values["max_lr"] == 0.0002
    assert [entry.name for entry in tmp_path.iterdir()] == ["runtime_config.json"]


# ---- as a person meets it
def test_a_full_disk_is_waited_out_by_a_live_run(tmp_path: Path, tiny_clip: Path) -> None:
    with TrainingProcess(tmp_path, train_command(tiny_clip, max_steps=100_000)) as training:
        paths = RunPaths(training.run_dir())
        with RunReader(paths.run_db) as reader:
            wait_until(lambda: reader.state().get("step", 0) > 3, 240, "steps")
            with full_disk(pid=training.process.pid):
                wait_until(lambda: reader.state().get("state") == "waiting", what="a wait")
                shown = vsrpp(tmp_path, "status", paths.run_id)
                assert "waiting since" in shown.stdout and "cannot be written: disk I/O error" in shown.stdout
                waited_at = reader.state()["step"]
            wait_until(lambda: reader.state()["step"] > waited_at + 3, what="further steps")
            with full_disk(pid=training.process.pid):
                wait_until(lambda: reader.state().get("state") == "waiting", what="a second wait")
                training.process.send_signal(signal.SIGTERM)
                assert training.wait() == START_AGAIN
            assert run_state(reader) == "stopped" and reader.verify().ok
            assert reader.last_event("storage_back") is not None and reader.last_event("stopped") is None
