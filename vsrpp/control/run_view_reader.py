"""Reads the current state of a run into a `RunView`, and keeps it up to date.

A look only reads what is new: files stay open, events and the newest metric values are kept, and expensive parts
(delivery, the checkpoint folder) are refreshed every few seconds. Curves are separate (`control.curves`). Nothing here
writes, so a live run is not affected.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from vsrpp.control import alerts
from vsrpp.control.backlog import open_marks
from vsrpp.control.best import PSNR_Y, BestRule, ScoredCheckpoints
from vsrpp.control.config_history import CONFIG_EVENTS, ConfigHistory
from vsrpp.control.delivery_status import delivery
from vsrpp.control.edits import run_config_of
from vsrpp.control.lineage import SEGMENT_EVENTS, TURNS, Lineage
from vsrpp.control.numbers import numbers
from vsrpp.control.remote_copies import newest_remote_copy
from vsrpp.control.run_view import VALIDATION_FIELDS, RunView, SavedCheckpoint, ValidationRow
from vsrpp.control.runs import FINAL_STATES, newer_store, run_state
from vsrpp.control.views import checkpoint_steps
from vsrpp.documents import BestDocument, RemarkDocument, RemoteCopyDocument
from vsrpp.errors import because
from vsrpp.formats import finite
from vsrpp.paths import RunPaths
from vsrpp.store import Event, Marks, RunReader, StoreDamaged

PLATEAU_ENDS = ("plateau_cleared", "safety_reset", *TURNS)
DELIVERY_EVERY_S = 3.0
UPLOAD_EVERY_S = 1.0
"""Refresh interval of the delivery state during an upload."""
KEPT_EVENTS = 5000
"""The newest events that a view has; older ones are read where they are needed, so that memory does not grow."""


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
