"""Every key does what its label says, and reports the outcome."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.tui_driving import Driven, drive
from tests.support.tui_fakes import FakeRun, half_way
from vsrpp.store import RunReader


def test_p_pauses_and_p_again_lets_it_go_on(run: FakeRun) -> None:
    async def script(ui: Driven) -> None:
        await ui.press("p")
        await ui.shows("Pause: done at step 1230", "‖ paused", "Go on")
        await ui.press("p")
        await ui.shows("Resume: done at step 1230", "● training")

    drive(run, script)
    assert [command.kind for command in run.seen] == ["pause", "resume"]
    assert {command.origin for command in run.seen} == {"terminal"}


@pytest.mark.parametrize(("key", "kind", "said"), [("v", "validate", "Validation"), ("c", "checkpoint", "Checkpoint")])
def test_a_command_on_a_key_is_answered_with_its_step(run: FakeRun, key: str, kind: str, said: str) -> None:
    async def script(ui: Driven) -> None:
        await ui.press(key)
        await ui.shows(f"{said}: done at step 1230")

    drive(run, script)
    assert [command.kind for command in run.seen] == [kind]


def test_b_rolls_back_to_the_checkpoint_picked_from_the_table(run: FakeRun) -> None:
    async def script(ui: Driven) -> None:
        await ui.press("b")
        await ui.shows("Roll back to a checkpoint", "★", "1–6 of 6")
        await ui.press("down", "enter")
        await ui.shows("Back to step 1000: the 230 steps since")
        await ui.type("worse")
        await ui.press("enter")
        await ui.shows("Rollback: done at step 1000", "branch 1")

    drive(run, script)
    (command,) = run.seen
    assert (command.payload, command.reason, command.origin) == ({"step": 1000}, "worse", "terminal")


def test_escape_leads_back_out_of_a_rollback(run: FakeRun) -> None:
    async def script(ui: Driven) -> None:
        await ui.press("b", "enter")
        await ui.shows("Back to step 1200")
        await ui.press("escape")
        await ui.shows("1–6 of 6")
        await ui.press("escape")
        await ui.shows("Losses")

    drive(run, script)
    assert run.seen == []


def test_x_stops_only_after_a_clear_yes(run: FakeRun) -> None:
    async def script(ui: Driven) -> None:
        await ui.press("x")
        await ui.shows("Stop this run?")
        await ui.press("enter", "n")
        await ui.shows("Losses")
        await ui.press("x", "y")
        await ui.shows("Stop: done at step", "■ stopped")

    drive(run, script)
    assert [command.kind for command in run.seen] == ["stop"]


def test_s_goes_through_the_views_and_numbers_jump(run: FakeRun) -> None:
    async def script(ui: Driven) -> None:
        for text in ("Layers by value", "Total loss", "Validations", "Timeline: all", "Steering"):
            await ui.press("s")
            await ui.shows(text)
        await ui.press("4")
        await ui.shows("Validations")
        await ui.press("1")
        await ui.shows("Steering")

    drive(run, script)


def test_layers_are_sorted_by_o_and_scrolled_by_arrows(run: FakeRun) -> None:
    async def script(ui: Driven) -> None:
        await ui.press("2")
        await ui.shows("Layers by value", "1–13 of 19", "fusion.2")
        await ui.press("down")
        await ui.shows("2–14 of 19")
        await ui.press("end")
        await ui.shows("7–19 of 19", "backward.0")
        await ui.press("pageup", "home")
        await ui.shows("1–13 of 19")
        await ui.press("o")
        await ui.shows("Layers by trend")
        await ui.press("o")
        await ui.shows("Layers by name")
        await ui.until(lambda: "backward.0" in ui.text.split("Layers by name")[1].splitlines()[2])

    drive(run, script)


def test_the_timeline_is_filtered_by_f(run: FakeRun) -> None:
    async def script(ui: Driven) -> None:
        await ui.press("5", "f")
        await ui.shows("Timeline: edits", "max_lr 1.50e-04 → 2.00e-04 · anna", "(cli) “too slow”")
        assert "checkpoint saved" not in ui.text

    drive(run, script)


def test_keys_of_another_view_do_nothing_here(run: FakeRun) -> None:
    async def script(ui: Driven) -> None:
        await ui.steady()
        before = ui.text
        await ui.press("o", "f", "down", "end")
        await ui.steady()
        assert ui.text == before

    drive(run, script)


def test_r_lists_the_runs_and_enter_watches_another(run: FakeRun) -> None:
    other = FakeRun(run.paths.root.parent / "aaaabbbbccccdddd", "aaaabbbbccccdddd")
    other.run_config["name"] = "other"
    other.train(50)

    async def script(ui: Driven) -> None:
        await ui.press("r")
        await ui.shows("Runs on this host", "aaaabbbbcccc", "0f1e2d3c4b5a", "1–2 of 2")
        rows = [line for line in ui.text.splitlines() if "bikes-demo" in line][1:]
        await ui.press("home")
        await ui.press(*(["down"] if rows[0].split()[0].startswith("0f1e") else []), "enter")
        await ui.until(lambda: ui.app.snapshot is not None and ui.app.snapshot.run_id == "aaaabbbbccccdddd")
        await ui.shows("step 50 of 3000")

    drive(run, script)
    other.close()


def test_the_help_names_every_key_of_the_footer(run: FakeRun) -> None:
    async def script(ui: Driven) -> None:
        footer = ui.text.splitlines()[-1]
        keys = [word for word in footer.split() if len(word) == 1 and word not in "↵?"]
        await ui.press("question_mark")
        await ui.shows("Edits and commands take effect at the next step boundary")
        assert keys == ["p", "v", "c", "b", "s", "r", "x", "q"]
        for key in keys:
            assert any(line.startswith(f"{key} ") for line in ui.text.splitlines()), key
        await ui.press("escape")
        await ui.shows("Losses")

    drive(run, script)


@pytest.mark.parametrize("key", ["q", "ctrl+c", "ctrl+q"])
def test_leaving_leaves_the_run_alone(run: FakeRun, key: str) -> None:
    async def script(ui: Driven) -> None:
        await ui.press(key)

    app = drive(run, script)
    assert app.return_code == 0
    assert run.seen == []


def test_a_refused_command_says_why(run: FakeRun) -> None:
    run.refuse = "checkpoint 1230 failed: no space left on device"

    async def script(ui: Driven) -> None:
        await ui.press("c")
        await ui.shows("✖ Checkpoint refused: checkpoint 1230 failed: no space left on device")
        assert ui.app.message[1] == "bad"

    drive(run, script)


def test_an_unanswered_command_does_not_block_and_is_not_sent_twice(run: FakeRun) -> None:
    run.deaf = True

    async def script(ui: Driven) -> None:
        await ui.press("v")
        await ui.shows("Validation: requested")
        await ui.press("v")
        await ui.shows("Validation: still waiting for the answer")
        await ui.press("2")
        await ui.shows("Layers by value")

    drive(run, script)
    assert [command.kind for command in run.seen] == ["validate"]


@pytest.mark.parametrize("key", ["p", "v", "c"])
def test_a_command_to_a_finished_run_says_what_to_do(tmp_path: Path, key: str) -> None:
    run = half_way(tmp_path / "runs" / "r1").end("finished")

    async def script(ui: Driven) -> None:
        await ui.press(key)
        await ui.until(lambda: "is finished" in ui.message)
        assert "vsrpp train --from" in ui.message

    drive(run, script)
    run.close()


def test_what_is_asked_is_on_record_with_origin_terminal(run: FakeRun) -> None:
    async def script(ui: Driven) -> None:
        await ui.press("p")
        await ui.shows("Pause: done")

    drive(run, script)
    with RunReader(run.paths.run_db) as reader:
        event = reader.last_event("paused")
    assert event is not None and event.origin == "terminal"
