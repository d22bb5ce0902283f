"""Between two steps: validation and checkpoints that are due, then what people asked for, in order."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from typing import TYPE_CHECKING, Any

from vsrpp import control
from vsrpp.checkpoints.files import load_checkpoint
from vsrpp.checkpoints.snapshot import Snapshot
from vsrpp.control.numbers import LIMITS
from vsrpp.errors import VsrppError, out_of_memory
from vsrpp.store import Answer, Command, Event
from vsrpp.training import memory
from vsrpp.training.cadence import next_talk, out_of_patience, validation_due
from vsrpp.training.checkpoint_manager import Keeper
from vsrpp.training.config_file import Save
from vsrpp.training.live_config import Throttle
from vsrpp.training.non_finite import ORIGIN, find_return
from vsrpp.training.probation import Probation, Verdict
from vsrpp.training.replay_cursor import Walk
from vsrpp.training.rollback import rollback_target

if TYPE_CHECKING:
    from vsrpp.training.trainer import Trainer

PAUSE_LOOK_S = 0.01
"""How often a paused run looks for commands."""
AT_ONCE = frozenset({"pause", "resume", "stop"})
"""Commands that act even while an edit is on probation; all others wait until it is decided."""


class Boundary:
    """Everything the trainer does between two steps."""

    def __init__(self, trainer: Trainer) -> None:
        run = trainer.run
        self.ended: str | None = None
        """`stopped`, or `SIGTERM`, once the run is to end here."""
        self._trainer = trainer
        self._lead = trainer.lead
        self._paths = run.paths
        self._recorder = trainer.recorder
        self._control = trainer.control
        at_step = run.snapshot.step if run.snapshot else None
        self._keeper = Keeper(run.paths, trainer.config, trainer.recorder, trainer.control, at_step)
        self._walk = Walk(
            run.line, run.base_seq, run.history, trainer.recorder, trainer.state, self._try_again, replay=run.replay
        )
        self._walking = True
        self._probation: Probation | None = None
        self._held: list[Command | Save] = []
        """What came while an edit is on probation."""
        self._due_later: str | None = None
        """Why a checkpoint fell due during a probation."""
        self._validated_at: int | None = None
        self._paused = False
        self._slow_look = Throttle(0.5)
        self._opened_at = time.time()
        self._config_row_due = False
        """Whether the config in force changed since its last row; the row is written on leaving the boundary."""
        self._recorded_uids = {
            event.data["command"]: event for event in run.writer.events() if event.data.get("command")
        }

    # ---- life
    def open(self) -> None:
        """Before the first step of this process."""
        trainer, recorder = self._trainer, self._recorder
        self._control.open_file(fresh=trainer.run.fresh)
        if trainer.run.replay:
            return
        if trainer.run.fresh:
            self._config_row_due = True
            if trainer.run.snapshot is not None:
                self._save("start")
                self._keeper.collect(wait=True)
                recorder.emit("restored", data={"resume": False, "from_step": trainer.state.step})
        else:
            limits = {key: trainer.config[key] for key in LIMITS}
            self._keeper.tell_unrecorded()
            recorder.emit(
                "restored",
                data={"resume": True, "from_step": trainer.state.step, "limits": limits,
                      "ranks": trainer.run.group.world_size},
            )  # fmt: skip
        self._show(now=True)

    def after_step(self) -> None:
        """Validation, the controller's decision, the row, the probation's judgement, the checkpoint: in that order."""
        trainer, live, step = self._trainer, self._trainer.live, self._trainer.state.step
        due = validation_due(step, live)
        figures = self._validate() if due else {}
        asked, trainer.state.asked_quality = trainer.state.asked_quality, None
        seen = (figures["val/quality"], figures["val/sharpness"]) if due else asked or (None, None)
        if due:
            self._lead.decided(*seen)
        trainer.row(trainer.decide(*seen))
        reason = "due" if step % live["checkpoint_every"] == 0 else "best" if self._keeper.is_best(figures) else None
        if self._probation is not None:
            self._due_later = reason or self._due_later
            self._judge(self._probation, figures)
        elif reason is not None:
            self._save(reason)
        if out_of_patience(trainer.state, trainer.config):
            self._go_back_by_itself()
        self._show()

    def ask(self) -> None:
        """Take what came since the last boundary; while paused, stay here. Costs about 3 µs when there is nothing.

        With several ranks only where they listen; what comes in between waits until then.
        """
        step = self._trainer.state.step
        if not self._lead.talks_at(step):
            self._keeper.collect()
            return
        self._ask()
        trainer = self._trainer
        if self._lead.group.many and not self.ended and trainer.state.step < trainer.live["max_steps"]:
            self._lead.go(self._next_talk(), trainer.live, trainer.state.asked_quality)

    def _next_talk(self) -> int:
        """An edit on probation may be taken back after any step; the record walked again acts at steps of its own."""
        trainer, step = self._trainer, self._trainer.state.step
        also = [
            trainer.stop_at, step + 1 if self._probation is not None else None,
            self._walk.next_step() if self._walking else None,
        ]  # fmt: skip
        return next_talk(step, trainer.live, int(trainer.config["control_interval"]), also)

    def _ask(self) -> None:
        if self._walking:
            self._config_row_due |= self._walk.act()
            if not self._walk.over:
                self._leave_if_signalled()
                self._write_config_row()
                return
            self._walking = False
            self._recorder.walk_again(())
            self._take()
            if not self._trainer.run.fresh and self._probation is None:
                self._control.refresh_file()
        while True:
            self._take()
            self._keeper.collect()
            self._stop_if_signalled()
            self._stop_if_out_of_hours()
            if self._slow_look.due():
                self._recorder.look_at_faces()
            if not self._paused or self.ended:
                break
            self._show()
            self._lead.keep_waiting()
            with self._trainer.pace.doing("paused"):
                time.sleep(PAUSE_LOOK_S)
        self._write_config_row()

    def finish(self) -> str | None:
        """The last step is done: final validation and checkpoint, then the final event.

        None if it was not the last after all: an edit that waited for a probation's end asks for more steps.
        """
        if self._probation is not None:
            self._confirm(self._probation, Verdict(False, "the run is over", self._probation.before, {}))
            self.ask()
            if self.ended or self._trainer.state.step < self._trainer.live["max_steps"]:
                return self.ended
        if self._validated_at != self._trainer.state.step:
            self._validate()
        self._lead.end("finished")
        self._save("end")
        self._keeper.collect(wait=True)
        self._recorder.emit(
            "finished", data={key.removeprefix("val/"): value for key, value in self._trainer.last_val.items()}
        )
        self._show("finished", now=True)
        return "finished"

    def fail(self, error: BaseException) -> VsrppError:
        """Put a failure on record, tell the other ranks, and say it in one line, which names the rank that caused it."""
        trouble = self._trainer.run.group.trouble(error)
        broken, error = trouble is not None, trouble or error
        no_memory = out_of_memory(error)
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        with contextlib.suppress(
            sqlite3.Error, OSError
        ):  # a full disk may be what ended it: then nothing can be written
            self._keeper.collect(wait=True)
            self._refuse_rest([])
            if no_memory:
                self._recorder.emit("out_of_memory", data={"error": line})
            self._recorder.emit("failed", data={"error": line})
            self._show("failed", now=True)
        self._lead.give_up(self._trainer.state.step, broken=broken)
        if isinstance(error, VsrppError):
            return error
        if no_memory:
            run = self._trainer.run
            said = memory.advice(run.run_config, run.device, memory.there_is(run.device), run.group.world_size)
            return VsrppError(f"{said} ({line})")
        return VsrppError(f"the run failed at step {self._trainer.state.step}: {type(error).__name__}: {line}")

    def close(self) -> None:
        self._keeper.close()

    def _show(self, state: str | None = None, *, now: bool = False) -> None:
        probation = self._probation
        facts: dict[str, Any] = {}
        if probation is not None:
            conditions = " or ".join(map(str, probation.conditions))
            facts = {
                "probation": {
                    "until_step": probation.last_step,
                    "revert_if": conditions,
                    "revision": probation.event.revision,
                }
            }
        self._trainer.show(state or ("paused" if self._paused else "training"), facts, now=now)

    # ---- what people ask
    def _take(self) -> None:
        """Handle what came, in order; during a probation only what acts at once, the rest is kept."""
        asked = [*self._held, *self._control.take()] if self._probation is None else self._control.take()
        self._held = [] if self._probation is None else self._held
        for number, one in enumerate(asked):
            if self._probation is not None and (isinstance(one, Save) or one.kind not in AT_ONCE):
                self._held.append(one)
                continue
            self._handle(one)
            if self.ended:
                self._refuse_rest(asked[number + 1 :])
                return

    def _refuse_rest(self, asked: list[Command | Save]) -> None:
        for one in [*self._held, *asked]:
            if isinstance(one, Command):
                self._control.answers.put(one.uid, self._control.refusal("the run has ended"))

    def _handle(self, asked: Command | Save) -> None:
        if isinstance(asked, Save) or asked.kind == "edit":
            self._edit(asked)
            return
        if asked.uid in self._recorded_uids:
            self._done(asked)
            return
        if asked.time < self._opened_at and not self._trainer.run.fresh:
            self._control.answers.put(asked.uid, self._control.refusal("the run ended before it could act; ask again"))
            return
        handlers = {
            "pause": self._pause, "resume": self._resume, "validate": self._validate_now,
            "checkpoint": self._checkpoint_now, "stop": self._stop, "rollback": self._rollback,
        }  # fmt: skip
        handlers[asked.kind](asked)

    def _edit(self, asked: Command | Save) -> None:
        on_trial = isinstance(asked, Command) and bool(asked.payload.get("probation"))
        before, head = self._control.revision, self._recorder.writer.head()
        held = self._trainer.state.capture(self._trainer.live) if on_trial else None
        self._control.decide(asked, recorded_uids=self._recorded_uids)
        if self._control.revision != before:
            self._config_row_due = True
            if held is not None:
                event = self._recorder.writer.last_event("config_applied")
                assert event is not None
                self._begin_probation(event, held, head, before)
        self._show(now=True)

    def _done(self, asked: Command, message: str = "") -> None:
        recorder = self._recorder
        answer = Answer(
            status="done", step=recorder.step, branch=recorder.branch, revision=recorder.revision, message=message
        )
        self._control.answers.put(asked.uid, answer)

    def _event(self, type: str, asked: Command, **data: Any) -> None:
        event = self._recorder.emit(
            type, origin=asked.origin, author=asked.author, reason=asked.reason, data={"command": asked.uid, **data}
        )
        if event is not None:
            self._recorded_uids[asked.uid] = event

    def _pause(self, asked: Command) -> None:
        if not self._paused:
            self._paused = True
            self._event("paused", asked)
            self._show(now=True)
        self._done(asked)

    def _resume(self, asked: Command) -> None:
        if self._paused:
            self._paused = False
            self._event("resumed", asked)
            self._show(now=True)
        self._done(asked)

    def _validate_now(self, asked: Command) -> None:
        self._validate(asked)
        self._done(asked)

    def _checkpoint_now(self, asked: Command) -> None:
        step = self._trainer.state.step
        if self._keeper.at_step != step:
            self._save("asked", waiting=asked.uid)
        elif not self._keeper.answer_when_saved(step, asked.uid):
            there = control.manifest_of(self._paths, step) or {}
            self._control.answers.put(
                asked.uid,
                Answer(
                    status="done", step=step, branch=int(there.get("branch", self._recorder.branch)),
                    revision=int(there.get("revision", self._control.revision)),
                    message=f"checkpoint {step} is there already",
                ),
            )  # fmt: skip

    def _stop(self, asked: Command) -> None:
        self._halt()
        self._event("stopped", asked, why="stop")
        self._show("stopped", now=True)
        self._done(asked)
        self.ended = "stopped"

    def _stop_if_signalled(self) -> None:
        name = self._trainer.signal
        if name is None or self.ended:
            return
        self._halt()
        self._recorder.emit("stopped", data={"why": name})
        self._show("stopped", now=True)
        self._refuse_rest([])
        self.ended = "SIGTERM" if name == "SIGTERM" else "stopped"

    def _stop_if_out_of_hours(self) -> None:
        """The run's machine time is used up: the same end as a stop, and a resume with more hours goes on from it."""
        hours, spent_s = self._trainer.config["max_hours"], self._trainer.pace.spent_s
        if hours is None or self.ended or self._trainer.run.replay or spent_s < 3600 * hours:
            return
        self._halt()
        self._recorder.emit(
            "stopped", reason=f"the {hours:g} hours of max_hours are used up",
            data={"why": "max_hours", "max_hours": hours, "spent_s": spent_s},
        )  # fmt: skip
        self._show("stopped", now=True)
        self._refuse_rest([])
        self.ended = "stopped"

    def _leave_if_signalled(self) -> None:
        """While the record is walked again there is nothing new to save: just leave; a resume walks it once more."""
        if self._trainer.signal is not None:
            self._lead.end("stopped")
            self._show("stopped", now=True)
            self.ended = "SIGTERM" if self._trainer.signal == "SIGTERM" else "stopped"

    def _halt(self) -> None:
        """The last row, and a checkpoint: of the present state, or of the one a probation holds."""
        trainer = self._trainer
        self._lead.end("stopped")
        if trainer.last and trainer.state.step % trainer.live["log_every"]:
            trainer.last_row()
        if self._probation is not None:
            held = self._probation
            self._keeper.save(
                held.held, branch=self._recorder.branch, revision=held.revision_before, chain=held.head, metrics={},
                reason="stop",
            )  # fmt: skip
        elif trainer.state.step:
            self._save("stop")
        self._keeper.collect(wait=True)

    # ---- going back
    def _rollback(self, asked: Command) -> None:
        """Go back to a checkpoint: everything but the record, under a new revision and branch."""
        self._keeper.collect(wait=True)
        try:
            folder = rollback_target(
                self._paths, self._recorder.writer, asked.payload, at_step=self._trainer.state.step
            )
            snapshot, manifest = load_checkpoint(folder)
        except VsrppError as error:
            self._control.answers.put(asked.uid, self._control.refusal(str(error)))
            return
        live = self._control.live
        changes = [
            {"key": key, "old": old, "new": snapshot.live[key]}
            for key, old in live.items()
            if key in snapshot.live and snapshot.live[key] != old
        ]
        event = self._turn(
            "rolled_back", snapshot, int(manifest["chain"]["seq"]), changes, origin=asked.origin, author=asked.author,
            reason=asked.reason,
            data={"command": asked.uid, "path": str(folder.root.relative_to(self._paths.root))},
        )  # fmt: skip
        self._recorded_uids[asked.uid] = event
        self._keeper.went_back(snapshot.step)
        self._recorder.row({"events/rollback": 1.0, "run/branch": float(event.branch)})
        self._show(now=True)
        self._done(asked)

    def _go_back_by_itself(self) -> None:
        """Too many steps in a row were not finite: back to a good state, at a lower rate. Raises VsrppError to give up."""
        trainer = self._trainer
        self._lead.met(trainer.state.step)
        self._keeper.collect(wait=True)
        found = find_return(trainer.run, trainer.state, trainer.live)
        event = self._turn(
            "rolled_back", found.snapshot, found.to_seq, found.changes, origin=ORIGIN, author=None, reason=found.why,
            data={"path": found.path, "return": found.number},
        )  # fmt: skip
        self._walk.end()
        self._keeper.went_back(found.snapshot.step if found.path else None)
        self._recorder.row({"events/rollback": 1.0, "run/branch": float(event.branch)})
        self._write_config_row()

    def _turn(
        self, type: str, snapshot: Snapshot, to_seq: int, changes: list[dict[str, Any]], *, data: dict[str, Any],
        origin: str | None, author: str | None, reason: str | None,
    ) -> Event:  # fmt: skip
        """Record a turn back, and take on the earlier state under the next revision and branch."""
        recorder = self._recorder
        event = recorder.emit(
            type, branch=recorder.branch + 1, revision=recorder.revision + 1, origin=origin, author=author,
            reason=reason,
            data={**data, "from_step": self._trainer.state.step, "to_step": snapshot.step, "to_seq": to_seq,
                  "from_branch": recorder.branch, "changes": changes},
        )  # fmt: skip
        assert event is not None
        self._control.history.add(event)
        self._control.rewrite_file()
        self._trainer.go_back(snapshot)
        recorder.branch = event.branch
        self._validated_at, self._config_row_due = None, True
        return event

    # ---- probation
    def _try_again(self, event: Event) -> None:
        """An edit on probation that a kill left undecided: hold the state, apply it once more, judge anew."""
        held, before = self._trainer.state.capture(self._trainer.live), self._control.revision
        head = next(e for e in self._recorder.writer.events(after_seq=event.seq - 2, limit=1))
        self._walk.take(event)
        self._begin_probation(event, held, (head.seq, head.hash), before)

    def _begin_probation(self, event: Event, held: Snapshot, head: tuple[int, str], revision_before: int) -> None:
        state = self._trainer.state
        probation = Probation.begin(event, held, head, revision_before, state.recent, {})
        if probation.needs_validation:
            figures = self._trainer.last_val if self._validated_at == state.step else self._figures()
            probation = Probation.begin(event, held, head, revision_before, state.recent, figures)
        self._probation = probation

    def _judge(self, probation: Probation, figures: dict[str, float]) -> None:
        step = self._trainer.state.step
        if probation.needs_validation and not figures and step >= probation.last_step:
            figures = self._figures()
        verdict = probation.observe(step, self._trainer.state.recent[-1], figures)
        if verdict is None:
            return
        if verdict.revert:
            self._revert(probation, verdict)
        else:
            self._confirm(probation, verdict)

    def _revert(self, probation: Probation, verdict: Verdict) -> None:
        """Back to the very state from before the edit, as if it had never been; only the record knows."""
        changes = [{"key": c["key"], "old": c["new"], "new": c["old"]} for c in probation.event.data["changes"]]
        self._probation, self._due_later = None, None
        self._turn(
            "config_reverted", probation.held, probation.head[0], changes, origin="probation", author=None,
            reason=verdict.why,
            data={"command": probation.event.data.get("command"), "before": verdict.before, "now": verdict.now},
        )  # fmt: skip
        self._keeper.look_for_best()

    def _confirm(self, probation: Probation, verdict: Verdict) -> None:
        self._probation = None
        self._recorder.emit(
            "config_confirmed", origin="probation", reason=verdict.why,
            data={"command": probation.event.data.get("command"), "changes": probation.event.data["changes"],
                  "before": verdict.before, "now": verdict.now},
        )  # fmt: skip
        reason, self._due_later = self._due_later, None
        if reason is not None:
            self._save(reason)

    # ---- validation and checkpoints
    def _figures(self) -> dict[str, float]:
        """Score the EMA network without a word to anybody: for a probation's judgement alone."""
        self._lead.validate(pictures=False)
        with self._trainer.pace.doing("validation"):
            run = self._trainer.validator.run(
                self._trainer.state.model_ema, self._trainer.state.step, self._paths.root, None,
                lambda: self._show("validating"),
            )  # fmt: skip
        return {f"val/{name}": value for name, value in run.means.items()}

    def _validate(self, asked: Command | None = None) -> dict[str, float]:
        trainer, step = self._trainer, self._trainer.state.step
        self._show("validating", now=True)
        self._lead.validate(pictures=True)
        with trainer.pace.doing("validation"):
            result = trainer.validator.run(
                trainer.state.model_ema, step, self._paths.root, self._paths.images, lambda: self._show("validating")
            )
        figures = {f"val/{name}": value for name, value in result.means.items()}
        trainer.last_val = figures
        self._recorder.row({**figures, "events/validation": 1.0})
        data = {**result.means, "clips": result.clips, "images": result.images, "by_hand": asked is not None}
        if asked is not None:
            trainer.state.asked_quality = (result.means["quality"], result.means["sharpness"])
            self._event("validated", asked, **data)
        else:
            self._recorder.emit("validated", data=data)
        self._validated_at = step
        self._show(now=True)
        return figures

    def _save(self, reason: str, *, waiting: str | None = None) -> None:
        """Copy the state and hand it to the keeper, unless this step has its checkpoint."""
        trainer, step = self._trainer, self._trainer.state.step
        if trainer.run.replay or (self._keeper.at_step == step and reason != "start"):
            return
        metrics = {key: value for key, value in trainer.last.items() if key.startswith("loss/")}
        if self._validated_at == step:
            metrics |= trainer.last_val
        with trainer.pace.doing("checkpoint"):
            self._keeper.save(
                trainer.state.capture(trainer.live), branch=self._recorder.branch, revision=self._control.revision,
                chain=self._walk.seen(self._recorder.writer.head()), metrics=metrics, reason=reason, waiting=waiting,
            )  # fmt: skip

    def _write_config_row(self) -> None:
        """`config/<key>` of every numeric live value, and the revision, once however many edits this boundary saw."""
        if not self._config_row_due:
            return
        self._config_row_due = False
        numbers = {f"config/{k}": float(v) for k, v in self._control.live.items() if isinstance(v, (int, float))}
        numbers["config/revision"] = float(self._control.revision)
        if self._control.revision:
            numbers["events/config_change"] = 1.0
        self._recorder.row(numbers, replace=True)
