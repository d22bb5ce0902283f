"""Records events and metric rows; during a resume, existing records are not written again."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from vsrpp import control
from vsrpp.control.lineage import SEGMENT_EVENTS
from vsrpp.controller.controller import Outcome
from vsrpp.distributed.process_group import of_the_whole
from vsrpp.store import Command, Event, FrameFigures, RunWriter
from vsrpp.training.activity import adam_momentum
from vsrpp.training.bad_samples import BadSamples
from vsrpp.training.context import RunContext
from vsrpp.training.findings import RECOVERED, TYPES, findings
from vsrpp.training.progress import score
from vsrpp.training.step import StepResult
from vsrpp.training.throttle import Throttle
from vsrpp.training.validation import Scores

_LINE = ("validated", *SEGMENT_EVENTS)
_ONCE_A_STEP = frozenset(
    {
        "plateau_detected",
        "plateau_cleared",
        "safety_reset",
        "lr_floor",
        "phase_changed",
        "validated",
        "checkpoint_saved",
        "non_finite",
        *TYPES,
        RECOVERED,
    }
)
"""Events that follow from recorded ones: a resume produces them again, and they are not written twice."""


class RunRecorder:
    """Appends events and rows at the current step, branch and revision. Used on rank 0 only."""

    def __init__(
        self, run: RunContext, writer: RunWriter, *, branch: int, revision: int, on_event: Callable[[Event], None],
        watch: Callable[[], list[tuple[str, dict[str, Any]]]], frame_figures: FrameFigures,
    ) -> None:  # fmt: skip
        """`on_event` is called with each event once it is on disk.

        `watch` returns (type, data) of events outside the loop; it is called once a second and must not block.
        """
        self.writer = writer
        self.bad_samples = BadSamples(run, self.emit)
        self.branch = branch
        self.revision = revision
        self._run = run
        self._watch = watch
        self._on_event = on_event
        self._frame_figures = frame_figures
        self._untold: deque[Event] = deque()
        """Events that `on_event` has not been called with."""
        self._known: set[tuple[str, int, int, str]] = set()
        self.line = control.lineage(writer.events(types=_LINE), keep_events=False)
        """The current line, kept up to date; without its checkpoints, of which those on disk matter here."""
        self._sidecar_look = Throttle(1.0)

    @property
    def step(self) -> int:
        return self._run.state.step

    def walk_again(self, events: Iterable[Event]) -> None:
        """Mark events that are on record and will be produced again, so that they are not written twice."""
        self._known = {_identity(event.type, event.step, event.branch, event.data) for event in events}

    def emit(
        self, type: str, *, step: int | None = None, branch: int | None = None, revision: int | None = None,
        origin: str | None = None, author: str | None = None, reason: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> Event | None:  # fmt: skip
        """Append an event; None if it is already on record from before a restart."""
        step = self.step if step is None else step
        branch = self.branch if branch is None else branch
        if type in _ONCE_A_STEP and _identity(type, step, branch, data or {}) in self._known:
            return None
        event = self.writer.append(
            type, step=step, branch=branch, revision=self.revision if revision is None else revision, origin=origin,
            author=author, reason=reason, data=data,
        )  # fmt: skip
        self.revision = event.revision
        if event.type in _LINE:
            self.line.add(event)
        self._untold.append(event)
        self._tell()
        return event

    def settle(self) -> str | None:
        """Try to write what could not be written before; returns why that is not possible now, else None."""
        for type, data in self._run.side_products.news():
            self.emit(type, data=data)
        why = self.writer.flush()
        self._tell()
        return why

    def _tell(self) -> None:
        while self._untold and self._untold[0].seq <= self.writer.durable_seq:
            self._on_event(self._untold.popleft())

    def row(self, values: Mapping[str, float], *, replace: bool = False) -> None:
        """Write metrics at the current step. Existing values stay, or with `replace` are replaced if they differ."""
        self.writer.record(self.step, self.branch, values, replace=replace)

    def look_at_sidecars(self) -> None:
        """Record events reported by sidecars and sinks: a lost server, a panel that could not start."""
        if self._sidecar_look.due():
            news: list[tuple[str, dict[str, Any]]] = []
            with contextlib.suppress(sqlite3.Error, OSError):  # delivery.db may be on the disk that is in trouble
                news = self._watch()
            for type, data in news:
                self.emit(type, data=data)

    # ---- results of a step
    def step_made(self, result: StepResult) -> None:
        if not result.finite:
            self.emit("non_finite", data={"loss": result.loss, "grad_norm": result.grad_norm, "skipped": True})

    def decided(self, outcome: Outcome) -> None:
        """Record the controller's events."""
        for event in outcome.events:
            self.emit(event.type, reason=event.reason, data={**event.data, "phase": outcome.phase})

    def validated(self, scores: Scores) -> None:
        """Record a scheduled validation, and what it says about the run's health."""
        self._note(scores)
        first = self._is_first(scores)
        self.emit("validated", data={**_validation(scores), "by_hand": False})
        if first:
            self._judge(scores)

    def validated_on_request(self, scores: Scores, command: Command) -> Event | None:
        self._note(scores)
        first = self._is_first(scores)
        event = self.emit_asked("validated", command, **_validation(scores), by_hand=True)
        if first:
            self._judge(scores)
        return event

    def _note(self, scores: Scores) -> None:
        """Write its row, and the figures of each frame."""
        self.row({**scores.figures, "events/validation": 1.0})
        with self._run.side_products.writing("frame_figures"):
            both = zip(scores.clips, scores.frames, strict=True)
            clips = [{"name": clip["name"], "per_frame": table.per_frame()} for clip, table in both]
            self._frame_figures.keep(scores.step, self.branch, clips)

    def _is_first(self, scores: Scores) -> bool:
        """Whether this state is to be judged: not twice, but again if a kill may have come before the verdict."""
        return bool(self._known) or not self.line.validation_at(self.branch, scores.step)

    def _judge(self, scores: Scores) -> None:
        if self._run.run_config.get("validation_version", 1) == 1:
            return
        before = [(step, figures) for step, figures in self.line.validations() if step < scores.step]
        for found in findings(before, scores.step, scores.figures, int(self._run.live["max_steps"])):
            self.emit(found.type, data=found.data)

    def emit_asked(self, type: str, command: Command, **data: Any) -> Event | None:
        """Append the event of a command."""
        return self.emit(
            type,
            origin=command.origin,
            author=command.author,
            reason=command.reason,
            data={"command": command.uid, **data},
        )

    def step_row(self, outcome: Outcome | None, figures: list[dict[str, float]]) -> None:
        """Write the row of the step just made; without `outcome`, of a last step at which no row was due."""
        run = self._run
        self.row(
            {**run.metrics, **(outcome.metrics if outcome else {}), **self._progress(), **of_the_whole(figures),
             "optimizer/momentum": adam_momentum(run.state.optimizer), "run/branch": float(self.branch)}
        )  # fmt: skip

    def _progress(self) -> dict[str, float]:
        """`progress/*`: convergence, score, remaining time, machine time and its cost."""
        run = self._run
        state, spent_s = run.state, run.throughput.spent_s
        eta_s = run.throughput.eta_s(state.step, run.live)
        norms = [row["grad_norm"] for row in state.recent]
        last_val = run.scores.figures if run.scores else {}
        values = {
            **state.convergence.values(),
            **score(last_val, state.convergence.state(), norms, run.metrics["grad_clip"]),
            "progress/spent_s": spent_s,
        }
        if eta_s is not None:
            values["progress/eta_s"] = eta_s
        if run.run_config["cost_per_hour"] is not None:
            values["progress/cost"] = float(run.run_config["cost_per_hour"]) * spent_s / 3600
        return values


def _validation(scores: Scores) -> dict[str, Any]:
    window = {} if scores.window is None else {"window": scores.window}
    return {**scores.means, **window, "clips": scores.clips, "images": scores.images}


def _identity(type: str, step: int, branch: int, data: Mapping[str, Any]) -> tuple[str, int, int, str]:
    return (type, step, branch, str(data.get({"phase_changed": "phase", RECOVERED: "what"}.get(type, ""), "")))
