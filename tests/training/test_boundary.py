"""Rank 0's decisions between two steps, part by part: without a network, a loop or another process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.rank_0 import Rank0, decision
from vsrpp import control
from vsrpp.training.ranks import NullCheckpoints, NullRecorder, NullStatus, Rank0sCommands
from vsrpp.training.turn import Turn

Make = Callable[..., Rank0]


@pytest.fixture
def rank_0(tmp_path: Path) -> Iterator[Make]:
    made: list[Rank0] = []

    def make(**sets: Any) -> Rank0:
        made.append(Rank0(tmp_path, **sets))
        return made[-1]

    yield make
    for rank in made:
        rank.close()


# ---- commands
def test_commands_are_taken_in_order_at_one_boundary(rank_0: Make) -> None:
    run = rank_0()
    first, second = run.edit(max_lr=2e-4), run.edit(max_lr=3e-4)
    wrong = run.edit(max_lr=7.0)
    assert run.step() is None
    assert [run.answer(uid).status for uid in (first, second, wrong)] == ["applied", "applied", "refused"]
    assert run.run.live["max_lr"] == 3e-4 and run.live_config.revision == 2
    assert json.loads(run.paths.runtime_config.read_text())["revision"] == 2


def test_a_stop_refuses_what_was_asked_after_it(rank_0: Make) -> None:
    run = rank_0()
    run.step()
    stop, late = run.ask("stop"), run.ask("validate")
    assert run.step() == "stopped"
    assert (run.answer(stop).status, run.answer(late).message) == ("done", "the run has ended")
    assert run.types()[-2:] == ["checkpoint_saved", "stopped"] and run.validated_at == []


def test_what_is_asked_during_a_pause_acts_there(rank_0: Make) -> None:
    run = rank_0()
    pause, edit, resume = run.ask("pause"), run.edit(max_lr=2e-4), run.ask("resume")
    assert run.step() is None
    assert [run.answer(uid).status for uid in (pause, edit, resume)] == ["done", "applied", "done"]
    assert [type for type in run.types() if type in ("paused", "resumed", "config_applied")] == [
        "paused", "config_applied", "resumed",
    ]  # fmt: skip


def test_a_validation_on_request_is_seen_by_the_controller_with_the_next_step(rank_0: Make) -> None:
    run = rank_0(psnr_y=lambda step: 30.0 + step)
    asked = run.ask("validate")
    run.step()
    assert run.answer(asked).status == "done" and run.validated_at == [(1, True)]
    assert run.state.asked_quality == (0.31, 0.9)
    (event,) = [event for event in run.events if event.type == "validated"]
    assert event.data["by_hand"] is True and event.data["psnr_y"] == 31.0


# ---- probation
def on_probation(run: Rank0, steps: int, revert_if: str | None, **changes: Any) -> str:
    return run.ask("edit", changes=changes, probation={"steps": steps, "revert_if": revert_if})


def test_a_probation_is_reverted_to_the_state_and_config_from_before_it(rank_0: Make) -> None:
    run = rank_0(max_steps=100)
    for _ in range(3):
        run.step(l1=0.1)
    on_probation(run, 10, "loss > 2x", max_lr=9e-4)
    run.step(l1=0.1)
    held, later = run.state.step, run.edit(grad_clip=0.5)
    run.step(l1=0.1)
    assert control.status(run.paths)["probation"]["until_step"] == held + 10
    assert run.types()[-1] == "config_applied", "an edit that comes meanwhile waits"
    run.step(l1=9.0)
    assert run.state.step == held and run.recorder.branch == 1
    assert run.run.live["max_lr"] == 1e-3 and run.run.live["grad_clip"] == 0.5
    assert run.types()[-2:] == ["config_reverted", "config_applied"] and run.answer(later).status == "applied"


def test_a_checkpoint_that_falls_due_on_probation_waits_for_the_verdict(rank_0: Make) -> None:
    run = rank_0(max_steps=100, checkpoint_every=10)
    for _ in range(8):
        run.step()
    on_probation(run, 4, "loss > 2x", max_lr=9e-4)
    run.step()
    for _ in range(3):
        run.step()
    run.checkpoints.collect(wait=True)
    assert run.state.step == 12 and control.checkpoint_steps(run.paths) == []
    run.step()
    run.checkpoints.collect(wait=True)
    assert run.types()[-2:] == ["config_confirmed", "checkpoint_saved"] and control.checkpoint_steps(run.paths) == [13]


# ---- rollback
def test_a_rollback_takes_state_config_and_best_back(rank_0: Make) -> None:
    run = rank_0(max_steps=100, checkpoint_every=10)
    for _ in range(10):
        run.step()
    run.edit(max_lr=2e-4)
    for _ in range(3):
        run.step()
    asked = run.ask("rollback", step=10)
    run.step()
    answer = run.answer(asked)
    assert (answer.status, answer.step, answer.branch, answer.revision) == ("done", 10, 1, 2)
    assert run.state.step == 10 and run.run.live["max_lr"] == 1e-3 and run.checkpoints.at_step == 10
    nowhere = run.ask("rollback", step=4)
    run.step()
    assert "no checkpoint at step 4; the nearest is step 10" in run.answer(nowhere).message


# ---- checkpoints
def test_a_requested_validation_that_is_the_best_is_saved_and_shown_as_the_best(rank_0: Make) -> None:
    run = rank_0(psnr_y=lambda step: {11: 31.0, 12: 30.0, 13: 32.0}[step], max_steps=100, checkpoint_every=10)
    for _ in range(10):
        run.step()
    for expected in (11, 11, 13):
        asked = run.ask("validate")
        run.step()
        run.answer(asked)
        run.checkpoints.collect(wait=True)
        best = control.best_of(run.recorder.writer)
        assert best is not None and best.step == expected
    assert control.checkpoint_steps(run.paths) == [10, 11, 13]
    assert not run.checkpoints.is_best({"val/psnr_y": 31.9}) and not run.checkpoints.is_best({})


def test_a_requested_validation_scores_the_checkpoint_of_its_own_step(rank_0: Make) -> None:
    run = rank_0(psnr_y=lambda step: 30.0, max_steps=100, checkpoint_every=100)
    run.step()
    for kind in ("checkpoint", "validate"):
        run.ask(kind)
    run.step()
    run.checkpoints.collect(wait=True)
    best = control.best_of(run.recorder.writer)
    assert best is not None and (best.step, best.value) == (2, 30.0)
    assert control.checkpoint_steps(run.paths) == [2]
    assert "metrics" in control.manifest_of(run.paths, 2)


@pytest.mark.parametrize(
    ("key", "values", "best_step"), [("val/tdiff_y", (3.0, 1.0, 2.0), 12), ("val/ssim_y", (3.0, 1.0, 2.0), 11)]
)
def test_the_best_follows_keep_best_by_in_its_own_direction(
    rank_0: Make, key: str, values: tuple[float, ...], best_step: int
) -> None:
    run = rank_0(max_steps=100, checkpoint_every=100, keep_best_by=key)
    for step, value in enumerate(values, start=11):
        while run.state.step < step:
            run.step()
        run.checkpoints.save_now("asked", figures={key: value})
        run.checkpoints.collect(wait=True)
    best = control.best_of(run.recorder.writer)
    assert best is not None and (best.step, best.key, best.value) == (best_step, key, values[best_step - 11])
    asked = run.ask("rollback", step="best")
    run.step()
    assert run.answer(asked).step == best_step


# ---- ending
def test_the_last_step_is_validated_and_saved_and_then_the_run_is_finished(rank_0: Make) -> None:
    run = rank_0(max_steps=3, validate_every=100)
    assert [run.step() for _ in range(3)] == [None, None, "finished"]
    assert run.validated_at == [(3, True)] and run.types()[-3:] == ["validated", "checkpoint_saved", "finished"]
    assert control.manifest_of(run.paths, 3)["metrics"]["val/psnr_y"] == 3.0


def test_an_edit_that_asks_for_more_steps_at_the_last_one_lets_the_run_go_on(rank_0: Make) -> None:
    run = rank_0(max_steps=3, validate_every=100)
    run.step(), run.step()
    run.edit(max_steps=5)
    assert [run.step() for _ in range(3)] == [None, None, "finished"] and run.state.step == 5


@pytest.mark.parametrize(("name", "ended"), [("SIGTERM", "SIGTERM"), ("SIGINT", "stopped")])
def test_a_signal_ends_the_run_with_a_checkpoint(rank_0: Make, name: str, ended: str) -> None:
    run = rank_0()
    run.ending.signal = name
    assert run.step() == ended
    assert run.types() == ["checkpoint_saved", "stopped"] and run.events[-1].data["why"] == name


# ---- what the other ranks receive
def test_a_boundary_of_several_ranks_ends_with_how_far_to_go_on(rank_0: Make) -> None:
    run = rank_0(ranks=2, batch_size=2, max_steps=100, control_interval=4, validate_every=50)
    run.ask("validate")
    for _ in range(4):
        run.step()
    assert [decision(turn) for turn in run.run.group.heard] == [
        "go back to 0", "go on to 4", "on record", "go on to 8",
    ]  # fmt: skip
    run.ask("stop")
    assert [run.step() for _ in range(4)] == [None, None, None, "stopped"]
    assert decision(run.run.group.heard[-1]) == "stopped"


class Script:
    """A group whose rank 0 broadcasts the contents of a list."""

    def __init__(self, turns: list[Turn]) -> None:
        self._turns = turns

    def broadcast(self, _: Any) -> Turn:
        return self._turns.pop(0)


def test_a_rank_above_0_listens_up_to_the_last_turn_of_a_boundary() -> None:
    live: dict[str, Any] = {}
    turns = [Turn(live=live), Turn(live=live, validate="unrecorded"), Turn(live=live, steps_until=8), Turn(live=live)]
    commands = Rank0sCommands(Script(turns))  # type: ignore[arg-type]
    assert [decision(turn) for turn in commands.turns(after_step=True)] == ["wait", "unrecorded", "go on to 8"]
    assert len(turns) == 1, "what comes after it belongs to the next boundary"


@pytest.mark.parametrize(
    ("null", "real"),
    [
        (NullRecorder, "recorder"),
        (NullStatus, "status"),
        (NullCheckpoints, "checkpoints"),
        (Rank0sCommands, "commands"),
    ],
)
def test_null_objects_have_every_method_of_what_they_stand_for(rank_0: Make, null: type, real: str) -> None:
    from vsrpp.training import context

    protocol = {"recorder": context.Recorder, "status": context.Status, "checkpoints": context.Checkpoints,
                "commands": context.Commands}[real]  # fmt: skip
    methods = {name for name in vars(protocol) if not name.startswith("_")}
    assert methods and all(callable(getattr(null, name)) for name in methods)
    ours = getattr(rank_0().run, real)
    assert all(callable(getattr(ours, name)) for name in methods)
