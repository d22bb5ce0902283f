"""The current state of a run: one view for panel, terminal and `status`, and the reader that keeps it up to date.

A look only reads what is new: files stay open, events and the newest metric values are kept, and expensive parts
(delivery, the checkpoint folder) are refreshed every few seconds. Curves are separate (`control.curves`). Nothing here
writes, so a live run is not affected.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vsrpp.config.schema import LossTerm, loss_terms
from vsrpp.control import alerts
from vsrpp.control.backlog import open_marks
from vsrpp.control.best import PSNR_Y, BestRule, ScoredCheckpoints, checkpoint_metrics, score
from vsrpp.control.config_history import CONFIG_EVENTS, ConfigHistory
from vsrpp.control.delivery_status import BEHIND_AFTER_S, delivery
from vsrpp.control.edits import run_config_of
from vsrpp.control.lineage import SEGMENT_EVENTS, TURNS, Lineage, lineage
from vsrpp.control.narrate import Narration, narrate
from vsrpp.control.numbers import RunNumbers, numbers
from vsrpp.control.phrases import Explanation, Part, verbatim
from vsrpp.control.remote_copies import newest_remote_copy
from vsrpp.control.runs import ENDED_STATES, FINAL_STATES, LIVE_STATES, newer_store, run_state
from vsrpp.control.views import checkpoint_steps
from vsrpp.documents import (
    BestDocument,
    ProbationDocument,
    RemarkDocument,
    RemoteCopyDocument,
    RunState,
    WaitingDocument,
)
from vsrpp.errors import because
from vsrpp.formats import finite
from vsrpp.paths import RunPaths
from vsrpp.store import Event, Marks, RunReader, StoreDamaged

STATES = (*LIVE_STATES, *sorted(ENDED_STATES), "silent", "unreadable")
"""Every word that a face has for a run's state: `silent` of one that lives, `unreadable` of a record."""
SILENT_AFTER_S = 20.0
PLATEAU_ENDS = ("plateau_cleared", "safety_reset", *TURNS)
FAILURES = ("failed", "out_of_memory", "non_finite")
DELIVERY_EVERY_S = 3.0
UPLOAD_EVERY_S = 1.0
"""Refresh interval of the delivery state during an upload."""
KEPT_EVENTS = 5000
"""The newest events that a view has; older ones are read where they are needed, so that memory does not grow."""
VALIDATION_FIELDS = (("psnr_y",), ("bicubic_psnr_y",), ("ssim_y",), ("bicubic_ssim_y",), ("by_hand",))


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationRow:
    """One validation."""

    time: float
    step: int
    branch: int
    psnr_y: float | None
    """dB."""
    bicubic_psnr_y: float | None
    ssim_y: float | None
    bicubic_ssim_y: float | None
    by_hand: bool
    """Whether it was requested by a command."""

    @classmethod
    def of(cls, found: tuple[Any, ...]) -> ValidationRow:
        """From the `VALIDATION_FIELDS` of a `validated` event."""
        at, step, branch, psnr_y, bicubic_psnr_y, ssim_y, bicubic_ssim_y, by_hand = found
        return cls(
            time=at, step=step, branch=branch, psnr_y=finite(psnr_y), bicubic_psnr_y=finite(bicubic_psnr_y),
            ssim_y=finite(ssim_y), bicubic_ssim_y=finite(bicubic_ssim_y), by_hand=by_hand is not None,
        )  # fmt: skip

    @property
    def gain(self) -> float | None:
        """PSNR-Y gain over bicubic in dB."""
        return None if self.psnr_y is None or self.bicubic_psnr_y is None else self.psnr_y - self.bicubic_psnr_y


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedCheckpoint:
    """A checkpoint of the current line that is on disk."""

    step: int
    branch: int
    revision: int
    time: float
    psnr_y: float | None
    """PSNR-Y in dB, of the validation at its step."""
    size_bytes: int | None

    @classmethod
    def of_step(cls, reader: RunReader, step: int, line: Lineage) -> SavedCheckpoint | None:
        """The newest one of a step on the line; None if the record has none."""
        events = [event for event in reader.events_at("checkpoint_saved", step) if line.holds(event.branch, step)]
        if not events:
            return None
        event = events[-1]
        of_state = lineage(reader.events_at("validated", step), keep_events=False)
        size = finite(event.data.get("size_bytes"))
        return cls(
            step=event.step, branch=event.branch, revision=int(event.data.get("revision", event.revision)), time=event.time,
            psnr_y=score(checkpoint_metrics(of_state, event), PSNR_Y),
            size_bytes=None if size is None else int(size),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """One run at one moment: plain data, without files or database."""

    run_id: str
    root: Path
    """The run folder."""
    name: str | None = None
    state: RunState = "dead"
    """One of LIVE_STATES or ENDED_STATES."""
    step: int = 0
    branch: int = 0
    phase: str = ""
    """The controller's phase; empty before the first step."""
    steps_per_s: float | None = None
    numbers: RunNumbers = field(default_factory=RunNumbers)
    """Remaining time, convergence, score, time per part, machine time and cost."""
    updated: float | None = None
    """When the trainer last published its state, seconds since 1970."""
    now: float = 0.0
    """When this view was read, seconds since 1970."""
    config: ConfigHistory = field(default_factory=ConfigHistory)
    """The live config, its revisions, and who last set each value."""
    run_config: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    """The newest value of every metric; may be NaN."""
    events: Sequence[Event] = ()
    """Oldest first; of a long record only the newest."""
    event_counts: Mapping[str, int] = field(default_factory=dict)
    """Type -> number of events in the whole record."""
    line: Lineage = field(default_factory=Lineage)
    """The segments of the current line and the abandoned ones."""
    validations: Sequence[ValidationRow] = ()
    """Oldest first."""
    checkpoint_steps: Sequence[int] = ()
    """Steps of the complete checkpoints on disk, ascending."""
    checkpoints: Sequence[SavedCheckpoint] = ()
    """Checkpoints of the current line, ascending by step."""
    best: BestDocument | None = None
    """{step, psnr_y, key, value} of the best checkpoint of the current line."""
    best_branch: int | None = None
    """The branch that checkpoint was made on."""
    backlog: Mapping[str, Any] = field(default_factory=dict)
    """`control.delivery`: pending records, current upload, trouble; and the alerts."""
    remote_copy: RemoteCopyDocument | None = None
    """{step, branch, age_s, uri} of the newest state with a copy on another host."""
    remote_copy_why: RemarkDocument | None = None
    """Why there is no remote copy."""
    plateau: bool = False
    """Whether the newest plateau event is a detection."""
    probation: ProbationDocument | None = None
    """{until_step, revert_if, revision} while an edit is on probation."""
    waiting: WaitingDocument | None = None
    """{why, reason_code, fields, since} while the run waits because its record or last checkpoint cannot be written."""
    ended_because: str | None = None
    """The reason in the run's final event."""
    newer_store: RemarkDocument | None = None
    """What to say about a record that a newer VSR++ writes."""

    @property
    def live(self) -> bool:
        return self.state in LIVE_STATES

    @property
    def ended(self) -> bool:
        return self.state in ENDED_STATES

    @property
    def values(self) -> Mapping[str, Any]:
        """The live config in force."""
        return self.config.live

    @property
    def revision(self) -> int:
        return self.config.revision

    @property
    def max_steps(self) -> int:
        return int(finite(self.values.get("max_steps")) or 0)

    @property
    def progress(self) -> float:
        """Fraction of max_steps, 0 to 1."""
        return min(1.0, self.step / self.max_steps) if self.max_steps > 0 else 0.0

    @property
    def eta_s(self) -> float | None:
        """Seconds remaining; None while the run does not advance."""
        return self.numbers.eta_s if self.state in ("training", "validating") else None

    @property
    def quiet_s(self) -> float:
        """Seconds since the trainer last published its state."""
        return max(0.0, self.now - self.updated) if self.updated else 0.0

    @property
    def silent(self) -> bool:
        """The process is alive but has been quiet for more than twenty seconds and five of its steps."""
        speed = self.steps_per_s or 0.0
        return self.state == "training" and self.quiet_s > max(SILENT_AFTER_S, 5.0 / speed if speed else 0.0)

    @property
    def behind(self) -> bool:
        """Delivery is in trouble, or the run's end state is overdue in MLflow."""
        late = (finite(self.backlog.get("age_s")) or 0.0) > BEHIND_AFTER_S
        return bool(self.backlog.get("trouble") or (self.backlog.get("end_due") and late))

    def ends_at(self, checkpoint: SavedCheckpoint) -> bool:
        """Whether a rollback to the checkpoint ends the run: its config then had no more steps to make."""
        last = finite((self.config.at(checkpoint.revision) or {}).get("max_steps"))
        return last is not None and last <= checkpoint.step

    def is_best(self, branch: int, step: int) -> bool:
        """Whether a checkpoint, or the validation of its state, is the best one's."""
        return self.best is not None and (branch, step) == (self.best_branch, self.best["step"])

    @property
    def on_probation(self) -> bool:
        return self.live and self.probation is not None

    @property
    def waits_because(self) -> Part:
        """Why the run waits, for a face to put into its language."""
        waiting = self.waiting
        if waiting is None:
            return verbatim("")
        return Explanation(str(waiting.get("why")), str(waiting.get("reason_code", "")), waiting.get("fields") or {})

    @property
    def lr(self) -> float | None:
        return self.metric("lr")

    def metric(self, key: str) -> float | None:
        """The newest finite value of a metric, else None (`metrics` also has non-finite ones)."""
        return finite(self.metrics.get(key))

    @property
    def terms(self) -> tuple[LossTerm, ...]:
        """The loss terms of the run with key, label and colour; those of its plug-ins come last."""
        return loss_terms(self.run_config)

    def weights(self) -> dict[str, float | None]:
        """The loss weights in effect, including the controller's offset; the configured ones before the first row."""
        weights = {term.name: self.metric(f"weight/{term.name}") for term in self.terms}
        if all(value is None for value in weights.values()):
            return {term.name: finite(self.values.get(term.key)) for term in self.terms}
        return weights

    def losses(self) -> dict[str, float | None]:
        """The newest unweighted loss terms."""
        return {term.name: self.metric(f"loss/{term.name}") for term in self.terms}

    def activity(self) -> dict[str, float]:
        """The newest activity of every layer: backward.0 …, forward.0 …, fusion.0 … May contain NaN."""
        return {key[9:]: value for key, value in self.metrics.items() if key.startswith("activity/")}

    def streams(self) -> dict[str, list[float]]:
        """Activities by stream: backward, forward, fusion; in a network of a plug-in, by the first part of a layer's name."""
        streams: dict[str, list[float]] = {"backward": [], "forward": [], "fusion": []}
        ours = len(streams)
        for layer, value in self.activity().items():
            streams.setdefault(layer.split(".")[0], []).append(value)
        return streams if len(streams) == ours else {name: values for name, values in streams.items() if values}

    def failure(self) -> Narration | None:
        """The newest event that reports a failure, in words."""
        return next((narrate(event) for event in reversed(self.events) if event.type in FAILURES), None)

    def to_json(self) -> dict[str, Any]:
        """The document of `status --json`."""
        quality = ("psnr_y", "bicubic_psnr_y", "ssim_y", "bicubic_ssim_y")
        return {
            "run_id": self.run_id,
            "run_dir": str(self.root.resolve()),
            "name": self.name,
            "state": self.state,
            "step": self.step,
            "max_steps": self.values.get("max_steps"),
            "revision": self.revision,
            "branch": self.branch,
            "phase": self.phase or None,
            "lr": self.lr,
            "losses": {
                key.split("/")[1]: finite(value) for key, value in self.metrics.items() if key.startswith("loss/")
            },
            "config": dict(self.values),
            "best": None if self.best is None else dict(self.best),
            **{name: self.metric(f"val/{name}") for name in quality},
            "checkpoints": list(self.checkpoint_steps),
            "backlog": dict(self.backlog),
            "off_host": None if self.remote_copy is None else dict(self.remote_copy),
            "off_host_why": "" if self.remote_copy_why is None else self.remote_copy_why["message"],
            "steps_per_s": self.steps_per_s,
            **self.numbers.to_json(),
            "ended_because": self.ended_because,
            "waiting": None if self.waiting is None else dict(self.waiting),
            "probation": None if self.probation is None else dict(self.probation),
            "updated": self.updated,
        }


class RunViewReader:
    """The open record of one run, with the data kept between two looks. Only one thread at a time may call `look`."""

    def __init__(self, paths: RunPaths, *, keep_events: int = KEPT_EVENTS) -> None:
        """`keep_events`: how many of the newest events to keep; with 0, no validations are read either.

        Raises NotFound without a run.db.
        """
        self.paths = paths
        self.reader = RunReader(paths.run_db)
        self._seq = 0
        self._kept: deque[Event] = deque(maxlen=keep_events)
        self._events: tuple[Event, ...] = ()
        self._counts: Mapping[str, int] = {}
        self._config = ConfigHistory()
        self._run_config: dict[str, Any] = {}
        self._validations: tuple[ValidationRow, ...] = ()
        self._line = Lineage(keep_events=False)
        self._scored = ScoredCheckpoints(PSNR_Y)
        self._saved: tuple[SavedCheckpoint, ...] = ()
        self._best: BestDocument | None = None
        self._best_branch: int | None = None
        self._plateau = False
        self._end: Event | None = None
        self._metric_id = -1
        self._metrics: dict[str, float] = {}
        self._steps_on_disk: tuple[int, ...] = ()
        self._backlog: dict[str, Any] = {}
        self._remote_copy: tuple[RemoteCopyDocument | None, RemarkDocument | None] = (None, None)
        self._delivery_at = 0.0

    def close(self) -> None:
        self.reader.close()

    def look(self) -> RunView:
        """The current state of the run."""
        trainer = self.reader.state()
        self._read_events()
        self._read_metrics()
        now, state = time.time(), run_state(self.reader, trainer)
        if now - self._delivery_at > (UPLOAD_EVERY_S if self._backlog.get("uploading") else DELIVERY_EVERY_S):
            self._delivery_at = now
            self._read_delivery(state)
        return RunView(
            run_id=self.reader.run_id, root=self.paths.root, name=self._run_config.get("name"), state=state,
            step=int(trainer.get("step", 0)), branch=int(trainer.get("branch", 0)), phase=str(trainer.get("phase") or ""),
            steps_per_s=finite(trainer.get("steps_per_s")),
            numbers=numbers(self._metrics, trainer, state, self._config.live, self._run_config),
            updated=trainer.get("time"), now=now, config=self._config, run_config=self._run_config, metrics=self._metrics,
            events=self._events, event_counts=self._counts, line=self._line, validations=self._validations,
            checkpoint_steps=self._steps_on_disk, checkpoints=self._saved,
            best=self._best, best_branch=self._best_branch,
            backlog=self._backlog, remote_copy=self._remote_copy[0], remote_copy_why=self._remote_copy[1],
            plateau=self._plateau, probation=trainer.get("probation"), ended_because=self._why_ended(state, trainer),
            waiting=trainer.get("waiting") if state == "waiting" else None,
            newer_store=newer_store(self.reader),
        )  # fmt: skip

    def _why_ended(self, state: str, trainer: Mapping[str, Any]) -> str | None:
        if state not in FINAL_STATES:
            return None
        if trainer.get("ended_because"):  # where no event could be written
            return str(trainer["ended_because"])
        if self._end is None:
            return None
        return self._end.reason or self._end.data.get("error") or self._end.data.get("why")

    # ---- events
    def _read_events(self) -> None:
        """Add new events. Views already returned keep theirs: changed containers are replaced, not modified."""
        head, after = self.reader.head()[0], self._seq
        if head <= after:
            return
        self._seq = head
        counts = self.reader.event_counts(after_seq=after, to_seq=head)
        self._counts = {type: self._counts.get(type, 0) + counts.get(type, 0) for type in {**self._counts, **counts}}
        skipped = max(after, head - (self._kept.maxlen or 0))
        self._kept.extend(self.reader.events(after_seq=skipped, limit=head - skipped))
        self._events = tuple(self._kept)
        if not after:
            self._config = ConfigHistory.of_record(self.reader)
        elif counts.keys() & set(CONFIG_EVENTS):
            self._config = self._config.with_events(self.reader.events(after_seq=after, types=CONFIG_EVENTS))
        if counts.keys() & {"started", "restored"}:
            self._run_config = run_config_of(self.reader)
        if counts.keys() & {*SEGMENT_EVENTS}:
            self._line = self._line.with_events(self.reader.events(after_seq=after, types=SEGMENT_EVENTS))
        if "validated" in counts and self._kept.maxlen:
            rows = self.reader.fields("validated", *VALIDATION_FIELDS, after_seq=after, to_seq=head)
            self._validations += tuple(map(ValidationRow.of, rows))
        if counts.keys() & {"plateau_detected", *PLATEAU_ENDS}:
            last = self.reader.last_event("plateau_detected", *PLATEAU_ENDS)
            self._plateau = last is not None and last.type == "plateau_detected"
        if counts.keys() & FINAL_STATES:
            self._end = self.reader.last_event(*FINAL_STATES)
        if counts.keys() & {"checkpoint_saved", "validated", *TURNS}:
            self._find_best()
        self._delivery_at = 0.0

    def _find_best(self) -> None:
        rule = BestRule.of(self._run_config)
        if self._scored.key != rule.key:
            self._scored = ScoredCheckpoints(rule.key)
        self._scored.read(self.reader)
        best = self._scored.best(self._line, rule)
        self._best = None if best is None else best.to_json()
        self._best_branch = None if best is None else best.branch

    def _read_metrics(self) -> None:
        newest = self.reader.newest_metric_id()
        if newest != self._metric_id:
            self._metric_id = newest
            self._metrics = {key: row.value for key, row in self.reader.latest().items()}

    def _read_delivery(self, state: str) -> None:
        """Read the backlog, the remote copy, and the checkpoints on disk, which are removed only after their upload."""
        self._steps_on_disk = tuple(checkpoint_steps(self.paths))
        on_disk = (SavedCheckpoint.of_step(self.reader, step, self._line) for step in self._steps_on_disk)
        self._saved = tuple(saved for saved in on_disk if saved is not None)
        try:
            self._read_marks(open_marks(self.paths), state)
        except StoreDamaged as error:
            self._read_marks(None, state)
            told = because(error.reason_code, error.fields)
            self._backlog |= {"state": "lost", "class": "broken", "trouble": "broken", "error": str(error), **told}

    def _read_marks(self, marks: Marks | None, state: str) -> None:
        try:
            alert_state = alerts.state(self.reader, marks, self._run_config)
            self._backlog = {**delivery(self.reader, marks, state), "alerts": alert_state}
            self._remote_copy = newest_remote_copy(self.reader, self._line, marks)
        finally:
            if marks:
                marks.close()


def view_run(paths: RunPaths, *, keep_events: int = KEPT_EVENTS) -> RunView:
    """The current state of the run, for a single look. Raises NotFound without a run.db."""
    reading = RunViewReader(paths, keep_events=keep_events)
    try:
        return reading.look()
    finally:
        reading.close()


def status(paths: RunPaths) -> dict[str, Any]:
    """The document of `status --json` (keys: `vsrpp.documents`). Raises NotFound without a run.db."""
    return view_run(paths, keep_events=0).to_json()
