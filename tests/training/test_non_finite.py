"""Non-finite losses: a few are skipped, many lead back to a good state at a lower rate, and endless ones end the run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.support.runs import Steered, spoil
from vsrpp import control
from vsrpp.errors import VsrppError
from vsrpp.store import RunReader
from vsrpp.training.replay import Original, replay
from vsrpp.training.restore_points import lowered

PATIENT = {"max_steps": 24, "checkpoint_every": 10, "log_every": 1, "non_finite_patience": 4}


def on_branch(run: Steered, branch: int, steps: range) -> Callable[[int], bool]:
    return lambda step: run.context.recorder.branch == branch and step in steps


def turns(run: Steered):
    return [event for event in run.events if event.type == "rolled_back"]


def finite(run: Steered) -> bool:
    state = run.context.state.capture({})
    return all(bool(w.isfinite().all()) for part in (state.model, state.model_ema) for w in part.values())


def test_fewer_than_the_patience_are_skipped_and_the_run_goes_on(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip, **PATIENT)
    spoil(run.context, lambda step: step in (5, 6, 7, 9))
    assert run.train() == "finished"
    assert [event.step for event in run.events if event.type == "non_finite"] == [5, 6, 7, 9]
    assert turns(run) == []
    assert finite(run)


def test_too_many_in_a_row_lead_back_to_the_newest_good_checkpoint_at_half_the_rate(
    tmp_path: Path, tiny_clip: Path
) -> None:
    run = Steered.new(tmp_path, tiny_clip, **PATIENT)
    spoil(run.context, on_branch(run, 0, range(14, 30)))
    assert run.train() == "finished"
    (event,) = turns(run)
    assert (event.origin, event.branch, event.revision) == ("non_finite", 1, 1)
    assert (event.data["from_step"], event.data["to_step"], event.data["path"]) == (17, 10, "checkpoints/step_0000010")
    assert "4 steps in a row had a loss or gradient that is not finite (last at step 17)" in event.reason
    assert event.data["changes"] == [
        {"key": "max_lr", "old": 1e-3, "new": 5e-4}, {"key": "min_lr", "old": 1e-6, "new": 5e-7}
    ]  # fmt: skip
    seen = control.status(run.paths)
    assert (seen["step"], seen["branch"], seen["config"]["max_lr"]) == (24, 1, 5e-4)
    assert finite(run)
    assert control.verify(run.paths).ok
    with RunReader(run.paths.run_db) as record:
        rates = {(r.branch, r.step): r.value for r in record.series("lr")}
    assert rates[1, 11] == pytest.approx(rates[0, 11] / 2)


def test_a_run_that_went_back_replays_to_the_same_bits(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip, {6: lambda r: r.edit(grad_clip=0.5), 12: lambda r: r.edit(max_lr=9e-4)},
                      **PATIENT)  # fmt: skip
    spoil(run.context, lambda step: on_branch(run, 0, range(14, 30))(step) or on_branch(run, 1, range(13, 30))(step))
    assert run.train() == "finished"
    assert [event.data["to_step"] for event in turns(run)] == [10, 10]
    assert run.context.live["max_lr"] == 9e-4 / 4
    assert run.context.live["grad_clip"] == 0.5
    verdict = replay(Original.of(run.paths), tmp_path / "replay")
    assert verdict.identical, verdict.first_difference


def test_without_a_good_checkpoint_it_goes_back_to_its_start_and_replays(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip, **{**PATIENT, "max_steps": 12})
    spoil(run.context, on_branch(run, 0, range(4, 30)))
    assert run.train() == "finished"
    (event,) = turns(run)
    assert (event.data["to_step"], event.data["path"]) == (0, None)
    assert replay(Original.of(run.paths), tmp_path / "replay").identical


def test_a_checkpoint_that_nothing_finite_followed_is_not_a_good_one(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip, **{**PATIENT, "max_steps": 30})
    spoil(run.context, on_branch(run, 0, range(21, 40)))
    assert run.train() == "finished"
    assert [event.data["to_step"] for event in turns(run)] == [10]


def test_after_the_set_number_of_returns_it_stops_with_one_clear_line(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip, **PATIENT, non_finite_returns=2)
    spoil(run.context, lambda step: step >= 14)
    with pytest.raises(VsrppError, match="stopped after 2 returns to a good state") as caught:
        run.train()
    assert "\n" not in str(caught.value)
    assert [event.data["return"] for event in turns(run)] == [1, 2]
    assert run.types().count("non_finite") == 3 * 4
    assert control.status(run.paths)["state"] == "failed"
    assert finite(run)


def test_no_returns_stop_at_once(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip, **PATIENT, non_finite_returns=0)
    with torch.no_grad():
        next(iter(run.context.state.model.parameters())).fill_(float("nan"))
    with pytest.raises(VsrppError, match=r"4 steps in a row had a loss or gradient that is not finite .* stopped"):
        run.train()
    assert turns(run) == []


@pytest.mark.parametrize(
    "die",
    [
        pytest.param({16: Steered.kill}, id="in the streak"),
        pytest.param({15: lambda run: run.at.update({13: Steered.kill})}, id="after the return"),
    ],
)
def test_a_kill_on_the_way_changes_neither_the_return_nor_the_weights(tmp_path: Path, tiny_clip: Path, die) -> None:
    whole = Steered.new(tmp_path / "whole", tiny_clip, **PATIENT)
    spoil(whole.context, on_branch(whole, 0, range(14, 30)))
    whole.train()
    run = Steered.new(tmp_path / "killed", tiny_clip, die, **PATIENT)
    spoil(run.context, on_branch(run, 0, range(14, 30)))
    run.train_until_killed()
    again = Steered.resumed(run.paths)
    spoil(again.context, on_branch(again, 0, range(14, 30)))
    assert again.train() == "finished"
    assert again.weights() == whole.weights()
    with RunReader(run.paths.run_db) as record:
        assert len(list(record.events(types=("rolled_back",)))) == 1
        assert len(list(record.events(types=("non_finite",)))) == 4


def test_a_rate_is_halved_within_its_range_and_nothing_the_walk_needs_is_left_out() -> None:
    live = {"max_lr": 1e-5, "min_lr": 4e-8, "grad_clip": 2.0, "max_steps": 10}
    earlier = {**live, "max_lr": 4e-5, "grad_clip": 1.0}
    assert lowered(live, earlier, 9) == [
        {"key": "max_lr", "old": 1e-5, "new": 1e-5},
        {"key": "min_lr", "old": 4e-8, "new": 2e-8},
        {"key": "grad_clip", "old": 2.0, "new": 1.0},
    ]


def test_an_automatic_return_to_a_last_step_of_then_does_not_end_the_run() -> None:
    live = {"max_lr": 2e-5, "min_lr": 4e-8, "max_steps": 40}
    back = {change["key"]: change["new"] for change in lowered(live, {**live, "max_steps": 20}, 20)}
    assert back["max_steps"] == 40, "a replay starts from the config of the checkpoint, so it is listed"
    assert "max_steps" not in {change["key"] for change in lowered(live, {**live, "max_steps": 40}, 20)}
    assert {"key": "max_steps", "old": 40, "new": 30} in lowered(live, {**live, "max_steps": 30}, 20)
