"""The run's checkpoints: saved by a writer thread, recorded once complete, pruned; and which one is the best."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vsrpp import control
from vsrpp.checkpoints.files import Saved, Saver, SaveRequest, discard
from vsrpp.checkpoints.retention import Kept, to_prune
from vsrpp.checkpoints.snapshot import Snapshot
from vsrpp.control.backlog import MLFLOW
from vsrpp.control.best import BestRule, score
from vsrpp.control.lineage import validation_figures
from vsrpp.paths import RunPaths
from vsrpp.store import Answer, Event, from_marks
from vsrpp.training import messages
from vsrpp.training.context import RunContext
from vsrpp.training.live_config import LiveConfig
from vsrpp.training.recorder import RunRecorder
from vsrpp.training.replay_cursor import ReplayCursor


class CheckpointManager:
    """Used on rank 0 only, and only from the training thread."""

    def __init__(
        self, run: RunContext, paths: RunPaths, recorder: RunRecorder, live_config: LiveConfig, cursor: ReplayCursor, *,
        at_step: int | None, replay: bool = False,
    ) -> None:  # fmt: skip
        """`at_step`: the step training starts from, whose checkpoint exists. A `replay` saves none."""
        self.at_step = at_step
        """The step of the newest checkpoint that was requested."""
        self.deferring = False
        """While an edit is on probation, due checkpoints wait for its verdict."""
        self._deferred: str | None = None
        """The reason of the deferred checkpoint."""
        self._run = run
        self._paths = paths
        self._config = run.run_config
        self._recorder = recorder
        self._live_config = live_config
        self._cursor = cursor
        self._replay = replay
        self._saver = Saver()
        self._waiting: dict[int, list[str]] = {}
        """Commands that requested a checkpoint, by step: answered once it is written."""
        self._writing: set[int] = set()
        """Steps whose folder the writer is about to rename into place; an existing folder there must not be touched."""
        self._held: list[SaveRequest] = []
        """Captured states that wait until the newest event they know is on disk: a checkpoint anchors no other."""
        self.fault: str | None = None
        """Why the newest checkpoint could not be written; None if it was."""
        self._failed_at: int | None = None
        """Its step, whose failure is on record."""
        self.saved_step = run.state.step
        """The step of the newest checkpoint that is whole; 0 without one."""
        self._protected: set[int] = set()
        self._best: float | None = None
        self.look_for_best()

    def close(self) -> None:
        self._saver.close()

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is being written, or waits to be."""
        return self._saver.busy or bool(self._held)

    # ---- saving
    def save_if_due(self) -> None:
        """After a step: save at every `checkpoint_every`-th step, and if its validation is the best so far."""
        run, step = self._run, self._run.state.step
        figures = run.scores.figures if run.scores and run.scored_at == step else {}
        reason = "due" if step % run.live["checkpoint_every"] == 0 else "best" if self.is_best(figures) else None
        if reason is None:
            return
        if self.deferring:
            self._deferred = reason
        else:
            self.save_now(reason)

    def end_deferral(self, *, save: bool) -> None:
        """Called with a probation's verdict: save the deferred checkpoint, or drop it if its steps were reverted."""
        reason, self._deferred, self.deferring = self._deferred, None, False
        if save and reason is not None:
            self.save_now(reason)

    def save_now(self, reason: str, *, waiting: str | None = None, figures: Mapping[str, float] | None = None) -> None:
        """Copy the current state and pass it to the writer, unless this step already has a checkpoint.

        `figures`: validation metrics of this state, if they are not those of the last validation.
        """
        run, step = self._run, self._run.state.step
        if self._replay or (self.at_step == step and reason != "start"):
            return
        self._recorder.bad_samples.record()
        metrics = {key: value for key, value in run.metrics.items() if key.startswith("loss/")}
        if run.scores and run.scored_at == step:
            metrics |= run.scores.figures
        metrics |= figures or {}
        with run.throughput.doing("checkpoint"):
            self.save(
                run.state.capture(self._live_config.live), branch=self._recorder.branch,
                revision=self._live_config.revision, chain=self._cursor.seen(self._recorder.writer.head()),
                metrics=metrics, reason=reason, waiting=waiting,
            )  # fmt: skip

    def save(
        self, snapshot: Snapshot, *, branch: int, revision: int, chain: tuple[int, str], metrics: dict[str, float],
        reason: str, waiting: str | None = None,
    ) -> None:  # fmt: skip
        """Pass a captured state to the writer; `waiting` is a command to answer once it is on disk."""
        self.collect()
        step = snapshot.step
        if waiting is not None:
            self._waiting.setdefault(step, []).append(waiting)
        if self.is_best(metrics):
            self._best = self._rank(metrics)
        self.at_step = step
        self._writing.add(step)
        signer = self._recorder.writer.signer
        self._held.append(
            SaveRequest(
                folder=self._paths.checkpoint(step), snapshot=snapshot, run_id=self._paths.run_id, branch=branch,
                revision=revision, run_config=self._config, chain=chain, metrics=metrics, reason=reason,
                signed=signer.signed if signer is not None else None,
            )
        )  # fmt: skip
        self._submit_held()

    def _submit_held(self) -> None:
        while self._held and self._recorder.writer.durable_seq >= self._held[0].chain[0]:
            self._saver.submit(self._held.pop(0))

    def answer_when_saved(self, step: int, uid: str) -> bool:
        """Let a command wait for the checkpoint of `step` while it is being written; False if it is already on disk."""
        if not self.busy:
            return False
        self._waiting.setdefault(step, []).append(uid)
        return True

    def collect(self, *, wait: bool = False) -> None:
        """Record the results of finished writes; with `wait`, of all pending ones whose events are on disk."""
        self._submit_held()
        for saved in self._saver.collect(wait=wait):
            self._record(saved)

    def _record(self, saved: Saved) -> None:
        request = saved.request
        step = request.snapshot.step
        waiting = self._waiting.pop(step, [])
        self._writing.discard(step)
        self.fault = saved.error
        if saved.error is not None:
            if self._failed_at != step:  # not once more for every further try
                self._recorder.emit("checkpoint_failed", data={"at_step": step, "error": saved.error})
            self._failed_at, self.at_step = step, None
            for uid in waiting:
                self._live_config.answers.put(
                    uid, self._live_config.refusal(messages.CHECKPOINT_FAILED(step=step, why=saved.error))
                )
            if saved.disk_full:
                self._prune(short_of_disk=True)
            return
        self._failed_at, self.saved_step = None, step
        self._recorder.emit(
            "checkpoint_saved", step=step, branch=request.branch,
            data={"path": str(request.folder.root.relative_to(self._paths.root)), "metrics": request.metrics,
                  "files": saved.files, "size_bytes": saved.size_bytes, "reason": request.reason,
                  "revision": request.revision},
        )  # fmt: skip
        self._recorder.writer.record(step, request.branch, {"events/checkpoint": 1.0})
        for uid in waiting:
            done = Answer(status="done", step=step, branch=request.branch, revision=request.revision)
            self._live_config.answers.put(uid, done)
        self._protected = {kept for kept in self._protected if kept > step}
        self._prune()

    def tell_unrecorded(self) -> None:
        """Record a newest checkpoint that a kill left without an event: otherwise it would never be uploaded."""
        step = self._recorder.step
        manifest = control.manifest_of(self._paths, step)
        if self.at_step != step or not manifest:
            return
        branch = int(manifest["branch"])
        if any(event.branch == branch for event in self._recorder.writer.events_at("checkpoint_saved", step)):
            return
        files = manifest["files"]
        self._recorder.emit(
            "checkpoint_saved", step=step, branch=branch,
            data={"path": str(self._paths.checkpoint(step).root.relative_to(self._paths.root)),
                  "metrics": manifest["metrics"], "files": {name: about["sha256"] for name, about in files.items()},
                  "size_bytes": sum(int(about["bytes"]) for about in files.values()), "reason": manifest["reason"],
                  "revision": manifest["revision"]},
        )  # fmt: skip

    # ---- the best
    def _rank(self, metrics: Mapping[str, float]) -> float | None:
        """The score that ranks a checkpoint, higher is better; None without a finite value of `keep_best_by`."""
        rule = BestRule.of(self._config)
        value = score(metrics, rule.key)
        return None if value is None else rule.rank(value)

    def is_best(self, metrics: Mapping[str, float]) -> bool:
        ranked = self._rank(metrics)
        return ranked is not None and (self._best is None or ranked > self._best)

    def look_for_best(self) -> None:
        """Find the best score on the current line: at the start, and after a rollback."""
        line, present_step = self._recorder.line, self._recorder.step
        ranks = [
            self._rank(saved.metrics)
            for saved in control.local_checkpoints(self._paths, line)
            if saved.on_line and saved.step <= present_step
        ]
        self._best = max((ranked for ranked in ranks if ranked is not None), default=None)

    def save_if_best(self, validated: Event) -> None:
        """Save the state of a requested validation if it is the best so far, as for a scheduled one.

        If this step already has a checkpoint (written or in progress), the record joins the two and nothing is saved.
        """
        figures = validation_figures(validated)
        if not self.is_best(figures):
            return
        if self.at_step == self._run.state.step:
            self._best = self._rank(figures)
        else:
            self.save_now("best", figures={k: v for k, v in figures.items() if k.startswith("val/")})

    def went_back(self, step: int | None) -> None:
        """Note a rollback to the checkpoint of `step`, to be kept until a newer one is written; None: to the start."""
        self.at_step = step
        self._protected = set() if step is None else {step}
        self.look_for_best()

    # ---- pruning
    def _prune(self, *, short_of_disk: bool = False) -> None:
        """Remove the checkpoints that the retention settings no longer keep; if short of disk, only the first of them.

        Checkpoints on abandoned branches do not count towards the last or best ones of the line: they are removed as
        soon as they are uploaded.
        """
        uploaded = self._uploaded()
        local_only = self._config["checkpoint_upload"] == "local"
        line = self._recorder.line
        rows, left_behind = [], []
        for saved in control.local_checkpoints(self._paths, line):
            step, set_aside = saved.step, saved.folder != self._paths.checkpoint(saved.step).root
            if step in self._writing and not set_aside:
                continue
            pinned = not set_aside and (
                (saved.folder / "pinned").exists() or step in self._protected or saved.reason == "start"
            )
            on_server = f"{saved.branch}/{step}" in uploaded
            if set_aside or not saved.on_line:
                left_behind += [saved.folder] if (on_server or local_only) and not pinned else []
                continue
            rows.append(Kept(step=step, score=self._rank(saved.metrics), uploaded=on_server, pinned=pinned))
        gone = to_prune(
            rows, keep_last=int(self._config["keep_last"]), keep_every=int(self._config["keep_every"]),
            local_only=local_only, short_of_disk=short_of_disk,
        )  # fmt: skip
        folders = [*left_behind, *(self._paths.checkpoint(step).root for step in gone)]
        for folder in folders[:1] if short_of_disk else folders:
            discard(folder)

    def _uploaded(self) -> set[str]:
        """`branch/step` of the checkpoints whose upload the tracking server has confirmed."""
        items: dict[str, Any] = from_marks(
            self._paths.delivery_db, lambda marks: marks.item_values(MLFLOW, "checkpoint", "model_id"), {}
        )
        return set(items)
