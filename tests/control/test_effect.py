"""An intervention's effect: means of the loss and validations on either side, each on the branch it was made on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.made_runs import MadeRun
from vsrpp.control.effect import Effects, InterventionEffect, rows_of
from vsrpp.store import RunReader


def effects_of(run: MadeRun) -> tuple[dict[int, InterventionEffect], list[str]]:
    with RunReader(run.paths.run_db) as reader:
        events = list(reader.events())
        found = Effects(rows_of(reader)).of(events)
    return found, [event.type for event in events if event.seq in found]


def levels(run: MadeRun, *losses: float) -> MadeRun:
    """Ten rows at each level of the loss."""
    for loss in losses:
        for _ in range(10):
            run.step += 10
            run.writer.record(run.step, run.branch, {"loss/total": loss}, at=run.tick())
    return run


@pytest.fixture
def run(tmp_path: Path) -> MadeRun:
    return MadeRun(tmp_path / "effect1", "effect1").start()


def test_loss_and_psnr_before_and_since(run: MadeRun) -> None:
    levels(run, 0.4, 0.4).validate(30.0)
    run.edit("max_lr", 2e-4)
    levels(run, 0.3, 0.2, 0.2).validate(31.5)
    (effect,) = effects_of(run)[0].values()
    assert (effect.loss_before, effect.loss_since) == (pytest.approx(0.4), pytest.approx(0.2))
    assert (effect.psnr_y_before, effect.psnr_y_since, effect.until_step) == (30.0, 31.5, None)
    assert (effect.loss_ratio, effect.psnr_y_gain_db) == (pytest.approx(0.5), pytest.approx(1.5))


def test_since_ends_where_the_next_intervention_begins(run: MadeRun) -> None:
    levels(run, 0.4).edit("max_lr", 2e-4)
    levels(run, 0.3).edit("grad_clip", 0.5)
    levels(run, 0.1).validate(33.0)
    first, second = effects_of(run)[0].values()
    assert (first.loss_since, first.psnr_y_since, first.until_step) == (pytest.approx(0.3), None, 200)
    assert (second.loss_before, second.loss_since) == (pytest.approx(0.3), pytest.approx(0.1))


def test_a_rollback_is_compared_with_the_branch_it_left(run: MadeRun) -> None:
    levels(run, 0.4).edit("max_lr", 2e-4)
    levels(run, 0.9)
    run.step = 200
    run.event("config_refused", {"errors": []})
    left = run.step
    run.branch, run.revision = 1, 2
    run.event("rolled_back", {"to_step": 100, "from_step": left, "from_branch": 0, "changes": []}, origin="rollback")
    run.step = 100
    levels(run, 0.35)
    edit, back = effects_of(run)[0].values()
    assert (edit.loss_since, edit.until_step) == (pytest.approx(0.9), 200)
    assert (back.loss_before, back.loss_since) == (pytest.approx(0.9), pytest.approx(0.35))


def test_what_is_not_finite_counts_for_nothing_and_what_is_not_there_is_none(run: MadeRun) -> None:
    run.edit("max_lr", 2e-4)
    levels(run, float("nan"))
    (effect,) = effects_of(run)[0].values()
    assert effect == InterventionEffect(None, None, None, None, None)
    assert (effect.loss_ratio, effect.psnr_y_gain_db) == (None, None)


def test_only_the_newest_of_many_are_computed(run: MadeRun) -> None:
    for number in range(100):
        levels(run, 0.1).edit("max_lr", 1e-4 + number * 1e-6)
    found, _ = effects_of(run)
    assert len(found) == 60
    assert max(found) == run.writer.head()[0]
