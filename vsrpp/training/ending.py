"""How a run ends: at its last step, by a command, by a signal, out of machine time, or by a failure."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
from collections.abc import Callable, Iterator
from typing import IO, Any

from vsrpp.documents import RemarkDocument
from vsrpp.errors import START_AGAIN_SIGNALS, VsrppError, because, out_of_memory
from vsrpp.inference.memory import there_is
from vsrpp.store import Command
from vsrpp.training import memory, messages
from vsrpp.training.checkpoint_manager import CheckpointManager
from vsrpp.training.context import RunContext
from vsrpp.training.live_config import LiveConfig
from vsrpp.training.probation import Probations
from vsrpp.training.recorder import RunRecorder
from vsrpp.training.status import RunStatus
from vsrpp.training.storage_wait import CHECKPOINT_RETRY_S, StorageWait
from vsrpp.training.turn import Turn


class RunEnding:
    """Ends the run on all ranks, with everything saved and recorded. Used on rank 0 only."""

    def __init__(
        self, run: RunContext, recorder: RunRecorder, status: RunStatus, live_config: LiveConfig,
        checkpoints: CheckpointManager, probations: Probations, storage: StorageWait, lock: IO[str] | None,
    ) -> None:  # fmt: skip
        self.ended: str | None = None
        """`finished`, `stopped`, `SIGTERM` or `replayed`, once the run ends at this boundary."""
        self.signal: str | None = None
        """SIGINT, SIGTERM, SIGHUP or SIGUSR1 after it was received; handled at the next boundary."""
        self.refuse_rest: Callable[[], None] = lambda: None
        """Answers the commands that wait for the end of a probation."""
        self.repeating: Callable[[], bool] = lambda: False
        """Whether recorded events are still being repeated, so that there is nothing new to save."""
        self._run = run
        self._recorder = recorder
        self._status = status
        self._live_config = live_config
        self._checkpoints = checkpoints
        self._probations = probations
        self._storage = storage
        storage.signal = lambda: self.signal
        self._lock = lock
        self._told = False
        """Whether the other ranks know that the run is over."""

    def begin(self) -> None:
        def caught(number: int, _frame: Any) -> None:
            name = signal.Signals(number).name
            if self.signal is not None and name == "SIGINT":
                raise KeyboardInterrupt
            self.signal = name

        for number in (signal.SIGINT, *START_AGAIN_SIGNALS):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # ignored under nohup
                signal.signal(number, caught)

    # ---- orderly
    def replayed(self) -> Iterator[Turn]:
        yield self._last_turn("replayed")

    def finish(self) -> Iterator[Turn]:
        """After the last step: final validation and checkpoint, then the final event."""
        run = self._run
        if run.scored_at != run.state.step:
            yield Turn(live=self._live_config.live, validate="on record")
            assert run.scores is not None
            self._recorder.validated(run.scores)
            self._status.show(now=True)
        yield from self._storage.hold()
        yield self._last_turn("finished")
        yield from self._save_last("end")
        last_val = run.scores.means if run.scores else {}
        self._recorder.emit("finished", data=last_val)
        yield from self._show_end("finished")

    def stop(self, command: Command) -> Iterator[Turn]:
        """Stop on request; the caller answers the command."""
        yield from self._halt("stopped")
        self._recorder.emit_asked("stopped", command, why="stop")
        yield from self._show_end("stopped")

    def stop_if_signalled(self) -> Iterator[Turn]:
        if self.signal is None or self.ended:
            return
        yield from self._halt(self._ends_as())
        self._recorder.emit("stopped", data={"why": self.signal})
        yield from self._show_end("stopped")
        self.refuse_rest()

    def leave_if_signalled(self) -> Iterator[Turn]:
        """While recorded events are being repeated there is nothing new to save: just exit; a resume repeats them."""
        if self.signal is not None:
            yield self._last_turn(self._ends_as())
            self._status.show("stopped", now=True)

    def _ends_as(self) -> str:
        """`stopped` after Ctrl-C; `SIGTERM` after any signal that asks for a restart."""
        return "stopped" if self.signal == "SIGINT" else "SIGTERM"

    def stop_if_out_of_hours(self) -> Iterator[Turn]:
        """The run's machine time is used up: end as after a stop; a resume with more hours continues from there."""
        hours, spent_s = self._run.run_config["max_hours"], self._run.throughput.spent_s
        if hours is None or self.ended or spent_s < 3600 * hours:
            return
        yield from self._halt("stopped")
        self._recorder.emit(
            "stopped", reason=f"the {hours:g} hours of max_hours are used up",
            data={"why": "max_hours", "max_hours": hours, "spent_s": spent_s},
        )  # fmt: skip
        yield from self._show_end("stopped")
        self.refuse_rest()

    def _halt(self, ended: str) -> Iterator[Turn]:
        """Write the last row and a checkpoint: of the current state, or of the state that a probation holds."""
        run = self._run
        yield self._last_turn(ended)
        if run.metrics and run.state.step % self._live_config.live["log_every"]:
            self._recorder.step_row(None, [run.figures()])
        yield from self._save_last("stop")

    def _save_last(self, reason: str) -> Iterator[Turn]:
        """Write the checkpoint that the end of the run promises, and its record; wait until that is possible."""

        def unwritten() -> RemarkDocument | None:
            remark = self._storage.record_unwritten()
            if remark is None:
                self._save(reason)
                fault = self._checkpoints.fault
                remark = messages.CHECKPOINT_UNWRITTEN.filled(why=fault) if fault else self._storage.record_unwritten()
            return remark

        yield from self._storage.until(unwritten, retry_s=CHECKPOINT_RETRY_S, others_wait=False)

    def _show_end(self, state: str) -> Iterator[Turn]:
        """Publish the final state once its event is on disk."""
        yield from self._storage.until(self._storage.record_unwritten, others_wait=False)
        self._status.show(state, now=True)

    def _save(self, reason: str) -> None:
        """Write a checkpoint: of the current state, or of the state that a probation holds."""
        run, probation = self._run, self._probations.current
        if probation is not None:
            self._checkpoints.save(
                probation.held, branch=self._recorder.branch, revision=probation.revision_before, chain=probation.head,
                metrics={}, reason=reason,
            )  # fmt: skip
        elif run.state.step:
            self._checkpoints.save_now(reason)
        self._checkpoints.collect(wait=True)

    def _last_turn(self, ended: str) -> Turn:
        self.ended, self._told = ended, True
        return Turn(live=self._live_config.live, stop=ended)

    # ---- by a failure
    def failed(self, error: Exception) -> VsrppError:
        """Record the failure and tell the other ranks; returns an error with one line that names the failed rank."""
        if isinstance(error, VsrppError) and error.reason_code == messages.NOT_SAVED.code:
            return self._not_saved(error)
        run = self._run
        fault = run.group.peer_fault(error)
        cause: Exception = fault or error
        line = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
        with contextlib.suppress(sqlite3.Error, OSError):
            self._save_if_sound()
            self._checkpoints.collect(wait=True)
            self.refuse_rest()
            if out_of_memory(cause):
                self._recorder.emit("out_of_memory", data={"error": line})
            code = because(cause.reason_code, cause.fields) if isinstance(cause, VsrppError) else {}
            self._recorder.emit("failed", data={"error": line, **code})
            self._show_failure("failed", line)
        self._give_up(reachable=fault is None)
        if isinstance(cause, VsrppError):
            return cause
        if out_of_memory(cause):
            advice = memory.advice(run.run_config, run.device, there_is(run.device), run.group.world_size)
            return messages.OUT_OF_MEMORY(advice=advice, why=line)
        return messages.FAILED_AT_STEP(step=run.state.step, type=type(cause).__name__, why=line)

    def _not_saved(self, error: VsrppError) -> VsrppError:
        """The run ends during a wait: record that if the disk that has run.db can be written."""
        ended, why = error.fields["ended"], str(error)
        state = "stopped" if ended == self.signal else "failed"
        self.ended = self.ended or state
        data = {"why": ended} if state == "stopped" else {}
        error_data = {"error": why, **because(error.reason_code, error.fields)}
        with contextlib.suppress(sqlite3.Error, OSError):
            self._recorder.emit(state, data={**data, **error_data})
            self.refuse_rest()
            self._show_failure(state, why)
        self._give_up(reachable=True)
        return error

    def _show_failure(self, state: str, why: str) -> None:
        """Publish an end that does not wait for its event."""
        if self._storage.record_unwritten() is None:
            self._status.show(state, now=True)
        else:
            self._status.ended_unsaved(state, why)

    def _save_if_sound(self) -> None:
        """After a failure between two steps, such as of a data worker: save what was trained since the last checkpoint.

        A step cut short has no state to resume from, and a run that failed of its own numbers would only fail again.
        """
        run = self._run
        if run.between_steps and not self.ended and not self.repeating() and not run.state.skipped_in_a_row:
            with contextlib.suppress(RuntimeError):  # a device that is lost has no state to copy
                self._save("failed")

    def _give_up(self, *, reachable: bool) -> None:
        """Tell the other ranks if they are listening; otherwise they notice within seconds. Never raises."""
        if not self._told:
            self._told = True
            self._run.group.give_up(listening=reachable and self._run.turn_due(after_step=False))

    def close(self) -> None:
        self._give_up(reachable=True)
        self._run.close()
        self._checkpoints.close()
        self._live_config.close()
        self._recorder.writer.close()
        if self._lock is not None:
            self._lock.close()
