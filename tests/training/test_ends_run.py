"""An edit or a rollback that ends the run at once is confirmed or refused; a run that has ended trains on after an edit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.rank_0 import Rank0
from tests.support.runs import Steered
from vsrpp import config, control
from vsrpp.errors import Refused
from vsrpp.store import RunReader
from vsrpp.training.replay import Original, replay

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


def at_step(rank_0: Make, step: int, **sets: Any) -> Rank0:
    run = rank_0(max_steps=1000, **sets)
    while run.state.step < step:
        assert run.step() is None
    return run


# ---- asked first
@pytest.mark.parametrize("origin", ["cli", "panel", "terminal", "api", "mlflow"])
def test_an_edit_that_ends_the_run_is_refused_and_names_both_ways(rank_0: Make, origin: str) -> None:
    run = at_step(rank_0, 4)
    asked = run.inbox.put("edit", {"changes": {"max_steps": 3, "max_lr": 2e-4}}, origin=origin)
    assert run.step() is None, "it trains on"
    answer = run.answer(asked)
    assert (answer.status, answer.reason_code) == ("refused", "refused.ends_run")
    assert "max_steps = 3 refused: this ends the run now, at step 5" in answer.message
    assert "vsrpp stop run" in answer.message and "vsrpp set run max_steps=3 --yes" in answer.message
    assert (run.run.live["max_steps"], run.run.live["max_lr"]) == (1000, 1e-3)
    assert run.types()[-1] == "config_refused"


def test_once_confirmed_it_ends_the_run_and_the_answer_says_so(rank_0: Make) -> None:
    run = at_step(rank_0, 4)
    asked = run.ask("edit", changes={"max_steps": 5}, confirmed=True)
    assert run.step() == "finished"
    answer = run.answer(asked)
    assert answer.status == "applied" and "this ends the run now, at step 5" in answer.warnings
    assert run.types()[-2:] == ["checkpoint_saved", "finished"]


@pytest.mark.parametrize(("last", "ends"), [(1, True), (4, True), (5, True), (5.0, True), (6, False), (1001, False)])
def test_what_counts_is_the_step_the_run_has_made(rank_0: Make, last: float, ends: bool) -> None:
    run = at_step(rank_0, 4)
    asked = run.edit(max_steps=last)
    assert run.step() is None
    assert run.answer(asked).status == ("refused" if ends else "applied")


@pytest.mark.parametrize("confirmed", [False, None, 1, "yes", [True]])
def test_only_true_confirms(rank_0: Make, confirmed: Any) -> None:
    run = at_step(rank_0, 4)
    asked = run.ask("edit", changes={"max_steps": 5}, confirmed=confirmed)
    assert run.step() is None and run.answer(asked).status == "refused"


def test_no_other_live_parameter_ends_a_run_at_once(rank_0: Make) -> None:
    run = at_step(rank_0, 400)
    for parameter in config.live_parameters().values():
        if parameter.key == "max_steps" or parameter.key.endswith("_weight"):  # a weight changes with the others
            continue
        extremes = [parameter.minimum, parameter.maximum] if parameter.minimum is not None else parameter.choices
        for value in extremes or (True, False):
            run.edit(**{parameter.key: value})
            assert run.step() is None, (parameter.key, value)


def test_a_saved_file_is_refused_likewise(rank_0: Make) -> None:
    run = at_step(rank_0, 4)
    saved = json.loads(run.paths.runtime_config.read_text()) | {"max_steps": 2}
    run.paths.runtime_config.write_text(json.dumps(saved))
    assert run.step() is None
    refused = run.events[-1]
    assert refused.type == "config_refused" and "vsrpp set run max_steps=2 --yes" in refused.data["line"]


def test_it_is_judged_at_the_step_where_it_acts(rank_0: Make) -> None:
    run = at_step(rank_0, 4)
    run.ask("edit", changes={"max_lr": 9e-4}, probation={"steps": 6, "revert_if": "loss > 9x"})
    assert run.step() is None
    assert not control.preview(run.paths, {"max_steps": 8}).errors
    waits = run.edit(max_steps=8)
    for _ in range(6):
        assert run.step() is None
    assert run.state.step == 11 and run.answer(waits).reason_code == "refused.ends_run"


def test_a_probation_or_a_pause_does_not_take_the_question_away(rank_0: Make) -> None:
    run = at_step(rank_0, 4)
    terms = {"steps": 50, "revert_if": "loss > 2x"}
    on_trial = run.ask("edit", changes={"max_steps": 2}, probation=terms)
    pause, edit, resume = run.ask("pause"), run.edit(max_steps=3), run.ask("resume")
    assert run.step() is None
    assert [run.answer(uid).status for uid in (on_trial, pause, edit, resume)] == ["refused", "done", "refused", "done"]
    run.ask("edit", changes={"max_steps": 2}, probation=terms, confirmed=True)
    assert run.step() == "finished" and "config_confirmed" in run.types()


def test_the_preview_says_it_too(rank_0: Make) -> None:
    run = at_step(rank_0, 4)
    run.status.show(now=True)
    seen = control.preview(run.paths, {"max_steps": 3})
    assert seen.ends_run and seen.errors[0]["reason_code"] == "refused.ends_run"
    seen = control.preview(run.paths, {"max_steps": 3}, confirmed=True)
    assert seen.ends_run and not seen.errors and seen.warnings[0] == "this ends the run now, at step 4"
    assert not control.preview(run.paths, {"max_steps": 5}).ends_run


# ---- a rollback
def test_a_rollback_to_the_last_step_of_then_is_confirmed_or_refused(rank_0: Make) -> None:
    run = at_step(rank_0, 9, checkpoint_every=10)
    run.edit(max_steps=10)
    run.boundary()
    run.edit(max_steps=1000)
    for _ in range(3):  # the checkpoint at step 10 was written before the boundary that raised max_steps
        assert run.step() is None
    asked = run.ask("rollback", step=10)
    assert run.step() is None and run.state.step == 13
    answer = run.answer(asked)
    assert answer.reason_code == "refused.rollback_ends_run"
    assert "vsrpp rollback run --step 10 --yes" in answer.message and "vsrpp stop run" in answer.message
    run.ask("rollback", step=10, confirmed=True)
    assert run.step() == "finished" and run.state.step == 10


# ---- trained on
def test_a_finished_run_trains_on_once_max_steps_is_raised_and_replays_identical(
    tmp_path: Path, tiny_clip: Path
) -> None:
    first = Steered.new(tmp_path / "runs", tiny_clip, max_steps=12, log_every=1)
    assert first.train() == "finished"
    with pytest.raises(Refused, match=f"vsrpp train --resume {first.paths.run_id} --set max_steps=1012"):
        Steered.resumed(first.paths)
    with pytest.raises(Refused, match="finished at step 12"):
        Steered.resumed(first.paths, max_steps=12)
    with pytest.raises(Refused, match="n_feats = 8 refused"):
        Steered.resumed(first.paths, n_feats=8)

    assert Steered.resumed(first.paths, {15: Steered.kill}, max_steps=22).train_until_killed() is None
    assert Steered.resumed(first.paths).train() == "finished"
    with RunReader(first.paths.run_db) as record:
        raised = [event for event in record.events() if event.type == "config_applied"]
        assert [(e.step, e.origin, e.data["changes"]) for e in raised] == [
            (12, "cli", [{"key": "max_steps", "old": 12, "new": 22}])
        ]
        assert raised[0].author and record.verify().ok
        assert [e.step for e in record.events() if e.type == "finished"] == [12, 22]
    verdict = replay(Original.of(first.paths), tmp_path / "replay")
    assert verdict.identical and verdict.step == 22 and verdict.first_difference is None


def test_a_run_ended_by_an_edit_trains_on_and_replays_as_recorded(tmp_path: Path, tiny_clip: Path) -> None:
    at = {7: lambda run: run.ask("edit", changes={"max_steps": 3}, confirmed=True)}
    first = Steered.new(tmp_path / "runs", tiny_clip, at, max_steps=12, log_every=1)
    assert first.train() == "finished" and first.context.state.step == 7
    assert replay(Original.of(first.paths), tmp_path / "a").identical
    with pytest.raises(Refused, match="finished at step 7"):
        Steered.resumed(first.paths, max_steps=5)
    assert Steered.resumed(first.paths, max_steps=12).train() == "finished"
    verdict = replay(Original.of(first.paths), tmp_path / "b")
    assert verdict.identical and verdict.step == 12


def test_a_resume_that_would_end_at_once_is_refused_before_it_starts(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip, {8: lambda r: r.ask("stop")}, max_steps=12)
    assert run.train() == "stopped"
    with pytest.raises(Refused, match="max_steps = 8 at step 8 leaves nothing to train"):
        Steered.resumed(run.paths, max_steps=8)
    again = Steered.resumed(run.paths, max_lr=5e-4)
    assert again.train() == "finished"
    applied = [event for event in again.events if event.type == "config_applied"]
    assert [(event.step, event.data["changes"][0]["new"]) for event in applied] == [(8, 5e-4)]


def test_an_edit_given_with_a_resume_waits_for_the_end_of_the_record(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip, {13: lambda r: r.edit(grad_clip=0.5)}, max_steps=20)
    run.die_at(14)
    again = Steered.resumed(run.paths, max_lr=5e-4)
    again.train()
    with RunReader(run.paths.run_db) as record:
        applied = [(e.step, e.revision) for e in record.events() if e.type == "config_applied"]
    assert applied == [(13, 1), (13, 2)], "the newest checkpoint is at step 10; the record ends at 13"
