"""A whole run in this process, on a real clip: what it records, and how edits and commands act on it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.support.runs import Steered, once, series, spoil
from tests.support.waiting import wait_until
from vsrpp import control, schedule
from vsrpp.store import RunReader


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
    live = run.context.live
    for (_, step), rate in series(run.paths, "lr").items():
        assert rate == schedule.learning_rate(step - 1, live, {"warmup_steps": 4})


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
    assert rates[0, 5] == schedule.learning_rate(4, before, {"warmup_steps": 4})
    assert rates[0, 6] == schedule.learning_rate(5, after, {"warmup_steps": 4})
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
        "base_revision = 7 refused: this run has no such revision yet. Still at revision 0."
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
    assert (run.context.live["max_lr"], run.context.live["grad_clip"]) == (5e-4, 0.7)


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
    assert (run.context.live["max_lr"], run.context.live["grad_clip"]) == (5e-4, 1.0)


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


# ---- faults
def test_a_step_that_is_not_finite_is_skipped_and_recorded(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip)
    before: list = []

    def poison(_run: Steered) -> None:
        before.extend(p.detach().clone() for p in run.context.state.model.parameters())
        spoil(run.context, once([run.context.state.step + 1]))

    run.at[5] = poison
    run.at[6] = lambda r: before.append(
        all(torch.equal(a, b) for a, b in zip(before, r.context.state.model.parameters(), strict=False))
    )
    assert run.train() == "finished"
    (event,) = [e for e in run.events if e.type == "non_finite"]
    assert event.step == 6
    assert before[-1] is True, "the weights were not touched"
