"""The training loop. Every rank runs it; rank 0 also records, and decides what happens between two steps.

A step: batch → forward → losses → backward → clip → optimizer → EMA (`step`), then a validation if one is due, the adaptive
controller, the row, the checkpoint. Everything else happens at the boundary between two steps: rank 0 handles commands
(`commands`) and broadcasts each decision as a `Turn`, which all ranks carry out.
"""

from __future__ import annotations

from dataclasses import asdict

from vsrpp.training.cadence import row_due, validation_due
from vsrpp.training.context import RunContext
from vsrpp.training.step import StepResult, observe


def train(run: RunContext) -> str:
    """Train until the end or until stopped; returns `finished`, `stopped`, `SIGTERM` or `replayed`.

    Raises VsrppError if the run fails, after recording the cause.
    """
    run.ending.begin()
    try:
        ending = between_steps(run, None)
        while ending is None:
            ending = between_steps(run, one_step(run))
        return ending
    except Exception as error:
        raise run.ending.failed(error) from error
    finally:
        run.ending.close()


def one_step(run: RunContext) -> StepResult:
    """One optimizer step under the config in force, with its validation, controller decision, row and checkpoint."""
    if run.state.unfinished is not None:  # the checkpoint this process resumed from was written in the middle of it
        result = StepResult(**run.state.unfinished)
        run.metrics = result.metrics
    else:
        result = _optimizer_step(run)
    _complete(run, result)
    return result


def _optimizer_step(run: RunContext) -> StepResult:
    live = run.live
    run.throughput.step_begins()
    with run.throughput.doing("compute"):
        batch = run.batches.next()  # waits for the data loader
        run.between_steps = False
        result = run.train_step(batch, live, watched=row_due(run.state.step + 1, live))  # waits for device and ranks
    run.metrics = result.metrics
    run.recorder.step_made(result)
    return result


def _complete(run: RunContext, result: StepResult) -> None:
    """What follows an optimizer step: a validation that is due, the controller's decision, the row, the checkpoint."""
    state, live, step = run.state, run.live, run.state.step
    requested = state.asked_quality
    if validation_due(step, live):
        state.unfinished, run.between_steps = asdict(result), True  # a failure here leaves a state to resume from
        scores = run.validate(pictures=True)
        run.recorder.validated(scores)
        run.status.show(now=True)
        requested = scores.quality, scores.sharpness
    state.unfinished, run.between_steps, state.asked_quality = None, False, None
    outcome = observe(state, result, live, requested)  # same numbers on every rank, so the same decision
    run.recorder.decided(outcome)
    if row_due(step, live):
        run.recorder.step_row(outcome, run.group.gather(run.figures()))
    run.between_steps = True
    run.checkpoints.save_if_due()


def between_steps(run: RunContext, result: StepResult | None) -> str | None:
    """Carry out rank 0's turns at this boundary; returns how the run ended, or None to make the next step.

    `result`: the step just made; None before the first one of this process.
    """
    after_step = result is not None
    if not run.turn_due(after_step=after_step):
        run.status.show()
        run.checkpoints.collect()
        return None
    run.next_turn, ending = 0, None  # all ranks meet at this boundary
    for turn in run.commands.turns(after_step=after_step):
        run.live, ending = turn.live, turn.stop
        if turn.go_back_to is not None:
            run.take_on(turn.go_back_to)
        if turn.bad_frames is not None:
            run.batches.now_bad(turn.bad_frames)
        if turn.validate is not None:
            run.validate(pictures=turn.validate == "on record")
        if turn.steps_until is not None:
            run.next_turn, run.state.asked_quality = turn.steps_until, turn.asked_quality
    return ending
