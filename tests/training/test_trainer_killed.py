"""A resumed run that was killed ends as if undisturbed, and nothing acknowledged is lost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.runs import Steered, series
from vsrpp import control
from vsrpp.errors import Refused


@pytest.mark.parametrize("dies_at", [3, 10, 11, 17])
def test_a_killed_run_resumes_and_ends_bit_for_bit_as_one_never_disturbed(
    tmp_path: Path, tiny_clip: Path, dies_at: int
) -> None:
    def steer() -> dict:
        return {
            4: lambda r: r.edit(max_lr=5e-4),
            9: lambda r: r.ask("validate"),
            13: lambda r: r.edit(l1_weight=0.5, grad_weight=0.3),
        }

    whole = Steered.new(tmp_path / "a", tiny_clip, steer(), max_steps=20)
    whole.train()
    at = steer()
    run = Steered.new(tmp_path / "b", tiny_clip, {s: a for s, a in at.items() if s < dies_at}, max_steps=20)
    run.die_at(dies_at)
    assert control.status(run.paths)["state"] in ("training", "dead")
    later = Steered.resumed(run.paths, {s: a for s, a in at.items() if s >= dies_at})
    assert later.train() == "finished"
    assert later.weights() == whole.weights()
    for key in ("loss/total", "lr", "val/psnr_y", "config/max_lr", "config/revision", "plateau/ema_loss"):
        assert series(run.paths, key) == series(whole.paths, key), key
    mine = [(e.type, e.step) for e in control.history(run.paths) if e.type not in ("restored", "checkpoint_saved")]
    theirs = [(e.type, e.step) for e in control.history(whole.paths) if e.type != "checkpoint_saved"]
    assert mine == theirs, "no event twice, none missing"
    assert control.verify(run.paths).ok


def test_a_checkpoint_whose_event_a_kill_cut_off_is_told_by_the_resume(
    tmp_path: Path, tiny_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Steered.new(tmp_path, tiny_clip, max_steps=30)
    with monkeypatch.context() as cut:
        emit = run.context.recorder.emit

        def die_before_the_event(type: str, **about: Any) -> Any:
            return run.kill() if type == "checkpoint_saved" else emit(type, **about)

        cut.setattr(run.context.recorder, "emit", die_before_the_event)
        run.at[11] = lambda run: run.context.checkpoints.collect(wait=True)  # before the next checkpoint is due
        run.train_until_killed()
    assert control.checkpoint_steps(run.paths) == [10]
    assert not [event for event in control.history(run.paths) if event.type == "checkpoint_saved"]
    again = Steered.resumed(run.paths)
    again.train()
    told = [event for event in control.history(run.paths) if event.type == "checkpoint_saved"]
    assert [event.step for event in told] == [10, 20, 30]
    assert told[0].data.keys() == told[1].data.keys()
    assert told[0].data["files"] == {
        name: about["sha256"] for name, about in (control.manifest_of(run.paths, 10) or {})["files"].items()
    }


def test_an_edit_acknowledged_just_before_the_kill_is_applied_again_at_its_step(
    tmp_path: Path, tiny_clip: Path
) -> None:
    run = Steered.new(tmp_path, tiny_clip, {5: lambda r: r.edit(max_lr=5e-4)})
    run.die_at(6)
    assert run.answer().status == "applied"
    again = Steered.resumed(run.paths)
    again.train()
    assert again.context.live["max_lr"] == 5e-4
    assert [e.step for e in control.history(run.paths) if e.type == "config_applied"] == [5]


def test_an_edit_that_waits_during_a_resume_lands_after_the_record_not_inside_it(
    tmp_path: Path, tiny_clip: Path
) -> None:
    run = Steered.new(tmp_path, tiny_clip, {8: lambda r: r.edit(max_lr=5e-4)})
    run.die_at(9)
    again = Steered.resumed(run.paths, {2: lambda r: r.edit(grad_clip=0.5)})
    again.train()
    assert again.answer().step >= 8
    assert [e.revision for e in control.history(run.paths) if e.type == "config_applied"] == [1, 2]


def test_a_file_edited_while_the_run_was_down_is_an_edit_when_it_comes_back(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip)
    run.die_at(6)
    values = json.loads(run.paths.runtime_config.read_text())
    run.paths.runtime_config.write_text(json.dumps({**values, "grad_clip": 0.3}))
    again = Steered.resumed(run.paths)
    again.train()
    assert again.context.live["grad_clip"] == 0.3


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path: Path, tiny_clip: Path) -> None:
    whole = Steered.new(tmp_path / "a", tiny_clip, checkpoint_every=10, max_steps=24)
    whole.train()
    run = Steered.new(tmp_path / "b", tiny_clip, checkpoint_every=10, max_steps=24)
    run.die_at(23)
    path = run.paths.checkpoint(20).model
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    again = Steered.resumed(run.paths)
    assert again.context.state.step == 10
    again.train()
    assert again.weights() == whole.weights()


def test_a_checkpoint_made_while_the_record_is_walked_again_forgets_no_edit_that_is_still_ahead(
    tmp_path: Path, tiny_clip: Path
) -> None:
    whole = Steered.new(tmp_path / "a", tiny_clip, {25: lambda r: r.edit(max_lr=2e-4)}, max_steps=34)
    whole.train()
    run = Steered.new(tmp_path / "b", tiny_clip, {25: lambda r: r.edit(max_lr=2e-4)}, max_steps=34)
    run.die_at(28)
    shutil.rmtree(run.paths.checkpoint(20).root)
    Steered.resumed(run.paths).die_at(22)
    assert 20 in control.checkpoint_steps(run.paths)
    again = Steered.resumed(run.paths)
    assert again.context.state.step == 20
    again.train()
    assert again.context.live["max_lr"] == 2e-4
    assert again.weights() == whole.weights()


def test_a_checkpoint_whose_manifest_is_torn_is_made_anew(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip, max_steps=24)
    run.die_at(23)
    run.paths.checkpoint(20).manifest.write_text('{"format": 1, ')
    again = Steered.resumed(run.paths)
    assert again.context.state.step == 10
    assert again.train() == "finished"
    assert json.loads(run.paths.checkpoint(20).manifest.read_text())["step"] == 20


def test_after_a_rollback_the_new_branch_keeps_its_checkpoints_and_the_old_one_makes_room(
    tmp_path: Path, tiny_clip: Path
) -> None:
    run = Steered.new(
        tmp_path, tiny_clip, {55: lambda r: r.ask("rollback", step=20)},
        max_steps=60, keep_last=3, keep_every=10, checkpoint_upload="local",
    )  # fmt: skip

    def die_on_the_new_branch(r: Steered) -> None:
        if r.context.recorder.branch:
            r.kill()
        r.at[45] = die_on_the_new_branch

    run.at[45] = die_on_the_new_branch
    run.train_until_killed()
    line = control.lineage(control.history(run.paths))
    manifests = {step: control.manifest_of(run.paths, step) for step in control.checkpoint_steps(run.paths)}
    assert {30, 40} <= {step for step, m in manifests.items() if m and line.holds(m["branch"], step)}
    assert Steered.resumed(run.paths).train() == "finished"


def test_a_live_run_cannot_be_resumed_beside_itself(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip)
    with pytest.raises(Refused, match=r"only one process may train it|being trained by another process"):
        Steered.resumed(run.paths)
    run.train()


def test_a_finished_run_is_not_resumed_but_pointed_on(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip)
    run.train()
    with pytest.raises(Refused, match="vsrpp train --from"):
        Steered.resumed(run.paths)
