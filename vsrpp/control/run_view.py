"""The current state of a run: one view for panel, terminal and `status`. Read by `run_view_reader`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vsrpp.config.schema import LossTerm, loss_terms
from vsrpp.control.best import PSNR_Y, checkpoint_metrics, score
from vsrpp.control.config_history import ConfigHistory
from vsrpp.control.delivery_status import BEHIND_AFTER_S
from vsrpp.control.lineage import Lineage, lineage
from vsrpp.control.narrate import Narration, narrate
from vsrpp.control.numbers import RunNumbers
from vsrpp.control.phrases import Explanation, Part, verbatim
from vsrpp.control.runs import ENDED_STATES, LIVE_STATES
from vsrpp.documents import (
    BestDocument,
    ProbationDocument,
    RemarkDocument,
    RemoteCopyDocument,
    RunState,
    WaitingDocument,
)
from vsrpp.formats import finite
from vsrpp.store import Event, RunReader

STATES = (*LIVE_STATES, *sorted(ENDED_STATES), "silent", "unreadable")
"""Every word that a face has for a run's state: `silent` of one that lives, `unreadable` of a record."""
SILENT_AFTER_S = 20.0
FAILURES = ("failed", "out_of_memory", "non_finite")
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
