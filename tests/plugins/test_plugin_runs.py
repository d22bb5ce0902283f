"""A run with a plug-in is a run like any other: steered live, rolled back, killed, resumed, and replayed bit for bit."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.support.plugins import EXTRAS, steered, write
from tests.support.processes import TrainingProcess, train_command
from tests.support.reasons import raises
from tests.support.runs import Steered, series
from tests.support.waiting import wait_until
from vsrpp import Run, control
from vsrpp.cli import main
from vsrpp.paths import RunPaths
from vsrpp.plugins import messages, registry
from vsrpp.training.replay import Original, replay
from vsrpp.training.resume import prepare_resume

WATCHED = EXTRAS.replace(
    "fft(pred, truth, *, fft_power):", "fft(pred, truth, *, fft_power):\n    SEEN.append(fft_power)"
)
NETWORK = {"network": "extras.py:TinyNet", "tiny_width": 4, "l1_weight": 0.4, "fft_weight": 0.2, "log_every": 1}


def seen_by(run: Steered) -> list[float]:
    """The values with which the loss function was called."""
    loaded = registry.source_of(run.context.run_config["plugins"][0]["sha256"])
    assert loaded is not None
    return list(registry.load(loaded).SEEN)


def test_a_live_value_reaches_the_function_at_the_next_step(here: Path, tiny_clip: Path) -> None:
    write(here, "SEEN = []\n" + WATCHED)
    run = steered(
        here, tiny_clip,
        {4: lambda r: r.edit(fft_power=2.0), 6: lambda r: r.edit(fft_weight=0.3, l1_weight=0.3),
         8: lambda r: r.edit(fft_power=2.5), 9: lambda r: r.edit(fft_weight=0.9)},
        **NETWORK,
    )  # fmt: skip
    tried = seen_by(run)
    assert tried == [1.0]  # before the run existed
    assert run.train() == "finished"
    assert seen_by(run)[1:] == [1.0] * 4 + [2.0] * 8
    weights = series(run.paths, "weight/fft")
    assert [weights[0, step] for step in (6, 7, 12)] == [0.2, 0.3, 0.3]
    answers = [run.answer(number) for number in range(4)]
    assert [answer.status for answer in answers] == ["applied", "applied", "refused", "refused"]
    assert [(error["key"], error["value"]) for error in answers[2].errors] == [("fft_power", 2.5)]
    assert answers[3].errors[0]["message"].startswith("the loss weights would sum to 1.6")
    share, loss, total = (series(run.paths, key)[0, 12] for key in ("share/fft", "loss/fft", "loss/total"))
    assert share == pytest.approx(0.3 * loss / total)


def test_a_rollback_a_kill_and_a_resume_change_no_bit(here: Path, tiny_clip: Path) -> None:
    write(here, "SEEN = []\n" + WATCHED)
    at = {
        3: lambda r: r.edit(fft_power=1.5),
        13: lambda r: r.ask("rollback", step=10),
        16: lambda r: r.edit(fft_power=0.5),
    }
    whole = steered(here, tiny_clip, dict(at), max_steps=30, **NETWORK)
    whole.train()
    run = steered(here, tiny_clip, dict(at), max_steps=30, **NETWORK)
    run.die_at(25)
    resumed = Steered.resumed(run.paths)
    assert resumed.train() == "finished"
    assert resumed.weights() == whole.weights()
    assert resumed.context.live["fft_power"] == 0.5
    verdict = replay(Original.of(run.paths), here / "replays")
    assert (verdict.identical, verdict.step) == (True, 30), verdict.first_difference


def test_changed_code_is_refused_by_resume_and_replay_and_recorded_if_allowed(here: Path, tiny_clip: Path) -> None:
    file = write(here)
    run = steered(here, tiny_clip, {12: lambda r: r.ask("stop")}, max_steps=30, **NETWORK)
    assert run.train() == "stopped"
    file.write_text(file.read_text().replace("* 0.01", "* 0.02"))
    line = next(number for number, line in enumerate(file.read_text().splitlines(), 1) if "* 0.02" in line)
    with raises(messages.CHANGED, difference=f"extras.py, line {line} differs"):
        prepare_resume(run.paths, say=print)
    with raises(messages.CHANGED, source="extras.py"):
        replay(Original.of(run.paths), here / "replays")
    resumed = Steered(prepare_resume(run.paths, say=lambda _: None, allow_changed_code=True))
    assert resumed.train() == "finished"
    (restored,) = [event for event in control.history(run.paths) if event.type == "restored"]
    started = control.history(run.paths)[0]
    assert restored.data["plugins"][0]["sha256"] != started.data["run_config"]["plugins"][0]["sha256"]
    assert set(restored.data["plugin_sources"]) == {restored.data["plugins"][0]["sha256"]}


@pytest.mark.slow
def test_a_real_run_is_edited_killed_resumed_without_its_file_and_replayed(tmp_path: Path, tiny_clip: Path) -> None:
    file = write(tmp_path)
    words = train_command(tiny_clip, max_steps=1_000_000, validate_every=50_000, **NETWORK)
    with TrainingProcess(tmp_path, [*words, "--plugin", "extras.py"]) as process:
        run = RunPaths(process.run_dir())
        shown = ["--run-dir", str(run.root.parent)]
        assert main(["set", run.run_id, "fft_power=2", *shown]) == 0
        assert main(["set", run.run_id, "fft_power=3", *shown]) == 2
        values = json.loads(run.runtime_config.read_text())
        run.runtime_config.write_text(json.dumps({**values, "fft_weight": 0.3, "l1_weight": 0.3}))
        wait_until(lambda: control.status(run)["revision"] == 2)
        assert Run(run.root).set({"fft_power": 0.5}).status == "applied"
        saved = control.checkpoint_steps(run)
        wait_until(lambda: control.checkpoint_steps(run)[-1:] > saved[-1:], what="a checkpoint under the last revision")
        os.killpg(process.process.pid, signal.SIGKILL)
        process.wait()
    file.unlink()
    with TrainingProcess(tmp_path, ["train", "--resume", "latest", "--no-panel", "--no-tensorboard"]) as process:
        wait_until(lambda: control.is_live(run), what="the resumed run")
        end = control.status(run)["step"] // 10 * 10 + 50
        wait_until(lambda: main(["set", run.run_id, f"max_steps={end}", *shown]) == 0)
        assert process.wait() == 0, process.output
    assert control.status(run)["config"]["fft_power"] == 0.5
    verdict = replay(Original.of(run), tmp_path / "replays")
    assert (verdict.identical, verdict.step) == (True, end), verdict.first_difference
