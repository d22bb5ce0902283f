"""The training loop.

One step (`vsrpp.training.step`), then the controller. Between two steps lies the boundary, the only place where anything
else happens: rows, validation, checkpoint, then what people asked for (`vsrpp.training.boundary`).
"""

from __future__ import annotations

import math
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vsrpp.checkpoints.snapshot import Snapshot
from vsrpp.control.numbers import LIMITS
from vsrpp.controller.controller import Outcome
from vsrpp.distributed.process_group import of_the_whole
from vsrpp.store import Event
from vsrpp.training.activity import adamw_momentum
from vsrpp.training.boundary import Boundary
from vsrpp.training.cadence import row_due
from vsrpp.training.lead import Lead
from vsrpp.training.live_config import LiveControl
from vsrpp.training.progress import score
from vsrpp.training.recorder import Recorder
from vsrpp.training.start import Prepared, spent_before
from vsrpp.training.state import TrainingState
from vsrpp.training.step import Stepped, Stepper
from vsrpp.training.system import SystemSampler
from vsrpp.training.throughput import Pace
from vsrpp.training.validation import Validator


@dataclass(frozen=True, slots=True)
class Progress:
    """What the progress line shows."""

    step: int
    max_steps: int
    loss: float
    lr: float
    steps_per_s: float
    phase: str
    state: str
    psnr_y: float | None
    bicubic_psnr_y: float | None
    eta_s: float | None


class Trainer:
    """One run, led from this process, which may be rank 0 of several. Call `train` once."""

    def __init__(
        self, run: Prepared, *, on_event: Callable[[Event], None] = lambda _: None,
        on_progress: Callable[[Progress], None] = lambda _: None,
        watch: Callable[[], list[tuple[str, dict[str, Any]]]] = list,
        stop_at: int | None = None,
    ) -> None:  # fmt: skip
        self.run = run
        self.config = run.run_config
        self.recorder = Recorder(run.writer, on_event, watch)
        self.recorder.branch = run.branch
        self.recorder.revision = run.history.revision
        self.control = LiveControl(
            run.paths, run.writer, self.config, run.history, self.recorder.emit, lambda: self.recorder.step
        )
        self.state = TrainingState(self.config, run.device, fresh=run.snapshot is None)
        self.lead = Lead(run.group)
        self.validator = Validator(
            run.data.val, int(self.config["scale"]), run.device, self.config["precision"], run.group
        )  # fmt: skip
        self.system = SystemSampler(run.device)
        self.pace = Pace(spent_before(run.writer))
        self.stepper = Stepper(run, self.state, self.pace)
        self.signal: str | None = None
        """SIGTERM or SIGINT once it came; the boundary acts on it."""
        self.last: dict[str, float] = {}
        """The newest values of the step's metrics."""
        self.last_val: dict[str, float] = {}
        self.phase = self.state.controller.phase
        self.stop_at = stop_at
        self._on_progress = on_progress
        if run.snapshot is not None:
            self.state.restore(run.snapshot)
        self.recorder.step = self.state.step
        self.pace.forget_step(self.state.step)
        self.boundary = Boundary(self)

    @property
    def live(self) -> dict[str, Any]:
        return self.control.live

    # ---- the loop
    def train(self) -> str:
        """Train to the end or until told to stop.

        Returns the final state: `finished`, `stopped`, `SIGTERM`, or `replayed` at `stop_at`.
        Raises VsrppError when the run fails; whatever ends it is on record first.
        """
        self._catch_signals()
        if self.run.group.pulse is not None:
            self.run.group.pulse.doing = lambda: (self.state.step, self.pace.part)
        try:
            self.lead.restore(lambda: self.state.capture(self.live))
            self.boundary.open()
            while True:
                if self.state.step == self.stop_at:
                    self.lead.end("replayed")
                    return "replayed"
                self.boundary.ask()
                if self.boundary.ended:
                    return self.boundary.ended
                if self.state.step >= self.live["max_steps"]:
                    ended = self.boundary.finish()
                    if ended:
                        return ended
                    continue
                self.one_step()
                self.boundary.after_step()
        except Exception as error:  # whatever ends a run is on record first
            raise self.boundary.fail(error) from error
        finally:
            self.abandon()

    def one_step(self) -> None:
        """One optimizer step under the config in force."""
        self.pace.step_begins()
        with self.pace.doing("compute"):
            made = self.stepper.take(self.live, watched=row_due(self.state.step + 1, self.live))
        self.recorder.step = self.state.step
        self.last = made.metrics
        self._note_finite(made)

    def decide(self, quality: float | None, sharpness: float | None) -> Outcome:
        """Let the controller see the step just made; its events go on record."""
        outcome = self.stepper.decide(self.last, self.live, quality=quality, sharpness=sharpness)
        self.phase = outcome.phase
        for event in outcome.events:
            self.recorder.emit(event.type, reason=event.reason, data={**event.data, "phase": outcome.phase})
        return outcome

    def _note_finite(self, made: Stepped) -> None:
        if not made.finite:
            self.recorder.emit("non_finite", data={"loss": made.loss, "grad_norm": made.grad_norm, "skipped": True})

    # ---- rows and speed
    def row(self, outcome: Outcome) -> None:
        """Write the row of this step if one is due: every rank gives its figures then."""
        if row_due(self.state.step, self.live):
            everyones = self.run.group.gathered(self._figures())
            self._write_row(outcome.metrics, of_the_whole(everyones))

    def last_row(self) -> None:
        """Write a row at this step though none is due, because the run ends here; of this rank alone."""
        self._write_row({}, self._figures())

    def _figures(self) -> dict[str, float]:
        """Speed, activity and system figures of this rank since the last row."""
        frames = int(self.config["batch_size"]) * int(self.config["num_frames"])
        speed = self.pace.row(self.state.step, frames)
        return {**speed, **self.stepper.activity.values(), **self.system.latest}

    def _write_row(self, decided: dict[str, float], figures: dict[str, float]) -> None:
        momentum = adamw_momentum(self.state.optimizer)
        self.recorder.row(
            {**self.last, **decided, **self._progress(), **figures, "optimizer/momentum": momentum,
             "run/branch": float(self.recorder.branch)}
        )  # fmt: skip

    def _progress(self) -> dict[str, float]:
        """`progress/*`: convergence, score, time to go, machine time and what it cost."""
        state, eta_s, spent_s = self.state, self._eta_s(), self.pace.spent_s
        norms = [row["grad_norm"] for row in state.recent]
        values = {
            **state.convergence.values(),
            **score(self.last_val, state.convergence.state(), norms, self.last["grad_clip"]),
            "progress/spent_s": spent_s,
        }
        if eta_s is not None:
            values["progress/eta_s"] = eta_s
        if self.config["cost_per_hour"] is not None:
            values["progress/cost"] = float(self.config["cost_per_hour"]) * spent_s / 3600
        return values

    def _eta_s(self) -> float | None:
        return self.pace.eta_s(self.state.step, self.live)

    def show(self, state: str, facts: dict[str, Any], *, now: bool = False) -> None:
        """Tell `status` and the progress line where the run stands."""
        steps_per_s, eta_s = 1.0 / self.pace.step_s if self.pace.step_s else 0.0, self._eta_s()
        said = {
            "state": state, "phase": self.phase, "steps_per_s": steps_per_s, "eta_s": eta_s,
            "spent_s": self.pace.spent_s, **{key: self.config[key] for key in LIMITS}, **facts,
        }  # fmt: skip
        self.recorder.say_state(said, now=now)
        self._on_progress(
            Progress(
                self.state.step, int(self.live["max_steps"]), self.last.get("loss/total", math.nan),
                self.last.get("lr", math.nan), steps_per_s, self.phase, state,
                self.last_val.get("val/psnr_y"), self.last_val.get("val/bicubic_psnr_y"), eta_s,
            )
        )  # fmt: skip

    def go_back(self, snapshot: Snapshot) -> None:
        """Take on an earlier state, data position included; so do all ranks."""
        self.lead.restore(lambda: snapshot)
        self.state.restore(snapshot)
        self.stepper.drop_batches()
        self.phase = self.state.controller.phase
        self.last = {}
        self.recorder.step = self.state.step
        self.pace.forget_step(self.state.step)

    # ---- ends
    def _catch_signals(self) -> None:
        def caught(number: int, _frame: Any) -> None:
            name = signal.Signals(number).name
            if self.signal is not None and name == "SIGINT":
                raise KeyboardInterrupt
            self.signal = name

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, caught)

    def abandon(self) -> None:
        """Let go of threads and files, without a word on the record."""
        self.lead.give_up(self.state.step, broken=False)
        self.stepper.drop_batches()
        self.system.close()
        self.boundary.close()
        self.control.close()
        self.run.writer.close()
        if self.run.lock is not None:
            self.run.lock.close()
