"""However a run ends, it leaves a checkpoint if its state is sound, and a resume goes on from there."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import TrainingProcess, train_command
from tests.support.runs import AlteredBatches, Steered
from tests.support.waiting import wait_until
from vsrpp import control
from vsrpp.checkpoints.files import load_checkpoint
from vsrpp.errors import START_AGAIN_SIGNALS, VsrppError
from vsrpp.paths import RunPaths
from vsrpp.store import RunReader


@pytest.fixture
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *START_AGAIN_SIGNALS)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", sorted(START_AGAIN_SIGNALS))
def test_each_signal_that_asks_for_a_restart_ends_the_run_alike(
    tmp_path: Path, tiny_clip: Path, handlers: None, number: signal.Signals
) -> None:
    run = Steered.new(tmp_path, tiny_clip, {4: lambda _: os.kill(os.getpid(), number)})
    assert run.train() == "SIGTERM"
    assert run.types()[-2:] == ["checkpoint_saved", "stopped"]
    assert run.events[-1].data["why"] == number.name


def test_nohup_keeps_a_closed_terminal_from_ending_the_run(tmp_path: Path, tiny_clip: Path, handlers: None) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    run = Steered.new(tmp_path, tiny_clip, {4: lambda _: os.kill(os.getpid(), signal.SIGHUP)})
    assert run.train() == "finished"


def test_a_closed_terminal_ends_with_a_checkpoint_and_75(tmp_path: Path, tiny_clip: Path) -> None:
    with TrainingProcess(tmp_path, train_command(tiny_clip, max_steps=100_000, num_workers=1)) as training:
        paths = RunPaths(training.run_dir())
        with RunReader(paths.run_db) as reader:
            wait_until(lambda: reader.state().get("step", 0) > 3, 240, "steps")
            training.signal_all(signal.SIGHUP)  # workers too
            assert training.wait() == 75, training.output
            stopped = reader.last_event("stopped")
    assert stopped is not None and stopped.data["why"] == "SIGHUP"
    assert stopped.step in control.status(paths)["checkpoints"]


def test_a_failure_between_two_steps_leaves_a_checkpoint_that_resumes_to_the_same_bits(
    tmp_path: Path, tiny_clip: Path
) -> None:
    whole = Steered.new(tmp_path / "whole", tiny_clip)
    whole.train()
    run = Steered.new(tmp_path / "run", tiny_clip)
    failing(run, 7, OSError("a frame cannot be read"))
    with pytest.raises(VsrppError, match="a frame cannot be read") as failure:
        run.train()
    assert failure.value.exit_code == 1
    assert run.types()[-2:] == ["checkpoint_saved", "failed"]
    assert (run.events[-2].step, run.events[-2].data["reason"]) == (6, "failed")
    resumed = Steered.resumed(run.paths)
    assert resumed.train() == "finished"
    assert resumed.weights() == whole.weights()


def test_a_failure_within_a_step_leaves_no_checkpoint_of_half_a_step(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip)
    AlteredBatches(run.context, lambda step, lr, truth: (lr, truth if step < 7 else truth[..., :-1]))
    with pytest.raises(VsrppError, match="the run failed at step 6"):
        run.train()
    assert "checkpoint_saved" not in run.types()


def failing(run: Steered, step: int, error: Exception) -> None:
    """Make the batch of a step fail."""

    def alter(at: int, lr: Any, truth: Any) -> Any:
        if at == step:
            raise error
        return lr, truth

    AlteredBatches(run.context, alter)


@pytest.mark.parametrize("within", ["a validation that is due", "the last step's"])
def test_a_failed_validation_leaves_a_checkpoint_that_resumes_to_the_same_bits(
    tmp_path: Path, tiny_clip: Path, within: str
) -> None:
    steps = 10 if within == "the last step's" else 14
    whole = Steered.new(tmp_path / "whole", tiny_clip, max_steps=steps)
    whole.train()
    run = Steered.new(tmp_path / "run", tiny_clip, max_steps=steps)

    def fail(*_: Any, **__: Any) -> Any:
        raise ValueError("a metric failed")

    run.context.validator.run = fail
    with pytest.raises(VsrppError, match="a metric failed") as failure:
        run.train()
    assert failure.value.exit_code == 1
    assert run.types()[-2:] == ["checkpoint_saved", "failed"] and run.events[-2].step == 10
    resumed = Steered.resumed(run.paths)
    assert resumed.train() == "finished"
    assert resumed.weights() == whole.weights()
    ends = [load_checkpoint(ended.paths.checkpoint(steps))[0].rest for ended in (whole, run)]
    assert ends[0]["controller"] == ends[1]["controller"] and "unfinished" not in ends[1]
    assert control.verify(run.paths).ok


def test_a_killed_data_worker_leaves_a_checkpoint(tmp_path: Path, tiny_clip: Path) -> None:
    def kill_one(_: Steered) -> None:
        os.kill(multiprocessing.active_children()[0].pid or 0, signal.SIGKILL)

    run = Steered.new(tmp_path, tiny_clip, {5: kill_one}, num_workers=1, max_steps=100_000)
    with pytest.raises(VsrppError, match="worker") as failure:
        run.train()
    assert failure.value.exit_code == 1
    assert run.types()[-2:] == ["checkpoint_saved", "failed"]
    assert run.events[-2].data["reason"] == "failed" and run.events[-2].step == run.events[-1].step
