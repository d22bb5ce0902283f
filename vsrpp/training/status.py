"""The run's current state, for `status`, the panel and the progress line."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vsrpp.control import process_identity
from vsrpp.control.numbers import LIMITS
from vsrpp.documents import WaitingDocument
from vsrpp.training.context import RunContext
from vsrpp.training.live_config import LiveConfig
from vsrpp.training.recorder import RunRecorder
from vsrpp.training.throttle import Throttle


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """The contents of the progress line."""

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
    waiting: str = ""
    """Why the run waits, in state `waiting`."""


class RunStatus:
    """Publishes the run's state in the store. Used on rank 0 only."""

    def __init__(
        self, run: RunContext, recorder: RunRecorder, live_config: LiveConfig,
        on_progress: Callable[[TrainingProgress], None],
    ) -> None:  # fmt: skip
        self.paused = False
        self.probation: dict[str, Any] | None = None
        """The edit on probation: until which step, and what reverts it."""
        self.waiting: WaitingDocument | None = None
        """Why the run waits, while what it promises cannot be written."""
        self._run = run
        self._recorder = recorder
        self._live_config = live_config
        self._on_progress = on_progress
        self._process = process_identity()
        self._written = Throttle(0.5)
        self._aside = False
        """Whether the state stands in `trainer_state`."""

    def show(self, state: str | None = None, *, now: bool = False) -> None:
        """Update the progress line and, twice a second or if `now`, also the state in the store."""
        run, live = self._run, self._live_config.live
        step, phase, throughput = run.state.step, run.state.controller.phase, run.throughput
        waiting = self.waiting
        state = "waiting" if waiting else state or ("paused" if self.paused else "training")
        steps_per_s = 1.0 / throughput.step_s if throughput.step_s else 0.0
        eta_s = throughput.eta_s(step, live)
        if self._written.due() or now:
            self._publish({
                "state": state, "phase": phase, "steps_per_s": steps_per_s, "eta_s": eta_s,
                "spent_s": throughput.spent_s, **{key: run.run_config[key] for key in LIMITS},
                **({"probation": self.probation} if self.probation else {}),
                **({"waiting": waiting} if waiting else {}), "step": step,
                "branch": self._recorder.branch, "revision": self._recorder.revision, "process": self._process,
            })  # fmt: skip
        last_val = run.scores.figures if run.scores else {}
        self._on_progress(
            TrainingProgress(
                step, int(live["max_steps"]), run.metrics.get("loss/total", math.nan), run.metrics.get("lr", math.nan),
                steps_per_s, phase, state, last_val.get("val/psnr_y"), last_val.get("val/bicubic_psnr_y"), eta_s,
                waiting["why"] if waiting else "",
            )
        )  # fmt: skip

    def ended_unsaved(self, state: str, why: str) -> None:
        """Publish the end of a run whose record cannot say it."""
        data = {"state": state, "ended_because": why}
        run = self._run
        self._recorder.writer.set_state_aside({
            **data, "step": run.state.step, "phase": run.state.controller.phase, "process": self._process,
            "branch": self._recorder.branch, "revision": self._recorder.revision,
        })  # fmt: skip

    def _publish(self, data: dict[str, Any]) -> None:
        """In the store; beside it while that waits to be written, until it is written again."""
        writer = self._recorder.writer
        if self.waiting:
            self._aside = writer.set_state_aside(data) or self._aside
        elif writer.set_state(data):
            self._aside = self._aside and not writer.set_state_aside(None)
        elif self._aside:
            writer.set_state_aside(data)
