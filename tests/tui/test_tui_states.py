"""Every state of a run is distinguished in words as well as in colour; no content of a run crashes the screen."""

from __future__ import annotations

import math
import queue
from pathlib import Path

import pytest

from tests.support.delivering import delivered, lost, uploading
from tests.support.hostile import HOSTILE, WEBHOOK, assert_safe
from tests.support.tui_driving import Driven, drive
from tests.support.tui_fakes import FakeRun, half_way
from vsrpp.store import RunReader
from vsrpp.texts import Texts
from vsrpp.tracking.failures import KINDS as FAILURES
from vsrpp.tui.run_view import RunSnapshot
from vsrpp.tui.run_watcher import RunWatcher


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        ("finished", ["✔ finished", "vsrpp train --from"]), ("stopped", ["■ stopped", "vsrpp train --resume"]),
        ("failed", ["✖ failed", "disk on fire", "vsrpp train --resume"]),
    ],
)  # fmt: skip
def test_a_run_that_ended_says_how_and_what_to_do(tmp_path: Path, state: str, shown: list[str]) -> None:
    run = half_way(tmp_path / "runs" / "r1").end(state, {"error": "disk on fire"} if state == "failed" else {})

    async def script(ui: Driven) -> None:
        await ui.shows(*shown)
        assert "to go" not in ui.text

    drive(run, script)
    run.close()


def test_no_text_of_a_run_steers_the_terminal(tmp_path: Path) -> None:
    run = half_way(tmp_path / "runs" / "r1")
    run.edit({"max_lr": 1e-4}, reason=HOSTILE)
    run.end("failed", {"error": f"{HOSTILE} {WEBHOOK}"})

    async def script(ui: Driven) -> None:
        await ui.shows("\\x1b]0;title")
        for key in ("escape", "t", "m"):
            await ui.press(key)
            await ui.steady()
            assert_safe(ui.text, f"the screen after {key}")

    drive(run, script)
    run.close()


def test_a_run_whose_process_is_gone_is_dead(tmp_path: Path) -> None:
    run = half_way(tmp_path / "runs" / "r1")
    run.writer.set_state({"state": "training", "step": 1230, "process": {"host": "nowhere", "pid": 1, "started": 0}})

    async def script(ui: Driven) -> None:
        await ui.shows("✖ dead", "died without reporting an error", "--resume r1")

    drive(run, script)
    run.close()


def test_a_process_that_says_nothing_is_called_silent(tmp_path: Path) -> None:
    run = half_way(tmp_path / "runs" / "r1")
    with RunReader(run.paths.run_db) as reader:
        said = reader.state()
    run.writer.set_state(said, at=said.pop("time") - 7200)

    async def script(ui: Driven) -> None:
        await ui.shows("▲ silent", "No sign of life for 2 h 0")

    drive(run, script)
    run.close()


def test_a_paused_run_shows_no_time_to_go(run: FakeRun) -> None:
    run.state = "paused"

    async def script(ui: Driven) -> None:
        await ui.shows("‖ paused", "Paused at step 1230", "Go on")
        assert "to go" not in ui.text

    drive(run, script)


def test_a_plateau_and_a_probation_stand_in_the_header(run: FakeRun) -> None:
    run.event("plateau_detected", {"counter": 251}, reason="no improvement")

    async def script(ui: Driven) -> None:
        await ui.shows("! plateau")
        run.event("plateau_cleared", {}, reason="better")
        await ui.until(lambda: "! plateau" not in ui.text)
        run.probation = {"until_step": 1280, "revert_if": "loss > 2x", "revision": 2}
        await ui.shows("! on probation", "On probation until step 1280: reverts if loss > 2x or")

    drive(run, script)


def test_the_plateau_counter_is_marked_before_and_beyond_the_patience(run: FakeRun) -> None:
    async def script(ui: Driven) -> None:
        run.train(10, **{"plateau/counter": 210.0})
        await ui.shows("210/250 ! ")
        run.train(10, **{"plateau/counter": 260.0})
        await ui.shows("260/250 !! ")

    drive(run, script)


def test_a_backlog_is_shown_with_its_age(tmp_path: Path) -> None:
    run = half_way(tmp_path / "runs" / "r1")
    run.train(100)

    async def script(ui: Driven) -> None:
        await ui.shows("Delivery       !! slow ", "rows 580, files 0", "MLflow receives less than the run records")

    drive(run, script, size=(120, 40))
    run.close()


@pytest.mark.parametrize("kind", FAILURES)
@pytest.mark.parametrize(("lang", "size"), [("en", (80, 24)), ("de", (60, 20))])
def test_every_kind_of_trouble_with_delivery_is_told_apart(
    tmp_path: Path, kind: str, lang: str, size: tuple[int, int]
) -> None:
    run = half_way(tmp_path / "runs" / "r1")
    lost(run.paths, kind, "what the server said", for_s=245.0)

    async def script(ui: Driven) -> None:
        await ui.shows(f"!! {Texts(lang)(f'trouble.{kind}')}"[:11], " 4 min", "what the server said")
        assert len(ui.text.splitlines()) <= size[1]

    drive(run, script, size=size, lang=lang)
    run.close()


def test_an_upload_is_drawn_with_its_progress_and_goes_when_it_is_done(tmp_path: Path) -> None:
    run = half_way(tmp_path / "runs" / "r1")
    uploading(run.paths, "checkpoint 1200", 15 * 2**20, 60 * 2**20)

    async def script(ui: Driven) -> None:
        await ui.shows("Upload         checkpoint 1200 25 % ━━╺━━━━━━ 15.0/60.0 MiB")
        uploading(run.paths, "checkpoint 1200", 45 * 2**20, 60 * 2**20)
        await ui.shows("checkpoint 1200 75 % ━━━━━━╸━━ 45.0/60.0 MiB")
        delivered(run.paths)
        await ui.until(lambda: "Upload" not in ui.text, "the end of the upload")
        await ui.shows("✔ up to date")

    drive(run, script, size=(120, 40))
    run.close()


def test_an_end_that_mlflow_was_not_told_is_said_with_the_command_that_tells_it(tmp_path: Path) -> None:
    run = half_way(tmp_path / "runs" / "r1")
    run.end("finished").delivered()  # has the events but not the end state

    async def script(ui: Driven) -> None:
        await ui.shows("Delivery       ! end not reported", "vsrpp sync")
        delivered(run.paths)
        await ui.shows("✔ up to date", "vsrpp train --from")

    drive(run, script)
    run.close()


def test_values_that_are_not_numbers_are_shown_and_break_nothing(run: FakeRun) -> None:
    bad = {"loss/total": math.nan, "loss/l1": math.inf, "grad_norm": math.nan, "activity/forward.3": math.nan,
           "lr": math.nan, "optimizer/momentum": math.nan, "plateau/counter": math.nan}  # fmt: skip
    run.train(10, **bad)
    run.event("non_finite", {"loss": math.nan, "grad_norm": math.nan, "skipped": True})

    async def script(ui: Driven) -> None:
        await ui.shows(
            "✖ nan", "forward.3 | nan (EXTREME! Check training)", "loss or gradient not finite the step was skipped"
        )
        for key in "23451":
            await ui.press(key)
            await ui.pilot.pause(0.1)

    drive(run, script)


def test_a_run_that_has_only_just_begun_has_a_screen(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "runs" / "r1")

    async def script(ui: Driven) -> None:
        await ui.shows("step 0 of 3000", "no validation yet; v requests one", "no layer activity recorded yet")
        for key in ("2", "3", "4", "5", "b"):
            await ui.press(key)
            await ui.pilot.pause(0.1)
        await ui.shows("No checkpoint yet; c saves one.")
        await ui.press("enter")

    drive(run, script)
    run.close()


def test_a_record_that_cannot_be_read_is_said_and_looked_for_again(tmp_path: Path) -> None:
    run = half_way(tmp_path / "runs" / "r1")
    run.close()
    hidden = run.paths.run_db.with_name("hidden.db")
    run.paths.run_db.rename(hidden)
    seen: queue.Queue[object] = queue.Queue()
    watcher = RunWatcher(run.paths, seen.put, interval_s=0.02)
    watcher.start()
    assert "does not exist" in str(seen.get(timeout=120))
    hidden.rename(run.paths.run_db)
    while isinstance(look := seen.get(timeout=120), str):
        continue
    watcher.stop()
    assert isinstance(look, RunSnapshot) and look.step == 1230


def test_a_folder_that_is_gone_is_said_until_it_is_back(run: FakeRun) -> None:
    away = run.paths.root.with_name("away")

    async def script(ui: Driven) -> None:
        run.paths.root.rename(away)
        await ui.shows("The record cannot be read", "step 1230")
        away.rename(run.paths.root)
        await ui.until(lambda: "cannot be read" not in ui.text, "the folder back")

    drive(run, script)


def test_an_old_answer_does_not_hide_that_the_run_has_died(run: FakeRun) -> None:
    async def script(ui: Driven) -> None:
        await ui.press("c")
        await ui.shows("Checkpoint: done")
        run.end("failed", {"error": "disk on fire"})
        await ui.shows("✖ failed", "disk on fire", "--resume")
        await ui.until(lambda: "Checkpoint: done" not in ui.text)

    drive(run, script)


def test_checkpoints_of_a_branch_left_behind_are_not_offered(run: FakeRun) -> None:
    async def script(ui: Driven) -> None:
        await ui.press("b", "end", "enter")
        await ui.shows("Back to step 200")
        await ui.press("enter")
        await ui.shows("Rollback: done at step 200")
        run.train(1500)
        await ui.shows("step 1700")
        await ui.press("b")
        await ui.shows("1–1 of 1")

    drive(run, script)


def test_german_says_it_in_german_and_without_unicode_spells_umlauts_out(run: FakeRun) -> None:
    async def german(ui: Driven) -> None:
        await ui.shows("STREAM-ÜBERSICHT (Durchschnitt)", "● trainiert", "Schritt 1230 von 3000", "Rückwärts")
        await ui.press("enter")
        await ui.shows("LAUFZEIT-KONFIGURATION", "Höchste Lernrate")

    async def ascii_german(ui: Driven) -> None:
        await ui.shows("STREAM-UEBERSICHT (Durchschnitt)", "* trainiert", "Rueckwaerts")
        assert ui.text.isascii()
        for key in ("2", "3", "4", "5", "b"):
            await ui.press(key)
            await ui.pilot.pause(0.1)
            assert ui.text.isascii()

    drive(run, german, lang="de")
    drive(run, ascii_german, lang="de", unicode=False)


def test_an_unknown_language_is_refused() -> None:
    from vsrpp.tui.messages import TerminalTexts

    with pytest.raises(ValueError, match="not one of en, de"):
        TerminalTexts("fr")


def test_a_resize_draws_everything_anew(run: FakeRun) -> None:
    async def script(ui: Driven) -> None:
        for size in ((120, 40), (60, 20), (40, 10), (20, 5), (200, 60), (80, 24)):
            await ui.pilot.resize_terminal(*size)
            await ui.until(lambda width=size[0]: len(ui.text.splitlines()[1]) in range(width - 3, width + 1))
            assert all(len(row) <= size[0] for row in ui.text.splitlines())
        await ui.shows("Losses", "STREAM OVERVIEW", "q Quit")

    drive(run, script)
