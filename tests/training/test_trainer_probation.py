"""Edits on probation: reverted without a trace in the training, or confirmed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.runs import Steered, once, spoil
from vsrpp import control


def on_probation(run: Steered, steps: int, revert_if: str | None, **changes) -> None:
    payload = {"changes": changes, "probation": {"steps": steps, "revert_if": revert_if}}
    run.uids.append(run.inbox.put("edit", payload, origin="cli", author="anna"))


HARMFUL = {"max_lr": 1e-3, "min_lr": 9e-5, "grad_clip": 10.0}
"""From a rate of 2e-5: ×50."""


def calm(**sets):
    return {"max_lr": 2e-5, "min_lr": 1e-6, "max_steps": 24, "log_every": 1, "adaptive": False, **sets}


def test_an_edit_that_does_harm_is_undone_as_if_it_had_never_been(tmp_path: Path, tiny_clip: Path) -> None:
    whole = Steered.new(tmp_path / "a", tiny_clip, **calm())
    whole.train()
    run = Steered.new(
        tmp_path / "b",
        tiny_clip,
        {8: lambda r: on_probation(r, 12, "loss > 0.01x", **HARMFUL)},
        **calm(checkpoint_every=10),
    )
    assert run.train() == "finished"
    assert run.answer().status == "applied"
    (reverted,) = [e for e in run.events if e.type == "config_reverted"]
    assert (reverted.origin, reverted.branch, reverted.revision) == ("probation", 1, 2)
    assert (reverted.data["to_step"], reverted.data["from_step"]) == (8, 9)
    assert "loss > 0.01x held" in reverted.reason
    assert run.context.live["max_lr"] == 2e-5
    assert json.loads(run.paths.runtime_config.read_text())["revision"] == 2
    assert run.weights() == whole.weights()
    assert control.verify(run.paths).ok


def test_a_not_finite_step_always_reverts(tmp_path: Path, tiny_clip: Path) -> None:
    def poisoned(run: Steered) -> None:
        on_probation(run, 10, None, max_lr=1e-3)
        spoil(run.context, once([run.context.state.step + 1]))

    whole = Steered.new(tmp_path / "a", tiny_clip, **calm())
    whole.train()
    run = Steered.new(tmp_path / "b", tiny_clip, {8: poisoned}, **calm())
    run.train()
    assert [e.reason for e in run.events if e.type == "config_reverted"] == ["a loss or gradient was not finite"]
    assert run.weights() == whole.weights()


def test_an_edit_that_does_no_harm_is_confirmed_and_stays(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip, {8: lambda r: on_probation(r, 5, "loss > 1000x", max_lr=3e-5)}, **calm())
    run.train()
    (confirmed,) = [e for e in run.events if e.type == "config_confirmed"]
    assert confirmed.step == 13
    assert run.context.live["max_lr"] == 3e-5
    assert control.status(run.paths)["branch"] == 0


def test_what_is_asked_during_a_probation_waits_until_it_is_decided(tmp_path: Path, tiny_clip: Path) -> None:
    def both(run: Steered) -> None:
        on_probation(run, 6, "loss > 1e-9x", max_lr=1e-3)
        run.edit(grad_clip=0.1)

    other = Steered.new(tmp_path / "a", tiny_clip, {8: lambda r: r.edit(grad_clip=0.1)}, **calm())
    other.train()
    run = Steered.new(tmp_path / "b", tiny_clip, {8: both}, **calm())
    run.train()
    assert run.answer().status == "applied", run.answer().message
    types = [e.type for e in run.events if e.type.startswith("config_")]
    assert types == ["config_applied", "config_reverted", "config_applied"]
    assert (run.answer().step, run.answer().branch) == (8, 1)
    assert run.weights() == other.weights()


def test_an_edit_that_waits_for_a_probation_at_the_runs_end_may_still_lengthen_it(
    tmp_path: Path, tiny_clip: Path
) -> None:
    def both(run: Steered) -> None:
        on_probation(run, 500, "loss > 1000x", max_lr=3e-5)
        run.edit(max_steps=30)

    run = Steered.new(tmp_path, tiny_clip, {20: both}, **calm())
    assert run.train() == "finished"
    assert run.answer().status == "applied"
    assert control.status(run.paths)["step"] == 30
    assert [e.step for e in run.events if e.type == "config_confirmed"] == [24]


def test_a_checkpoint_due_in_a_probation_waits_for_its_confirmation(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(
        tmp_path, tiny_clip, {8: lambda r: on_probation(r, 5, "loss > 1000x", max_lr=3e-5)}, **calm(validate_every=100)
    )
    run.train()
    assert [e.step for e in run.events if e.type == "checkpoint_saved"] == [13, 20, 24]


@pytest.mark.parametrize("dies_at", [9, 11, 13, 16])
@pytest.mark.parametrize("revert_if", ["loss > 1000x", "grad_norm > 1e9x or psnr_y > -1000"])
def test_a_run_killed_in_a_probation_ends_as_if_it_had_not_been(
    tmp_path: Path, tiny_clip: Path, dies_at: int, revert_if: str
) -> None:
    at = {8: lambda r: on_probation(r, 5, revert_if, max_lr=3e-5)}
    whole = Steered.new(tmp_path / "a", tiny_clip, dict(at), **calm(checkpoint_every=10))
    whole.train()
    run = Steered.new(tmp_path / "b", tiny_clip, dict(at), **calm(checkpoint_every=10))
    if "psnr_y" in revert_if and dies_at > 13:
        at_13 = run.at

        def then_die(r: Steered) -> None:
            on_probation(r, 5, revert_if, max_lr=3e-5)
            r.at[dies_at] = Steered.kill

        at_13[8] = then_die
        run.train_until_killed()
    else:
        run.die_at(dies_at)
    again = Steered.resumed(run.paths)
    again.train()
    assert again.weights() == whole.weights()
    kinds = ("config_applied", "config_reverted", "config_confirmed")
    mine = [(e.type, e.step, e.branch, e.revision) for e in control.history(run.paths) if e.type in kinds]
    assert mine == [(e.type, e.step, e.branch, e.revision) for e in control.history(whole.paths) if e.type in kinds]


def test_a_run_stopped_in_a_probation_keeps_the_state_from_before_and_tries_again(
    tmp_path: Path, tiny_clip: Path
) -> None:
    at = {8: lambda r: on_probation(r, 6, "loss > 1000x", max_lr=3e-5)}
    whole = Steered.new(tmp_path / "a", tiny_clip, dict(at), **calm())
    whole.train()
    run = Steered.new(tmp_path / "b", tiny_clip, {**at, 11: lambda r: r.ask("stop")}, **calm())
    assert run.train() == "stopped"
    assert control.checkpoint_steps(run.paths) == [8]
    again = Steered.resumed(run.paths)
    again.train()
    assert again.weights() == whole.weights()
    assert [e.step for e in control.history(run.paths) if e.type == "config_confirmed"] == [14]


def test_a_probation_on_quality_validates_before_and_after(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip, {5: lambda r: on_probation(r, 3, "psnr_y < 100", grad_clip=0.5)}, **calm())
    run.train()
    (reverted,) = [e for e in run.events if e.type == "config_reverted"]
    assert reverted.data["from_step"] == 8
    assert {"psnr_y", "quality"} <= reverted.data["before"].keys()


@pytest.mark.parametrize(
    ("probation", "words"),
    [
        ({"steps": 0}, "whole number of steps"),
        ({"steps": True}, "whole number of steps"),
        ({"steps": 5, "revert_if": "loss explodes"}, "expected a form like"),
        ({"steps": 5, "revert_if": "speed > 2x"}, "is not one of"),
        ("soon", "whole number of steps"),
    ],
)
def test_wrong_terms_of_a_probation_are_refused(tmp_path: Path, tiny_clip: Path, probation, words: str) -> None:
    run = Steered.new(
        tmp_path,
        tiny_clip,
        {
            5: lambda r: r.uids.append(
                r.inbox.put("edit", {"changes": {"grad_clip": 0.5}, "probation": probation}, origin="api")
            )
        },
    )
    run.train()
    assert run.answer().status == "refused"
    assert words in run.answer().message
