"""A whole run in this process, on a real clip: what it records, and that what is steered is reproducible."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import safetensors.torch
import torch
from helpers import Killed, Steered, configs, wait_until

from vsrpp import control, schedule
from vsrpp.errors import Refused
from vsrpp.paths import CheckpointPaths
from vsrpp.store import RunReader


def series(paths, key: str) -> dict[tuple[int, int], float]:
    with RunReader(paths.run_db) as reader:
        return {(row.branch, row.step): row.value for row in reader.series(key)}


# ---- a run and its record
def test_a_run_records_its_start_its_rows_its_checkpoints_and_its_end(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip)
    assert run.train() == "finished"
    seen = control.status(run.paths)
    assert (seen["state"], seen["step"], seen["max_steps"], seen["checkpoints"]) == ("finished", 12, 12, [10, 12])
    assert seen["psnr_y"] is not None
    assert seen["best"]["step"] in (10, 12)
    assert sorted(step for _, step in series(run.paths, "loss/total")) == [2, 4, 6, 8, 10, 12]
    assert [t for t in run.types() if t in ("validated", "checkpoint_saved")].count("checkpoint_saved") == 2
    assert run.types()[-1] == "finished"
    assert control.verify(run.paths).ok


def test_every_row_holds_terms_weights_shares_rate_norm_speed_and_activity(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip)
    run.train()
    with RunReader(run.paths.run_db) as reader:
        row = {r.key: r.value for r in reader.metrics() if r.step == 6}
    expected = {"loss/total", "loss/l1", "loss/ms", "loss/grad", "weight/l1", "weight/perceptual", "share/l1", "lr",
                "grad_norm", "speed/steps_per_s", "speed/data_wait_s", "plateau/counter", "plateau/ema_loss",
                "activity/backward.0", "activity/forward.0", "activity/fusion.0", "optimizer/momentum",
                "system/cpu_percent", "run/branch"}  # fmt: skip
    assert expected <= row.keys()
    total = sum(row[f"weight/{t}"] * row[f"loss/{t}"] for t in ("l1", "ms", "grad"))
    assert row["loss/total"] == pytest.approx(total, rel=1e-5)
    assert sum(row[f"share/{t}"] for t in ("l1", "ms", "grad")) == pytest.approx(1.0, rel=1e-5)


def test_the_rate_of_every_step_is_the_schedules(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip, log_every=1, adaptive=False)
    run.train()
    live = run.trainer.live
    for (_, step), rate in series(run.paths, "lr").items():
        assert rate == schedule.learning_rate(step - 1, live, 4)


def test_two_runs_of_one_seed_end_with_the_same_bits_and_another_seed_does_not(tmp_path: Path, tiny_clip: Path) -> None:
    runs = [Steered.new(tmp_path / str(n), tiny_clip, seed=seed) for n, seed in enumerate((1, 1, 2))]
    for run in runs:
        run.train()
    first, second, third = (run.weights() for run in runs)
    assert first == second != third


# ---- edits
def test_an_edit_counts_from_the_very_next_step_and_is_on_record(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip, {5: lambda r: r.edit(max_lr=5e-4)}, log_every=1, adaptive=False)
    run.train()
    answer = run.answer()
    assert (answer.status, answer.step, answer.revision) == ("applied", 5, 1)
    assert answer.changes == [{"key": "max_lr", "old": 1e-3, "new": 5e-4}]
    rates = series(run.paths, "lr")
    before, after = {"min_lr": 1e-6, "max_steps": 12, "max_lr": 1e-3}, {"min_lr": 1e-6, "max_steps": 12, "max_lr": 5e-4}
    assert rates[0, 5] == schedule.learning_rate(4, before, 4)
    assert rates[0, 6] == schedule.learning_rate(5, after, 4)
    assert series(run.paths, "config/max_lr") == {(0, 0): 1e-3, (0, 5): 5e-4}
    assert series(run.paths, "events/config_change") == {(0, 5): 1.0}
    assert json.loads(run.paths.runtime_config.read_text())["max_lr"] == 5e-4
    assert next(iter(json.loads(run.paths.runtime_config.read_text()).items())) == ("revision", 1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"max_lr": 0.5},
            "max_lr = 0.5 refused: must be between 1e-05 and 0.001. Still at revision 0 (max_lr = 0.001).",
        ),
        ({"n_feats": 8}, "restart, or start a new run from this checkpoint"),
        ({"l1_weight": 0.1}, "sum"),
        ({"max_lr": float("nan")}, "max_lr = nan refused: must be a finite number"),
        ({"max_rl": 1e-4}, "did you mean max_lr?"),
        ({"max_lr": 5e-4, "grad_clip": 99}, "grad_clip = 99 refused"),
    ],
)
def test_a_bad_edit_is_refused_as_a_whole_and_touches_nothing(tmp_path: Path, tiny_clip: Path, changes, words) -> None:
    undisturbed = Steered.new(tmp_path / "a", tiny_clip)
    undisturbed.train()
    run = Steered.new(tmp_path / "b", tiny_clip, {5: lambda r: r.edit(**changes)})
    run.train()
    answer = run.answer()
    assert answer.status == "refused"
    assert words in answer.message
    assert "\n" not in answer.message
    assert run.weights() == undisturbed.weights()
    assert run.types().count("config_refused") == 1
    assert control.status(run.paths)["revision"] == 0


def test_a_stale_edit_is_refused_saying_who_changed_it_and_another_key_goes_through(
    tmp_path: Path, tiny_clip: Path
) -> None:
    def three(run: Steered) -> None:
        run.edit(max_lr=5e-4)
        run.edit(max_lr=6e-4, base_revision=0)
        run.edit(grad_clip=0.5, base_revision=0)

    run = Steered.new(tmp_path, tiny_clip, {5: three})
    run.train()
    assert [run.answer(n).status for n in range(3)] == ["applied", "refused", "applied"]
    assert "anna (cli) set it to 5.00e-04 at step 5 (revision 1)" in run.answer(1).message


def test_an_edit_made_on_a_revision_to_come_is_refused_in_one_line(tmp_path: Path, tiny_clip: Path) -> None:
    previews = []

    def ahead(run: Steered) -> None:
        previews.append(control.preview(run.paths, {"max_lr": 5e-4}, base_revision=7).errors)
        run.edit(max_lr=5e-4, base_revision=7)
        run.edit(max_lr=6e-4, base_revision=0)

    run = Steered.new(tmp_path, tiny_clip, {5: ahead})
    run.train()
    assert [run.answer(n).status for n in range(2)] == ["refused", "applied"]
    assert run.answer(0).message == (
        "base_revision = 7 refused: there is no such revision of this run yet. Still at revision 0."
    )
    assert previews[0] == run.answer(0).errors


def test_a_save_of_the_file_is_an_edit_with_its_origin(tmp_path: Path, tiny_clip: Path) -> None:
    def save(run: Steered) -> None:
        values = json.loads(run.paths.runtime_config.read_text())
        run.paths.runtime_config.write_text(json.dumps({**values, "grad_clip": 0.7}))

    run = Steered.new(tmp_path, tiny_clip, {5: save})
    run.train()
    (event,) = [e for e in run.events if e.type == "config_applied"]
    assert (event.step, event.origin, event.data["changes"]) == (
        5,
        "file",
        [{"key": "grad_clip", "old": 1.0, "new": 0.7}],
    )
    assert json.loads(run.paths.runtime_config.read_text())["revision"] == 1


def test_a_save_made_at_an_older_revision_keeps_what_others_changed(tmp_path: Path, tiny_clip: Path) -> None:
    opened: dict = {}

    def open_then_other(run: Steered) -> None:
        opened.update(json.loads(run.paths.runtime_config.read_text()))
        run.edit(max_lr=5e-4)

    def save(run: Steered) -> None:
        run.paths.runtime_config.write_text(json.dumps({**opened, "grad_clip": 0.7}))

    run = Steered.new(tmp_path, tiny_clip, {4: open_then_other, 6: save})
    run.train()
    assert (run.trainer.live["max_lr"], run.trainer.live["grad_clip"]) == (5e-4, 0.7)


def test_a_save_that_conflicts_is_refused_saying_whose_change_stands(tmp_path: Path, tiny_clip: Path) -> None:
    opened: dict = {}

    def open_then_other(run: Steered) -> None:
        opened.update(json.loads(run.paths.runtime_config.read_text()))
        run.edit(max_lr=5e-4, origin="panel")

    def save(run: Steered) -> None:
        run.paths.runtime_config.write_text(json.dumps({**opened, "max_lr": 7e-4, "grad_clip": 0.7}))

    run = Steered.new(tmp_path, tiny_clip, {4: open_then_other, 6: save})
    run.train()
    (event,) = [e for e in run.events if e.type == "config_refused"]
    assert "anna (panel) set it to 5.00e-04 at step 4 (revision 1)" in event.data["line"]
    assert (run.trainer.live["max_lr"], run.trainer.live["grad_clip"]) == (5e-4, 1.0)


def test_a_longer_run_can_be_asked_for_while_it_trains(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip, {11: lambda r: r.edit(max_steps=16)})
    assert run.train() == "finished"
    assert control.status(run.paths)["step"] == 16


# ---- commands
def test_a_pause_holds_at_the_step_and_edits_meanwhile_take_effect_at_once(tmp_path: Path, tiny_clip: Path) -> None:
    import threading

    from vsrpp.store import Inbox

    seen: dict = {}

    def later(paths) -> None:
        wait_until(lambda: control.status(paths)["state"] == "paused")
        inbox = Inbox(paths.inbox_db)
        edit = inbox.put("edit", {"changes": {"grad_clip": 0.5}}, origin="panel")
        seen["edit"] = inbox.wait(edit, 240)
        seen["step"] = control.status(paths)["step"]
        checkpoint = inbox.put("checkpoint", {}, origin="panel")
        seen["checkpoint"] = inbox.wait(checkpoint, 240)
        resume = inbox.put("resume", {}, origin="panel")
        seen["resume"] = inbox.wait(resume, 240)
        inbox.close()

    run = Steered.new(tmp_path, tiny_clip, {5: lambda r: r.ask("pause")})
    thread = threading.Thread(target=later, args=(run.paths,))
    thread.start()
    assert run.train() == "finished"
    thread.join()
    assert (seen["edit"].status, seen["edit"].step, seen["step"]) == ("applied", 5, 5)
    assert (seen["checkpoint"].status, seen["checkpoint"].step) == ("done", 5)
    assert seen["resume"].step == 5
    assert [t for t in run.types() if t in ("paused", "resumed")] == ["paused", "resumed"]
    assert 5 in control.status(run.paths)["checkpoints"]


def test_stop_makes_a_checkpoint_and_a_resume_ends_as_if_it_had_never_stopped(tmp_path: Path, tiny_clip: Path) -> None:
    whole = Steered.new(tmp_path / "a", tiny_clip)
    whole.train()
    run = Steered.new(tmp_path / "b", tiny_clip, {7: lambda r: r.ask("stop")})
    assert run.train() == "stopped"
    assert (run.answer().status, run.answer().step) == ("done", 7)
    assert control.status(run.paths)["state"] == "stopped"
    assert control.status(run.paths)["checkpoints"][-1] == 7
    again = Steered.resumed(run.paths)
    assert again.train() == "finished"
    assert again.weights() == whole.weights()
    assert control.verify(run.paths).ok


def test_a_validation_by_hand_is_recorded_with_who_asked(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip, {5: lambda r: r.ask("validate")})
    run.train()
    (event,) = [e for e in run.events if e.type == "validated" and e.data["by_hand"]]
    assert (event.step, event.author) == (5, "anna")
    assert (0, 5) in series(run.paths, "val/psnr_y")


# ---- killed
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
        cut.setattr(run.trainer.boundary._keeper, "_record", lambda _: run.kill())
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
    assert again.trainer.live["max_lr"] == 5e-4
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
    assert again.trainer.live["grad_clip"] == 0.3


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
    assert again.trainer.state.step == 10
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
    assert again.trainer.state.step == 20
    again.train()
    assert again.trainer.live["max_lr"] == 2e-4
    assert again.weights() == whole.weights()


def test_a_checkpoint_whose_manifest_is_torn_is_made_anew(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip, max_steps=24)
    run.die_at(23)
    run.paths.checkpoint(20).manifest.write_text('{"format": 1, ')
    again = Steered.resumed(run.paths)
    assert again.trainer.state.step == 10
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
        if r.trainer.recorder.branch:
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


# ---- rollback
def test_a_rollback_restores_every_value_and_goes_on_as_that_state_would(tmp_path: Path, tiny_clip: Path) -> None:
    whole = Steered.new(tmp_path / "a", tiny_clip, max_steps=16)
    whole.train()
    run = Steered.new(
        tmp_path / "b",
        tiny_clip,
        {11: lambda r: r.edit(max_lr=9e-5), 14: lambda r: r.ask("rollback", step=10)},
        max_steps=16,
    )
    assert run.train() == "finished"
    answer = run.answer()
    assert (answer.status, answer.step, answer.branch, answer.revision) == ("done", 10, 1, 2)
    assert run.weights() == whole.weights()
    assert run.trainer.live["max_lr"] == 1e-3
    assert json.loads(run.paths.runtime_config.read_text())["revision"] == 2
    (event,) = [e for e in run.events if e.type == "rolled_back"]
    assert (event.data["from_step"], event.data["to_step"], event.data["from_branch"], event.branch) == (14, 10, 0, 1)
    assert {(0, 12), (0, 14), (1, 12), (1, 14), (1, 16)} <= series(run.paths, "loss/total").keys()


def test_a_rollback_to_a_step_without_checkpoint_names_the_nearest(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip, {11: lambda r: r.ask("rollback", step=4)})
    run.train()
    assert run.answer().status == "refused"
    assert run.answer().message == "no checkpoint at step 4; the nearest is 10."


def test_a_run_killed_after_a_rollback_resumes_on_its_new_branch(tmp_path: Path, tiny_clip: Path) -> None:
    whole = Steered.new(tmp_path / "a", tiny_clip, max_steps=16)
    whole.train()

    def back(run: Steered) -> None:
        run.ask("rollback", step=10)
        run.at[12] = Steered.kill

    run = Steered.new(tmp_path / "b", tiny_clip, {14: back}, max_steps=16)
    run.train_until_killed()
    run_again = Steered.resumed(run.paths)
    run_again.train()
    assert run_again.weights() == whole.weights()
    assert control.status(run.paths)["branch"] == 1


# ---- from a checkpoint
def test_a_new_run_from_a_checkpoint_goes_on_there_with_its_config_and_lineage(tmp_path: Path, tiny_clip: Path) -> None:
    from vsrpp.training.start import prepare_new

    whole = Steered.new(tmp_path / "a", tiny_clip, {4: lambda r: r.edit(grad_clip=0.5)}, max_steps=20)
    whole.train()
    run_config, live = configs(tiny_clip, max_steps=20, grad_clip=0.5)
    prepared = prepare_new(
        run_config, live, runs=tmp_path / "b", run_id=lambda: None, say=lambda _: None,
        parent=whole.paths.checkpoint(10), lineage={"run_id": whole.paths.run_id, "step": 10, "source": "x"},
    )  # fmt: skip
    run = Steered(prepared)
    run.train()
    assert run.weights() == whole.weights()
    started = control.history(run.paths)[0]
    assert (started.type, started.step, started.data["parent"]["run_id"]) == ("started", 10, whole.paths.run_id)
    assert control.checkpoint_steps(run.paths)[0] == 10


def test_a_checkpoint_of_another_network_is_refused_naming_what_differs(tmp_path: Path, tiny_clip: Path) -> None:
    from vsrpp.training.start import prepare_new

    run = Steered.new(tmp_path / "a", tiny_clip)
    run.train()
    run_config, live = configs(tiny_clip, n_feats=6, max_steps=20)
    with pytest.raises(Refused, match="n_feats is 4 there and 6 here"):
        prepare_new(
            run_config,
            live,
            runs=tmp_path / "b",
            run_id=lambda: None,
            say=lambda _: None,
            parent=run.paths.checkpoint(10),
        )


# ---- checkpoints
def test_a_checkpoint_is_whole_hashed_and_its_weights_depend_on_nothing_else(tmp_path: Path, tiny_clip: Path) -> None:
    from vsrpp.training.checkpoint import verify_files

    runs = [Steered.new(tmp_path / name, tiny_clip) for name in "ab"]
    for run in runs:
        run.train()
    folders = [run.paths.checkpoint(10) for run in runs]
    manifests = [verify_files(folder) for folder in folders]
    assert set(manifests[0]["files"]) == {
        "model.safetensors",
        "model_ema.safetensors",
        "training_state.pt",
        "runtime_config.json",
        "run_config.yaml",
    }
    for name in ("model.safetensors", "model_ema.safetensors"):
        assert manifests[0]["files"][name] == manifests[1]["files"][name]
    assert manifests[0]["metrics"]["val/psnr_y"] == manifests[1]["metrics"]["val/psnr_y"]
    torch.load(folders[0].training_state, weights_only=True)
    model, ema = safetensors.torch.load_file(folders[0].model), safetensors.torch.load_file(folders[0].model_ema)
    assert any(not torch.equal(model[name], ema[name]) for name in model), "the EMA is not written over the weights"


def test_a_checkpoint_that_cannot_be_written_is_an_event_and_training_goes_on(tmp_path: Path, tiny_clip: Path) -> None:
    def block(run: Steered) -> None:
        run.paths.checkpoints.rename(run.paths.root / "kept")
        run.paths.checkpoints.write_text("not a folder")

    def unblock(run: Steered) -> None:
        keeper = run.trainer.boundary._keeper
        wait_until(lambda: keeper.collect() or not keeper._saver.busy, what="the failure of the checkpoint at step 10")
        run.paths.checkpoints.unlink()
        run.paths.checkpoints.mkdir()

    run = Steered.new(tmp_path, tiny_clip, {8: block, 11: unblock})
    assert run.train() == "finished"
    (event,) = [e for e in run.events if e.type == "checkpoint_failed"]
    assert event.data["at_step"] == 10
    assert control.status(run.paths)["checkpoints"] == [12]


def test_old_checkpoints_go_and_the_last_and_best_stay(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip, max_steps=60, checkpoint_every=10, keep_last=2, checkpoint_upload="local")
    run.train()
    seen = control.status(run.paths)
    assert seen["checkpoints"][-2:] == [50, 60]
    assert seen["best"]["step"] in seen["checkpoints"]
    assert len(seen["checkpoints"]) <= 3


def test_a_kill_while_a_checkpoint_is_removed_leaves_no_half_that_passes_for_one(
    tmp_path: Path, tiny_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vsrpp.training import checkpoint

    run = Steered.new(tmp_path, tiny_clip, max_steps=60, checkpoint_every=10, keep_last=1, checkpoint_upload="local")

    def half_way(folder: Path, **_: Any) -> None:
        if folder.name.endswith(".gone.part"):
            (folder / "manifest.json").unlink()
            (folder / "model.safetensors").unlink()
            raise Killed
        shutil.rmtree(folder, ignore_errors=True)

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "shutil", SimpleNamespace(rmtree=half_way))
        run.train_until_killed()
    left = {path.name for path in run.paths.checkpoints.iterdir()}
    assert any(name.endswith(".gone.part") for name in left)
    for name in left:
        if name.startswith("step_"):
            checkpoint.verify_files(CheckpointPaths(run.paths.checkpoints / name))
    again = Steered.resumed(run.paths)
    assert not list(run.paths.checkpoints.glob(".step_*"))
    assert again.train() == "finished"


def test_a_checkpoint_set_aside_by_a_later_branch_goes_when_it_is_safe(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(
        tmp_path, tiny_clip, {35: lambda r: r.ask("rollback", step=10)},
        max_steps=60, checkpoint_every=10, keep_last=9, checkpoint_upload="local",
    )  # fmt: skip
    assert run.train() == "finished"
    assert run.answer().status == "done"
    assert not list(run.paths.checkpoints.glob("step_*_b*"))
    assert [step for step in control.checkpoint_steps(run.paths) if step <= 60] == [10, 20, 30, 40, 50, 60]


# ---- faults
def test_a_step_that_is_not_finite_is_skipped_and_recorded(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip)
    before: list = []

    def poison(_run: Steered) -> None:
        batches = run.trainer.stepper._next_batch

        def poisoned():
            lr, gt = batches()
            run.trainer.stepper._next_batch = batches
            before.extend(p.detach().clone() for p in run.trainer.state.model.parameters())
            return lr, gt * float("nan")

        run.trainer.stepper._next_batch = poisoned

    run.at[5] = poison
    run.at[6] = lambda r: before.append(
        all(torch.equal(a, b) for a, b in zip(before, r.trainer.state.model.parameters(), strict=False))
    )
    assert run.train() == "finished"
    (event,) = [e for e in run.events if e.type == "non_finite"]
    assert event.step == 6
    assert before[-1] is True, "the weights were not touched"


# ---- probation
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
    assert run.trainer.live["max_lr"] == 2e-5
    assert json.loads(run.paths.runtime_config.read_text())["revision"] == 2
    assert run.weights() == whole.weights()
    assert control.verify(run.paths).ok


def test_a_not_finite_step_always_reverts(tmp_path: Path, tiny_clip: Path) -> None:
    def poisoned(run: Steered) -> None:
        on_probation(run, 10, None, max_lr=1e-3)
        batches = run.trainer.stepper._next_batch

        def once():
            lr, gt = batches()
            run.trainer.stepper._next_batch = batches
            return lr, gt * float("nan")

        run.trainer.stepper._next_batch = once

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
    assert run.trainer.live["max_lr"] == 3e-5
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
        ({"steps": 5, "revert_if": "speed > 2x"}, "none of"),
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
