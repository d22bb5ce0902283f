"""Commands from people: rank 0 decides them in order at a step boundary and broadcasts them to all ranks as turns."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from vsrpp import control
from vsrpp.control.numbers import LIMITS
from vsrpp.data import moved
from vsrpp.errors import VsrppError
from vsrpp.plugins import record as plugin_record
from vsrpp.store import Answer, Command
from vsrpp.training import messages
from vsrpp.training.cadence import next_turn, out_of_patience
from vsrpp.training.checkpoint_manager import CheckpointManager
from vsrpp.training.config_file import Save
from vsrpp.training.context import RunContext
from vsrpp.training.ending import RunEnding
from vsrpp.training.live_config import LiveConfig
from vsrpp.training.non_finite import find_return
from vsrpp.training.prepared import Prepared
from vsrpp.training.probation import Probations
from vsrpp.training.recorder import RunRecorder
from vsrpp.training.replay_cursor import ReplayCursor
from vsrpp.training.requests import Request
from vsrpp.training.rollback import Rollback
from vsrpp.training.status import RunStatus
from vsrpp.training.storage_wait import WAITS_A_TIMEOUT, StorageWait
from vsrpp.training.throttle import Throttle
from vsrpp.training.turn import Turn

PAUSE_LOOK_S = 0.01
"""How often a paused run checks for commands."""
BOUNDARY_BUDGET_S = 0.05
"""How long new requests may hold one step boundary; the rest waits for the next one, where a pause, resume or stop
passes all others."""
AT_LEAST = 8
"""Requests handled at a boundary however long they take, so that those sent together act together."""


class RunCommands:
    """Rank 0's decisions at a step boundary."""

    def __init__(
        self, run: RunContext, prepared: Prepared, recorder: RunRecorder, status: RunStatus, live_config: LiveConfig,
        checkpoints: CheckpointManager, cursor: ReplayCursor, rollback: Rollback, probations: Probations,
        ending: RunEnding, storage: StorageWait, *, stop_at: int | None = None,
    ) -> None:  # fmt: skip
        """`stop_at`: the step at which a replay ends."""
        self._run = run
        self._prepared = prepared
        self._recorder = recorder
        self._status = status
        self.live_config = live_config
        self._checkpoints = checkpoints
        self._cursor = cursor
        self._rollback = rollback
        self._probations = probations
        self._ending = ending
        self._storage = storage
        self._stop_at = stop_at
        self._walking = True
        """Whether recorded events are still to be repeated: new commands wait until the end of the record."""
        self._behind = False
        """Whether the last boundary's time did not suffice for all requests."""
        self._last: tuple[Command, int] | None = None
        """The last command handled, and the newest one in the inbox at that time."""
        self._slow_look = Throttle(0.5)
        self._wait_again = Throttle(min(run.group.timeout_s / WAITS_A_TIMEOUT, 20.0))
        self._recorded = {
            event.data["command"]: event for event in recorder.writer.events() if event.data.get("command")
        }
        """Events of completed commands, by the command's uid."""
        ending.refuse_rest = live_config.refuse_rest
        ending.repeating = lambda: self._walking

    def turns(self, *, after_step: bool) -> Iterator[Turn]:
        for turn in self._decide(after_step=after_step):
            yield self._run.group.broadcast(turn)

    # ---- one boundary
    def _decide(self, *, after_step: bool) -> Iterator[Turn]:
        run, state, ending = self._run, self._run.state, self._ending
        if after_step:
            bad_frames = self._recorder.bad_samples.news()
            if bad_frames is not None:
                yield Turn(live=self.live_config.live, bad_frames=bad_frames)
            yield from self._storage.hold()
            yield from self._look_at_step()
        else:
            yield from self._open()
            if state.unfinished is not None:  # complete the newest step first; then this boundary is due
                yield Turn(live=self.live_config.live, steps_until=state.step if run.group.many else None)
                return
        while True:
            if state.step == self._stop_at:
                yield from ending.replayed()
                return
            yield from self._act()
            if ending.ended:
                return
            yield from self._storage.hold()
            if state.step < self.live_config.live["max_steps"]:
                break
            if self._probations.current is None:
                yield from ending.finish()
                return
            self._probations.confirm_at_end()  # then check again: a deferred edit may raise max_steps
        yield Turn(
            live=self.live_config.live, asked_quality=state.asked_quality,
            steps_until=self._next_turn() if run.group.many else None,
        )  # fmt: skip

    def _open(self) -> Iterator[Turn]:
        """Before the first step of this process: broadcast rank 0's state."""
        run, recorder, prepared = self._run, self._recorder, self._prepared
        if run.group.many:
            yield Turn(live=self.live_config.live, go_back_to=run.state.capture(self.live_config.live))
        if prepared.bad_frames or prepared.bad_frames.complete:
            yield Turn(live=self.live_config.live, bad_frames=prepared.bad_frames)
        self.live_config.open_file(fresh=prepared.fresh)
        if prepared.replay:
            return
        if prepared.fresh:
            self.live_config.row_due = True
            if prepared.snapshot is not None:
                self._checkpoints.save_now("start")
                self._checkpoints.collect(wait=True)
                recorder.emit("restored", data={"resume": False, "from_step": run.state.step})
        else:
            limits = {key: run.run_config[key] for key in LIMITS}
            self._checkpoints.tell_unrecorded()
            changed = run.run_config.get("plugins") if prepared.changed_code else None
            code = {"plugins": changed, "plugin_sources": plugin_record.sources(run.run_config)} if changed else {}
            recorder.emit(
                "restored",
                data={
                    "resume": True, "from_step": run.state.step, "limits": limits, "ranks": run.group.world_size, **code,
                    **self._moved(),
                    **({"set_aside": list(prepared.set_aside)} if prepared.set_aside else {}),
                },
            )  # fmt: skip
        self._status.show(now=True)

    def _moved(self) -> dict[str, Any]:
        """Where the data is now, if it is not where it was at the start."""
        started = self._prepared.line.events[0].data["run_config"]
        now = {key: self._run.run_config.get(key) for key in moved.KEYS}
        return {"moved": now} if now != {key: started.get(key) for key in moved.KEYS} else {}

    def _look_at_step(self) -> Iterator[Turn]:
        """Judge an edit on probation by the step just made, and decide whether the run must return to a checkpoint."""
        run = self._run
        yield from self._probations.judge()
        if out_of_patience(run.state, run.run_config):
            self._checkpoints.collect(wait=True)
            yield from self._rollback.by_itself(find_return(self._prepared, run.state, self.live_config.live))
            self._cursor.end()
            self.live_config.write_row()
        self._status.show()

    def _next_turn(self) -> int:
        """The next step to meet at: every step during a probation, and steps of recorded events to be repeated."""
        step = self._run.state.step
        also = [
            self._stop_at, step + 1 if self._probations.current is not None else None,
            self._cursor.next_step() if self._walking else None,
        ]  # fmt: skip
        return next_turn(step, self.live_config.live, int(self._run.run_config["control_interval"]), also)

    def _act(self) -> Iterator[Turn]:
        """Handle new commands; while paused, stay here. Costs about 3 µs if there are none."""
        if self._walking:
            yield from self._walk()
            if self._walking:
                return
        while True:
            yield from self._take()
            self._checkpoints.collect()
            yield from self._ending.stop_if_signalled()
            if not self._prepared.replay:
                yield from self._ending.stop_if_out_of_hours()
            if self._slow_look.due():
                self._recorder.look_at_sidecars()
            if not self._status.paused or self._ending.ended:
                break
            yield from self._storage.hold()
            self._status.show()
            if self._run.group.many and self._wait_again.due():
                yield Turn(live=self.live_config.live)
            with self._run.throughput.doing("paused"):
                time.sleep(PAUSE_LOOK_S)
        self.live_config.write_row()
        self.live_config.mend_file()

    def _walk(self) -> Iterator[Turn]:
        """Repeat the events recorded at this step, until the end of the record."""
        for event in self._cursor.due():
            if event.type == "validated":
                self._checkpoints.save_if_best(event)  # a kill may have interrupted writing its checkpoint
                continue
            self.live_config.row_due = True
            if self._cursor.undecided(event):
                yield from self._probations.try_again(event)
            else:
                self._cursor.take(event)
        if not self._cursor.over:
            yield from self._ending.leave_if_signalled()
            self.live_config.write_row()
            return
        self._walking = False
        self._recorder.walk_again(())
        yield from self._take()
        if not self._prepared.fresh and self._probations.current is None:
            self.live_config.refresh_file()

    # ---- commands, in order
    def _take(self) -> Iterator[Turn]:
        """Handle new requests in order, for a limited time; during a probation only the urgent ones.

        A signal goes before all of them.
        """
        live_config, ending, probations = self.live_config, self._ending, self._probations
        live_config.requests.look()
        live_config.refuse_beyond_limits()
        handled, until = 0, time.monotonic() + BOUNDARY_BUDGET_S
        while ending.signal is None and (handled < AT_LEAST or time.monotonic() < until):
            request = live_config.requests.next(urgent_first=self._behind, only_urgent=probations.current is not None)
            if request is None:
                self._behind = False
                return
            yield from self._handle(request)
            handled += 1
            if ending.ended:
                live_config.refuse_rest()
                return
        self._behind = True

    def _handle(self, request: Request) -> Iterator[Turn]:
        if isinstance(request, Command):
            if self._repeats_last(request):
                return
            self._last = request, self.live_config.requests.pending.newest()
        elif isinstance(request, Save):
            self._last = None
        if not isinstance(request, Command) or request.kind == "edit":
            yield from self._edit(request)
        elif request.uid in self._recorded:
            self._done(request)
        elif not self._prepared.fresh and request.id <= self.live_config.requests.pending.newest_at_start:
            self._refuse(request, messages.ENDED_BEFORE())
        else:
            handlers = {
                "pause": self._pause, "resume": self._resume, "validate": self._validate,
                "checkpoint": self._checkpoint, "stop": self._stop, "rollback": self._go_back,
            }  # fmt: skip
            yield from handlers[request.kind](request)

    def _repeats_last(self, command: Command) -> bool:
        """Whether a command was waiting beside the last one and asks for the same: then both are one, with one answer."""
        if self._last is None:
            return False
        first, newest = self._last
        if command.id > newest or not command.repeats(first) or command.uid in self._recorded:
            return False
        self.live_config.answers.put_same(command.uid, first.uid)
        return True

    def _edit(self, request: Request) -> Iterator[Turn]:
        on_trial = isinstance(request, Command) and bool(request.payload.get("probation"))
        live_config, before, head = self.live_config, self.live_config.revision, self._recorder.writer.head()
        held = self._run.state.capture(live_config.live) if on_trial else None
        live_config.decide(request, recorded_uids=self._recorded)
        if live_config.revision != before and held is not None:
            event = self._recorder.writer.last_event("config_applied")
            assert event is not None
            yield from self._probations.begin(event, held, head, before)
        self._status.show(now=True)

    def _pause(self, command: Command) -> tuple[()]:
        if not self._status.paused:
            self._status.paused = True
            self._note("paused", command)
            self._status.show(now=True)
        return self._done(command)

    def _resume(self, command: Command) -> tuple[()]:
        if self._status.paused:
            self._status.paused = False
            self._note("resumed", command)
            self._status.show(now=True)
        return self._done(command)

    def _validate(self, command: Command) -> Iterator[Turn]:
        run = self._run
        yield Turn(live=self.live_config.live, validate="on record")
        assert run.scores is not None
        event = self._recorder.validated_on_request(run.scores, command)
        run.state.asked_quality = (run.scores.quality, run.scores.sharpness)
        if event is not None:
            self._recorded[command.uid] = event
            self._checkpoints.save_if_best(event)
        self._status.show(now=True)
        self._done(command)

    def _checkpoint(self, command: Command) -> tuple[()]:
        step = self._run.state.step
        if self._checkpoints.at_step != step:
            self._checkpoints.save_now("asked", waiting=command.uid)
        elif not self._checkpoints.answer_when_saved(step, command.uid):
            there = control.manifest_of(self._prepared.paths, step) or {}
            self.live_config.answers.put(
                command.uid,
                Answer(
                    status="done", step=step, branch=int(there.get("branch", self._recorder.branch)),
                    revision=int(there.get("revision", self.live_config.revision)),
                    message=f"checkpoint {step} already exists",
                ),
            )  # fmt: skip
        return ()

    def _stop(self, command: Command) -> Iterator[Turn]:
        yield from self._ending.stop(command)
        self._done(command)

    def _go_back(self, command: Command) -> Iterator[Turn]:
        try:
            event = yield from self._rollback.to_checkpoint(command)
        except VsrppError as error:
            self._refuse(command, error)
            return
        self._recorded[command.uid] = event
        self._status.show(now=True)
        self._done(command)

    # ---- answers
    def _done(self, command: Command) -> tuple[()]:
        """Answer a completed command; returns no further turns."""
        recorder = self._recorder
        self.live_config.answers.put(
            command.uid, Answer(status="done", step=recorder.step, branch=recorder.branch, revision=recorder.revision)
        )
        return ()

    def _refuse(self, command: Command, error: VsrppError) -> None:
        self.live_config.answers.put(command.uid, self.live_config.refusal(error))

    def _note(self, type: str, command: Command) -> None:
        event = self._recorder.emit_asked(type, command)
        if event is not None:
            self._recorded[command.uid] = event
