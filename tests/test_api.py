"""`from vsrpp import Run` on real runs: a trainer in this thread, a person's script in another."""

from __future__ import annotations

import runpy
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import vsrpp
from tests.support.processes import ROOT
from tests.support.reasons import raises
from tests.support.runs import open_in_process, train
from tests.support.waiting import wait_until
from vsrpp import Run, control
from vsrpp.config.messages import CONFIG_REFUSED, FOREIGN_FILE
from vsrpp.errors import NotFound, NotLive, Reason, Refused, TimedOut, VsrppError

LONG = {
    "max_steps": 1_000_000, "validate_every": 100_000, "checkpoint_every": 100_000, "log_every": 5, "keep_last": 1,
    "adaptive": False,
}  # fmt: skip


def while_it_trains(runs: Path, data: Path, script: Callable[[Run], Any], **sets: Any) -> Run:
    """Train here until `script`, in a separate thread, has finished; its exception is raised here."""
    prepared, context = open_in_process(runs, data, **{**LONG, **sets})
    run, raised = Run(prepared.paths.root), []

    def play() -> None:
        wait_until(lambda: control.is_live(run.paths), what="the run")
        try:
            script(run)
        except BaseException as error:  # noqa: BLE001 - carried to the test's thread
            raised.append(error)
        finally:
            if control.is_live(run.paths):
                run.stop(wait_s=240)

    thread = threading.Thread(target=play)
    thread.start()
    train(context)
    thread.join(300)
    for error in raised:
        raise error
    return run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    from tests.support.clips import tiny_clip

    runs = tmp_path_factory.mktemp("finished")
    prepared, context = open_in_process(runs, tiny_clip(runs))
    train(context)
    return Run(prepared.paths.root)


# ---- looking
def test_latest_names_the_newest_run_and_a_wrong_name_says_what_there_is(finished: Run, tmp_path: Path) -> None:
    runs = finished.paths.root.parent
    assert Run("latest", runs=runs).run_id == finished.run_id == Run(finished.run_id[:8], runs=runs).run_id
    with pytest.raises(NotFound, match=f"newest {finished.run_id}"):
        Run("nothing_like_it", runs=runs)
    with pytest.raises(NotFound, match="No run in"):
        Run(runs=tmp_path)


def test_a_finished_run_shows_status_config_history_and_metrics(finished: Run) -> None:
    assert finished.status().state == "finished"
    assert finished.config()["max_lr"] == 1e-3
    assert finished.history()[-1].type == "finished"
    assert [event.step for event in finished.history("validated")] == [10, 12]
    assert [row.step for row in finished.metrics("loss/total")] == [2, 4, 6, 8, 10, 12]
    assert finished.metrics("no/such") == []
    assert finished.preview(max_lr=5e-4).changes[0]["new"] == 5e-4


def test_nobody_takes_an_edit_of_a_finished_run_and_the_error_names_the_way_on(finished: Run) -> None:
    with pytest.raises(NotLive, match=f"vsrpp train --from {finished.run_id}"):
        finished.set(max_lr=5e-4)
    with pytest.raises(NotLive, match="never reached 99"):
        finished.wait_for(99)
    assert finished.wait_for(12) is None
    assert finished.wait_for("finished").step == 12
    with pytest.raises(NotLive, match="ended without config_applied"):
        finished.wait_for("config_applied")
    assert [event.type for event in finished.follow("started", after_seq=0)] == ["started"]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda run: run.set(), "Nothing to set"),
        (lambda run: run.set([1]), "an object of keys and values"),
        (lambda run: run.set({"max_lr": 1e-4}, max_lr=2e-4), "set twice"),
        (lambda run: run.set(max_lr=1e-4, revert_if="loss > 2x"), "needs probation"),
        (lambda run: run.set(max_lr=1e-4, probation=5, revert_if=3), "expected a form like"),
        (lambda run: run.set(max_lr={1, 2}), "cannot be written as JSON"),
        (lambda run: run.set(max_lr="x" * 70_000), "larger than 64 KiB"),
        (lambda run: run.set(max_lr=1e-4, author=7), "author"),
        (lambda run: run.set(max_lr=1e-4, base_revision="newest"), "base revision"),
        (lambda run: run.set(max_lr=1e-4, base_revision=2**70), "base revision"),
        (lambda run: run.rollback(), "give one of them"),
        (lambda run: run.rollback(10, revision=1), "give one of them"),
        (lambda run: run.wait_for("valdated"), "not an event type"),
    ],
)
def test_what_is_no_edit_at_all_never_reaches_the_run(finished: Run, call: Callable[[Run], Any], words: str) -> None:
    with pytest.raises(Refused, match=words):
        call(finished)


def test_importing_the_package_alone_loads_no_api(tmp_path: Path) -> None:
    code = "import sys, vsrpp; print(sorted(name for name in sys.modules if name.startswith('vsrpp')))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['vsrpp']"


# ---- steering
def test_a_script_edits_pauses_validates_saves_and_goes_back(tmp_path: Path, tiny_clip: Path) -> None:
    seen: dict[str, Any] = {}

    def script(run: Run) -> None:
        run.wait_for(3)
        seen["applied"] = run.set(max_lr=np.float64(5e-4), reason="a test", author="anna").check()
        seen["refused"] = run.set({"max_lr": 0.5})
        seen["stale"] = run.set(max_lr=4e-4, base_revision=0)
        seen["pause"] = run.pause()
        seen["paused"] = run.status().state
        seen["checkpoint"] = run.checkpoint()
        seen["validate"] = run.validate()
        seen["resume"] = run.resume()
        run.wait_for(seen["checkpoint"].step + 5)
        seen["edit"] = run.set(grad_clip=0.5)
        seen["nearest"] = run.rollback(999_999)
        seen["rollback"] = run.rollback(seen["checkpoint"].step)
        seen["config"] = run.config()

    run = while_it_trains(tmp_path, tiny_clip, script)
    assert (seen["applied"].status, seen["applied"].revision) == ("applied", 1)
    assert seen["applied"].changes == [{"key": "max_lr", "old": 1e-3, "new": 5e-4}]
    (edit,) = [e for e in run.history("config_applied") if e.revision == 1]
    assert (edit.origin, edit.author, edit.reason) == ("api", "anna", "a test")
    assert seen["refused"].status == "refused"
    assert "must be between 1e-05 and 0.001" in seen["refused"].message
    with pytest.raises(Refused, match="Still at revision 1"):
        seen["refused"].check()
    assert "stale: made on revision 0, but anna (api) set it" in seen["stale"].message
    assert seen["paused"] == "paused"
    held = {seen[name].step for name in ("pause", "checkpoint", "validate", "resume")}
    assert len(held) == 1  # no step passes while it is paused
    assert f"the nearest is step {held.pop()}" in seen["nearest"].message
    assert (seen["rollback"].branch, seen["rollback"].revision) == (1, 3)
    assert seen["config"]["grad_clip"] == 1.0
    assert [e.origin for e in run.history("paused", "resumed", "stopped")] == ["api"] * 3
    assert control.verify(run.paths).ok
    here = {row.branch for row in run.metrics("loss/total") if row.step > seen["rollback"].step}
    assert here <= {1}
    assert len(run.metrics("loss/total", left_behind=True)) > len(run.metrics("loss/total"))


def test_a_script_puts_an_edit_on_probation_and_waits_for_the_verdict(tmp_path: Path, tiny_clip: Path) -> None:
    seen: dict[str, Any] = {}

    def script(run: Run) -> None:
        run.wait_for(3)
        seen["wrong"] = run.set(max_lr=2e-4, probation=0)
        seen["kept"] = run.set(max_lr=2e-4, probation=3, revert_if="loss > 1000x").check()
        seen["confirmed"] = run.wait_for("config_confirmed")
        seen["undone"] = run.set(max_lr=9e-4, probation=5, revert_if="loss > 0.0001x").check()
        seen["reverted"] = run.wait_for("config_reverted")
        seen["config"] = run.config()
        with pytest.raises(TimedOut):
            run.wait_for("plateau_detected", timeout_s=0.2)

    while_it_trains(tmp_path, tiny_clip, script)
    assert "whole number of steps" in seen["wrong"].message
    assert seen["confirmed"].step == seen["kept"].step + 3
    assert seen["reverted"].data["to_step"] == seen["undone"].step
    assert seen["config"]["max_lr"] == 2e-4


def test_an_answer_that_does_not_come_in_time_is_pending_and_check_says_so(tmp_path: Path, tiny_clip: Path) -> None:
    prepared, context = open_in_process(tmp_path, tiny_clip)  # live, but nothing processes its inbox
    prepared.writer.set_state({"state": "training", "step": 0, "process": control.process_identity()})
    run = Run(prepared.paths.root)
    answers = [run.set(max_lr=5e-4, wait_s=wait_s) for wait_s in (0.0, float("nan"))]
    context.ending.close()
    for answer in answers:
        assert answer.status == "pending"
        with pytest.raises(TimedOut, match="still pending"):
            answer.check()


@pytest.mark.parametrize("wrong", ["soon", float("inf"), float("nan"), None, [1], {"a": 1}, True, 10**30, "best"])
def test_a_rollback_to_nothing_sensible_is_refused_and_training_goes_on(tmp_path: Path, tiny_clip: Path, wrong) -> None:
    answers: list[Any] = []

    def script(run: Run) -> None:
        run.checkpoint()
        answers.append(control.command(run.paths, "rollback", {"step": wrong}, origin="api"))
        answers.append(
            control.command(run.paths, "rollback", {"revision": "x" if wrong is None else wrong}, origin="api")
        )
        run.wait_for(run.status().step + 3)

    run = while_it_trains(tmp_path, tiny_clip, script)
    assert {answer.status for answer in answers} == {"refused"}
    assert [event.type for event in run.history()][-1] == "stopped"


# ---- the example
def test_the_example_halves_the_rate_on_probation_when_validation_worsens(
    tmp_path: Path, tiny_clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example = runpy.run_path(str(ROOT / "examples" / "halve_rate_when_worse.py"))
    seen: list[Any] = []

    def script(run: Run) -> None:
        for answer in example["steer"](run, worse_by=-100.0, probation=4, revert_if="loss > 1000x"):
            seen.append(answer)
            if len(seen) == 2:
                break

    run = while_it_trains(tmp_path, tiny_clip, script, validate_every=10)
    assert [answer.status for answer in seen] == ["applied", "applied"]
    rates = [c["new"] for e in run.history("config_applied") for c in e.data["changes"]]
    assert rates == [5e-4, 2.5e-4]
    assert all(e.data["probation"]["steps"] == 4 for e in run.history("config_applied"))
    assert "worse" in run.history("config_applied")[0].reason


def test_the_example_prints_its_usage(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "halve_rate_when_worse.py", "--help"], cwd=tmp_path, capture_output=True,
        text=True, env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}, check=True,
    )  # fmt: skip
    assert "probation" in done.stdout


def test_the_errors_are_all_of_one_family() -> None:
    assert all(issubclass(error, VsrppError) for error in (NotFound, NotLive, Refused, TimedOut))


# ---- typed reading
def test_a_run_is_read_as_typed_rows_and_as_a_frame(finished: Run) -> None:
    (row,) = [row for row in Run.list(finished.paths.root.parent) if row.run_id == finished.run_id]
    assert (row.state, row.step, Path(row.run_dir)) == ("finished", 12, finished.paths.root)
    view = finished.status()
    assert (view.state, view.step, view.to_json()["step"]) == ("finished", 12, 12)
    best = finished.best()
    assert best is not None and best.key == "val/psnr_y" and best.to_json() == view.best
    assert best.step in [saved.step for saved in finished.checkpoints()]
    assert finished.best("ssim_y").key == "val/ssim_y"
    with pytest.raises(Refused, match="must be one of"):
        finished.best("loudness")
    assert {"loss/total", "val/psnr_y", "lr"} <= set(finished.keys())
    frame = finished.frame("loss/total", "val/psnr_y")
    assert list(frame.columns) == ["loss/total", "val/psnr_y"] and frame.index.name == "step"
    assert frame["loss/total"].dropna().index.tolist() == [2, 4, 6, 8, 10, 12]
    assert (
        np.isnan(frame.loc[2, "val/psnr_y"]) and frame.loc[10, "val/psnr_y"] == finished.metrics("val/psnr_y")[0].value
    )


def test_a_notebook_shows_a_run_with_what_people_wrote_escaped(finished: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    html = finished._repr_html_()
    assert finished.run_id in html and "finished" in html and "12 of 12" in html
    view = finished.status()
    monkeypatch.setattr(Run, "status", lambda run: replace(view, name="<script>"))
    assert "&lt;script&gt;" in finished._repr_html_() and "<script>" not in finished._repr_html_()


def _trainings() -> list[psutil.Process]:
    """The training processes that this process has started, including zombies."""

    def trains(child: psutil.Process) -> bool:
        try:
            return child.status() == psutil.STATUS_ZOMBIE or "train" in child.cmdline()
        except psutil.ZombieProcess:
            return True
        except psutil.NoSuchProcess:
            return False

    return [child for child in psutil.Process().children() if trains(child)]


@pytest.mark.slow
def test_a_training_is_started_from_python_and_steered(tmp_path: Path) -> None:
    from tests.support.clips import tiny_clip

    config = {"preset": "demo", "data": str(tiny_clip(tmp_path)), "n_feats": 4, "n_blocks": 1, "num_frames": 2,
              "crop_size": 16, "batch_size": 1, **LONG, "max_steps": 100_000}  # fmt: skip
    (tmp_path / "runs/being_created").mkdir(parents=True)
    (tmp_path / "runs/being_created/run.db").touch()
    run = vsrpp.train(config, runs=tmp_path / "runs")
    try:
        answer = run.set({"max_lr": 2e-4}, reason="from a notebook")
        assert answer.check().status == "applied" and run.config()["max_lr"] == 2e-4
        assert run.stop().status == "done"
        wait_until(lambda: run.status().ended, what="its end")
        wait_until(lambda: not _trainings(), what="the end of its process, which is no zombie")
    finally:
        for process in _trainings():
            process.kill()
    assert run.status().state == "stopped" and "Config Update" in (run.paths.root / "train.log").read_text()


@pytest.mark.parametrize(
    ("config", "reason"),
    [({"max_lr": 7.0}, CONFIG_REFUSED), ("mmagic.py", FOREIGN_FILE)],
    ids=["a value", "a file"],
)
def test_what_a_training_refuses_is_raised_with_its_sentence_and_reason(
    config: dict[str, float] | str, reason: Reason, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mmagic.py").write_text("_base_ = []\n")
    with raises(reason) as raised:
        vsrpp.train(config, data="sample", runs=tmp_path / "runs")
    assert ("max_lr = 7.0 refused" if isinstance(config, dict) else "mmagic.py") in str(raised.value)
    assert list((tmp_path / "runs").iterdir()) == []
