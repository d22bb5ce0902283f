"""ENTER, number, ENTER, value, ENTER, ENTER; the preview while typing; the four weights edited together."""

from __future__ import annotations

from tests.support.tui_driving import Driven, drive
from tests.support.tui_fakes import FakeRun
from vsrpp import config


def test_the_shortest_path_sets_the_rate(run: FakeRun) -> None:
    async def script(ui: Driven) -> None:
        await ui.press("enter", "1", "3", "enter")
        await ui.type("3e-4")
        await ui.press("enter", "enter")
        await ui.shows("Applied at step 1230, revision 2: max_lr 2.00e-04 → 3.00e-04", "Losses")

    drive(run, script)
    (command,) = run.seen
    assert command.payload == {"changes": {"max_lr": 3e-4}}
    assert (command.origin, command.base_revision, command.reason) == ("terminal", 1, None)


def test_keys_typed_faster_than_any_answer_lose_nothing(run: FakeRun) -> None:
    async def script(ui: Driven) -> None:
        await ui.pilot.press("enter", "1", "5", "enter", "0", "full_stop", "5", "enter", "enter")
        await ui.shows("Applied at step 1230, revision 2: grad_clip 1.0 → 0.5")

    drive(run, script)


def test_a_reason_goes_on_record(run: FakeRun) -> None:
    async def script(ui: Driven) -> None:
        await ui.press("enter", "1", "0", "enter")
        await ui.type("300")
        await ui.press("enter")
        await ui.type("noisy curve, q p v")
        await ui.press("enter")
        await ui.shows("Applied at step 1230", "plateau_patience 250 → 300")

    drive(run, script)
    assert run.seen[0].reason == "noisy curve, q p v"


def test_the_menu_shows_the_numbers_of_the_schema_with_ranges(run: FakeRun) -> None:
    async def script(ui: Driven) -> None:
        await ui.press("enter")
        await ui.shows("RUNTIME CONFIGURATION")
        for parameter in list(config.live_parameters().values())[:10]:
            row = next(line for line in ui.text.splitlines() if f"{parameter.menu}. " in line)
            assert parameter.title in row and "(" in row

    drive(run, script)


def test_a_name_finds_its_parameter_and_nonsense_is_said_to_be_none(run: FakeRun) -> None:
    async def script(ui: Driven) -> None:
        await ui.press("enter")
        await ui.type("clip")
        await ui.press("enter")
        await ui.shows("15. Gradient clip")
        await ui.press("escape")
        await ui.type("zzz")
        await ui.shows("no parameter zzz")
        await ui.press("enter")
        await ui.shows("RUNTIME CONFIGURATION")

    drive(run, script)


def test_arrows_choose_and_startup_parameters_are_locked(run: FakeRun) -> None:
    async def script(ui: Driven) -> None:
        await ui.press("enter", "down", "down", "enter")
        await ui.shows("12. Cooldown duration")
        await ui.press("escape")
        await ui.type("n_feats")
        await ui.shows("🔒")
        await ui.press("enter")
        await ui.until(lambda: "n_feats cannot change during training" in ui.message)

    drive(run, script)
    assert run.seen == []


def test_what_would_be_refused_is_said_as_one_types_and_never_sent(run: FakeRun) -> None:
    async def script(ui: Driven) -> None:
        await ui.press("enter", "1", "3", "enter")
        await ui.type("0.5")
        await ui.shows("✖ max_lr = 0.5 refused: must be between 1e-05 and 0.001.", "Still at revision 1")
        await ui.press("enter", "enter", "enter")
        await ui.pilot.pause(0.1)
        await ui.shows("✖ max_lr = 0.5 refused")

    drive(run, script)
    assert run.seen == []


def test_the_preview_shows_the_rate_ahead_and_what_is_close_to_a_limit(run: FakeRun) -> None:
    async def script(ui: Driven) -> None:
        await ui.press("enter", "1", "3", "enter")
        await ui.type("9.9e-4")
        await ui.shows("max_lr 2.00e-04 → 9.90e-04  ! close to the limit 0.001", "rate ahead", "with the edit")
        await ui.shows("max_lr becomes 4.95x the current value")

    drive(run, script)


def test_a_comma_is_taken_as_a_decimal_point(run: FakeRun) -> None:
    async def script(ui: Driven) -> None:
        await ui.press("enter", "1", "5", "enter")
        await ui.type("0,5")
        await ui.press("enter", "enter")
        await ui.until(lambda: "grad_clip 1.0 → 0.5" in ui.message)

    drive(run, script, lang="de")


def test_a_choice_is_made_with_the_arrows(run: FakeRun) -> None:
    async def script(ui: Driven) -> None:
        await ui.press("enter", "2", "5", "enter", "down")
        await ui.shows("plateau_action none → reduce_lr")
        await ui.press("enter", "enter")
        await ui.shows("Applied at step 1230")

    drive(run, script)
    assert run.seen[0].payload["changes"] == {"plateau_action": "reduce_lr"}


def test_somebody_elses_change_meanwhile_is_not_overwritten(run: FakeRun) -> None:
    async def script(ui: Driven) -> None:
        await ui.press("enter", "1", "3", "enter")
        await ui.shows("New value")
        run.edit({"max_lr": 5e-4}, origin="panel", author="ben")
        await ui.type("3e-4")
        await ui.shows("stale", "ben (panel) set it to")
        await ui.press("enter", "enter")

    drive(run, script)
    assert run.seen == []


def test_the_weights_are_edited_as_one_and_their_sum_is_watched(run: FakeRun) -> None:
    async def script(ui: Driven) -> None:
        await ui.press("enter", "1", "6", "enter")
        await ui.shows(
            "16. L1 weight", "17. Multi-scale weight", "18. Gradient weight", "19. Perceptual weight", "Sum 1 "
        )
        await ui.type("0.7")
        await ui.shows("Sum 1.1 (0.95 to 1.05) !!", "they must sum to")
        await ui.press("enter")
        await ui.shows("Sum 1.1")
        await ui.press("down")
        await ui.press("ctrl+u")
        await ui.type("0.145")
        await ui.shows("Sum 1.045 (0.95 to 1.05) !", "l1_weight 0.6 → 0.7", "ms_weight 0.2 → 0.145")
        await ui.press("enter", "enter")
        await ui.shows("Applied at step 1230", "l1_weight 0.6 → 0.7")

    drive(run, script)
    assert run.seen[0].payload["changes"] == {"l1_weight": 0.7, "ms_weight": 0.145}


def test_the_equals_sign_balances_the_other_weights(run: FakeRun) -> None:
    async def script(ui: Driven) -> None:
        await ui.press("enter", "1", "6", "enter")
        await ui.type("0.5")
        await ui.press("equals_sign")
        await ui.shows("Sum 1 (0.95 to 1.05)", "ms_weight 0.2 → 0.25", "grad_weight 0.2 → 0.25")
        await ui.press("enter", "enter")
        await ui.shows("Applied at step 1230")

    drive(run, script)
    assert run.seen[0].payload["changes"] == {"l1_weight": 0.5, "ms_weight": 0.25, "grad_weight": 0.25}


def test_the_run_goes_on_in_the_header_while_one_edits(run: FakeRun) -> None:
    async def script(ui: Driven) -> None:
        await ui.press("enter", "1", "3", "enter")
        run.train(100)
        await ui.shows("step 1330 of 3000", "New value")

    drive(run, script)


def test_an_edit_of_a_finished_run_says_that_nobody_takes_it(run: FakeRun) -> None:
    run.close()
    run = FakeRun(run.paths.root.parent / "ended", "ended").train(100).end("finished")

    async def script(ui: Driven) -> None:
        await ui.press("enter", "1", "3", "enter")
        await ui.type("3e-4")
        await ui.press("enter", "enter")
        await ui.until(lambda: "nothing can apply this edit" in ui.message)

    drive(run, script)
    run.close()


def test_an_edit_on_probation_carries_its_terms(run: FakeRun) -> None:
    async def script(ui: Driven) -> None:
        await ui.press("enter", "1", "3", "enter")
        await ui.type("3e-4")
        await ui.press("ctrl+p")
        await ui.shows("Steps on probation", "Revert if", "reverts, config included, if")
        await ui.press("ctrl+u")
        await ui.type("80")
        await ui.shows("for 80 steps")
        await ui.press("enter", "enter")
        await ui.shows("Applied at step 1230")

    drive(run, script)
    assert run.seen[0].payload["probation"] == {"steps": 80, "revert_if": "loss > 2x"}


def test_terms_of_a_probation_that_make_no_sense_are_said_at_once(run: FakeRun) -> None:
    async def script(ui: Driven) -> None:
        await ui.press("enter", "1", "3", "enter")
        await ui.type("3e-4")
        await ui.press("ctrl+p", "ctrl+u")
        await ui.shows("must be a whole number from 1")
        await ui.type("5")
        await ui.press("tab", "ctrl+u")
        await ui.type("nonsense")
        await ui.shows("revert-if 'nonsense' refused")
        await ui.press("ctrl+p")
        await ui.shows("max_lr 2.00e-04 → 3.00e-04")
        await ui.press("enter", "enter")
        await ui.shows("Applied at step 1230")

    drive(run, script)
    assert "probation" not in run.seen[0].payload


def test_an_edit_that_ends_the_run_wants_another_enter(run: FakeRun) -> None:
    async def script(ui: Driven) -> None:
        await ui.press("enter")
        await ui.type("max_steps")
        await ui.press("enter")
        await ui.type("600")
        await ui.shows("this ends the run now, at step 1230")
        await ui.press("enter", "enter")
        await ui.shows("This ends the run now: ENTER again to confirm")
        assert run.seen == []
        await ui.press("enter")
        await ui.shows("Applied at step 1230, revision 2")

    drive(run, script)
    assert run.seen[0].payload == {"changes": {"max_steps": 600}, "confirmed": True}


def test_what_was_typed_faster_than_it_was_judged_does_not_end_the_run(run: FakeRun) -> None:
    async def script(ui: Driven) -> None:
        await ui.press("enter")
        await ui.type("max_steps")
        await ui.press("enter")
        await ui.pilot.press("6", "0", "0", "enter", "enter")
        await ui.until(lambda: "ends the run now" in ui.message)

    drive(run, script)
    assert run.seen == []
