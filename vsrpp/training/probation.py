"""An edit on probation: judged by the results of the following steps, then confirmed or reverted."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vsrpp.checkpoints.snapshot import Snapshot
from vsrpp.config.condition import VALIDATED, Condition, first_that_holds, parse_conditions
from vsrpp.documents import RemarkDocument
from vsrpp.errors import because
from vsrpp.store import Event
from vsrpp.training import messages
from vsrpp.training.checkpoint_manager import CheckpointManager
from vsrpp.training.context import RunContext
from vsrpp.training.live_config import LiveConfig
from vsrpp.training.recorder import RunRecorder
from vsrpp.training.replay_cursor import ReplayCursor
from vsrpp.training.rollback import Rollback
from vsrpp.training.status import RunStatus
from vsrpp.training.turn import Turn

WINDOW_STEPS = 20
"""Steps before the edit that form its baseline, and the maximum number of later steps compared with them."""


@dataclass(frozen=True, slots=True)
class ProbationVerdict:
    """The result of a probation and the numbers behind it."""

    revert: bool
    because: RemarkDocument
    before: dict[str, float]
    now: dict[str, float]


@dataclass(slots=True)
class Probation:
    """Holds the state before the edit (one complete state in memory) until the verdict."""

    event: Event
    """The edit's `config_applied` event."""
    held: Snapshot
    head: tuple[int, str]
    """(sequence number, hash) of the newest event before the edit."""
    revision_before: int
    steps: int
    conditions: list[Condition]
    before: dict[str, float]
    weights: dict[str, float]
    """The loss weights before the edit: losses are compared under these, so that a weight edit cannot judge itself."""
    _since: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def begin(
        cls, event: Event, held: Snapshot, head: tuple[int, str], revision_before: int,
        recent: Iterable[Mapping[str, float]], validated: Mapping[str, float],
    ) -> Probation:  # fmt: skip
        """`recent`: loss terms and gradient norms of the steps before the edit; `validated`: metrics at its step."""
        terms: dict[str, Any] = event.data["probation"]
        weights = {key: float(value) for key, value in held.live.items() if key.endswith("_weight")}
        probation = cls(
            event,
            held,
            head,
            revision_before,
            int(terms["steps"]),
            parse_conditions(terms.get("revert_if")),
            {},
            weights,
        )
        probation.before = {**probation._means(list(recent)[-WINDOW_STEPS:]), **_figures(validated)}
        return probation

    @property
    def last_step(self) -> int:
        return self.held.step + self.steps

    @property
    def needs_validation(self) -> bool:
        return any(condition.metric in VALIDATED for condition in self.conditions)

    def observe(self, step: int, made: Mapping[str, float], validated: Mapping[str, float]) -> ProbationVerdict | None:
        """Judge after a step: returns a verdict to revert or confirm, or None to continue.

        `made`: the step's loss terms (`l1` …) and `grad_norm`; `validated`: metrics of a validation at it, or empty.
        """
        if not all(math.isfinite(value) for value in made.values()):
            return ProbationVerdict(True, messages.PROBATION_NON_FINITE.filled(), self.before, dict(made))
        self._since.append(dict(made))
        now = {**self._means(self._since[-WINDOW_STEPS:]), **_figures(validated)}
        held = first_that_holds(self.conditions, self.before, now)
        if held is not None:
            was, became = self.before[held.metric], now[held.metric]
            remark = messages.PROBATION_HELD.filled(
                condition=str(held), metric=held.metric, before=f"{was:.5g}", now=f"{became:.5g}"
            )
            return ProbationVerdict(True, remark, self.before, now)
        if step >= self.last_step:
            return ProbationVerdict(False, self._passed(now), self.before, now)
        return None

    def _passed(self, now: Mapping[str, float]) -> RemarkDocument:
        """Nothing held; names the metrics that no validation gave, such as those of a recurrence that the network lacks."""
        metrics = dict.fromkeys(condition.metric for condition in self.conditions)
        unknown = [metric for metric in metrics if metric not in self.before or metric not in now]
        if unknown:
            return messages.PROBATION_UNKNOWN.filled(steps=self.steps, metrics=", ".join(unknown))
        return messages.PROBATION_PASSED.filled(steps=self.steps)

    def _means(self, rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
        """Mean loss under the earlier weights, and mean gradient norm; {} without a step."""
        if not rows:
            return {}
        losses = [
            math.fsum(w * row.get(key.removesuffix("_weight"), 0.0) for key, w in self.weights.items()) for row in rows
        ]
        norms = [row["grad_norm"] for row in rows]
        return {"loss": math.fsum(losses) / len(rows), "grad_norm": math.fsum(norms) / len(rows)}


def _because(verdict: ProbationVerdict) -> dict[str, Any]:
    return because(verdict.because["reason_code"], verdict.because["fields"])


def _figures(validated: Mapping[str, float]) -> dict[str, float]:
    return {name: validated[f"val/{name}"] for name in VALIDATED if f"val/{name}" in validated}


class Probations:
    """Runs at most one probation at a time. Used on rank 0 only; actions of all ranks are yielded as turns."""

    def __init__(
        self, run: RunContext, recorder: RunRecorder, live_config: LiveConfig, checkpoints: CheckpointManager,
        cursor: ReplayCursor, rollback: Rollback, status: RunStatus,
    ) -> None:  # fmt: skip
        self.current: Probation | None = None
        self._run = run
        self._recorder = recorder
        self._live_config = live_config
        self._checkpoints = checkpoints
        self._cursor = cursor
        self._rollback = rollback
        self._status = status

    def begin(
        self, event: Event, held: Snapshot, head: tuple[int, str], revision_before: int
    ) -> Iterator[Turn]:  # fmt: skip
        """`held` is the state before the edit, `head` the newest event at that time."""
        run = self._run
        probation = Probation.begin(event, held, head, revision_before, run.state.recent, {})
        if probation.needs_validation:
            if run.scores is not None and run.scored_at == run.state.step:
                figures = run.scores.figures
            else:
                figures = yield from self._score()
            probation = Probation.begin(event, held, head, revision_before, run.state.recent, figures)
        self._set(probation)

    def try_again(self, event: Event) -> Iterator[Turn]:
        """Restart a probation that a kill interrupted: hold the state, apply the edit again, judge from the start."""
        held, revision_before = self._run.state.capture(self._live_config.live), self._live_config.revision
        head = next(e for e in self._recorder.writer.events(after_seq=event.seq - 2, limit=1))
        self._cursor.take(event)
        yield from self.begin(event, held, (head.seq, head.hash), revision_before)

    def judge(self) -> Iterator[Turn]:
        """After a step: confirm, revert, or continue."""
        probation, run = self.current, self._run
        if probation is None:
            return
        step = run.state.step
        figures = run.scores.figures if run.scores and run.scored_at == step else {}
        if probation.needs_validation and not figures and step >= probation.last_step:
            figures = yield from self._score()
        verdict = probation.observe(step, run.state.recent[-1], figures)
        if verdict is None:
            return
        if verdict.revert:
            yield from self._revert(probation, verdict)
        else:
            self._confirm(probation, verdict)

    def confirm_at_end(self) -> None:
        """Confirm, because the run ends before the probation."""
        if self.current is not None:
            over = messages.PROBATION_RUN_OVER.filled()
            self._confirm(self.current, ProbationVerdict(False, over, self.current.before, {}))

    def _score(self) -> Generator[Turn, None, dict[str, float]]:
        """Metrics of a validation that is not recorded."""
        yield Turn(live=self._live_config.live, validate="unrecorded")
        assert self._run.judged is not None
        return self._run.judged.figures

    def _revert(self, probation: Probation, verdict: ProbationVerdict) -> Iterator[Turn]:
        """Restore the exact state before the edit; only the record shows that it happened."""
        changes = [{"key": c["key"], "old": c["new"], "new": c["old"]} for c in probation.event.data["changes"]]
        self._set(None)
        self._checkpoints.end_deferral(save=False)
        yield from self._rollback.turn_back(
            "config_reverted", probation.held, probation.head[0], changes, origin="probation", author=None,
            reason=verdict.because["message"],
            data={"command": probation.event.data.get("command"), "before": verdict.before, "now": verdict.now,
                  **_because(verdict)},
        )  # fmt: skip
        self._checkpoints.look_for_best()

    def _confirm(self, probation: Probation, verdict: ProbationVerdict) -> None:
        self._set(None)
        self._recorder.emit(
            "config_confirmed", origin="probation", reason=verdict.because["message"],
            data={"command": probation.event.data.get("command"), "changes": probation.event.data["changes"],
                  "before": verdict.before, "now": verdict.now, **_because(verdict)},
        )  # fmt: skip
        self._checkpoints.end_deferral(save=True)

    def _set(self, probation: Probation | None) -> None:
        self.current = probation
        self._checkpoints.deferring = self._checkpoints.deferring if probation is None else True
        self._status.probation = None if probation is None else {
            "until_step": probation.last_step, "revert_if": " or ".join(map(str, probation.conditions)),
            "revision": probation.event.revision,
        }  # fmt: skip
