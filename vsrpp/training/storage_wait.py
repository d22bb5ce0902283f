"""Holds a run at a step boundary while what it promises cannot be written: the record, or the last checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from vsrpp.documents import RemarkDocument, WaitingDocument
from vsrpp.errors import START_AGAIN, START_AGAIN_SIGNALS, because
from vsrpp.training import messages
from vsrpp.training.checkpoint_manager import CheckpointManager
from vsrpp.training.context import RunContext
from vsrpp.training.live_config import LiveConfig
from vsrpp.training.recorder import RunRecorder
from vsrpp.training.status import RunStatus
from vsrpp.training.throttle import Throttle
from vsrpp.training.turn import Turn

SHOWN_AFTER_S = 1.0
"""How long a wait is too short to be told."""
PATIENCE_AFTER_SIGNAL_S = 2.0
"""How long a run that was told to end still tries to write."""
FIRST_RETRY_S, RETRY_S, CHECKPOINT_RETRY_S = 0.1, 1.0, 30.0
"""Time between two tries: at first, and at most; for a checkpoint, of which each try may write gigabytes."""
LOOK_S = 0.05
"""How often a run that waits looks for a signal."""
WAITS_A_TIMEOUT = 4
"""How many times per rank timeout the other ranks are told to keep waiting."""


@dataclass(frozen=True, slots=True)
class Wait:
    """A wait that is told to people: why, and since when; `over` once it has ended."""

    run_id: str
    step: int
    because: RemarkDocument
    since: float
    """Seconds since 1970."""
    over: bool = False
    saved: bool = False
    """Whether what could not be written now is."""


class StorageWait:
    """Used on rank 0 only, between two steps."""

    def __init__(
        self, run: RunContext, recorder: RunRecorder, status: RunStatus, live_config: LiveConfig,
        checkpoints: CheckpointManager, run_id: str, on_wait: Callable[[Wait], None],
    ) -> None:  # fmt: skip
        self.signal: Callable[[], str | None] = lambda: None
        """The signal that asks the run to end."""
        self._run = run
        self._recorder = recorder
        self._status = status
        self._live_config = live_config
        self._checkpoints = checkpoints
        self._run_id = run_id
        self._on_wait = on_wait
        self._wait_again = Throttle(min(run.group.timeout_s / WAITS_A_TIMEOUT, 20.0))

    def hold(self) -> Iterator[Turn]:
        """Return once the record is on disk. Costs a `stat` if it is. Raises `NOT_SAVED` if the run is to end first."""
        yield from self.until(self.record_unwritten)

    def record_unwritten(self) -> RemarkDocument | None:
        """Try to write the record; returns why that is not possible now. A run folder that was moved counts as that."""
        recorder, writer = self._recorder, self._recorder.writer
        if not writer.waits:
            return None
        if writer.moved:
            return messages.FOLDER_MOVED.filled(folder=str(writer.path.parent))
        why = recorder.settle()
        if why is not None:
            return messages.RECORD_UNWRITTEN.filled(why=why)
        self._live_config.answers.release()
        return None

    def until(
        self, unwritten: Callable[[], RemarkDocument | None], *, retry_s: float = RETRY_S, others_wait: bool = True
    ) -> Iterator[Turn]:
        """Wait until `unwritten`, which tries to write, returns None instead of a reason. Raises `NOT_SAVED`.

        `others_wait`: whether the other ranks expect a turn. A replay and a dry run, whose record is temporary, go on.
        """
        remark = unwritten()
        if remark is None or not self._recorder.writer.waits:
            return
        began, pause, wait = time.monotonic(), FIRST_RETRY_S, None
        next_try = began + pause
        while remark is not None:
            now = time.monotonic()
            if now - began >= SHOWN_AFTER_S:
                wait = self._told(wait, remark)
            self._end_if_over(now - began, remark, wait)
            if others_wait and self._run.group.many and self._wait_again.due():
                yield Turn(live=self._live_config.live)
            with self._run.throughput.doing("paused"):
                time.sleep(LOOK_S)
            if time.monotonic() >= next_try:
                pause = min(2 * pause, retry_s)
                remark = unwritten()
                next_try = time.monotonic() + pause
        if wait is not None:
            self._over(wait, saved=True)

    def _told(self, wait: Wait | None, remark: RemarkDocument) -> Wait:
        """Publish the state; tell people when the wait begins, and when its reason changes."""
        step = self._run.state.step
        since = time.time() - SHOWN_AFTER_S if wait is None else wait.since
        if wait is None or wait.because["reason_code"] != remark["reason_code"]:
            wait = Wait(self._run_id, step, remark, since)
            self._status.waiting = _document(wait)
            self._status.show(now=True)
            self._on_wait(wait)
        self._status.show()
        return wait

    def _over(self, wait: Wait, *, saved: bool) -> None:
        self._status.waiting = None
        if saved:
            fields = because(wait.because["reason_code"], wait.because["fields"])
            waited_s = round(time.time() - wait.since, 1)
            self._recorder.emit("storage_back", reason=wait.because["message"], data={"waited_s": waited_s, **fields})
            self._recorder.settle()
        self._status.show(now=True)
        self._on_wait(Wait(wait.run_id, wait.step, wait.because, wait.since, over=True, saved=saved))

    def _end_if_over(self, waited_s: float, remark: RemarkDocument, wait: Wait | None) -> None:
        """Raises `NOT_SAVED` if a signal came or `storage_wait_s` is over."""
        limit, signal = self._run.run_config.get("storage_wait_s"), self.signal()
        if signal is not None and waited_s >= PATIENCE_AFTER_SIGNAL_S:
            ended = signal
        elif signal is None and limit is not None and waited_s >= limit:
            ended = "storage_wait_s"
        else:
            return
        unwritten, step = self._recorder.writer.unwritten, self._run.state.step
        saved = self._checkpoints.saved_step
        fields: dict[str, Any] = {
            "ended": ended, "step": step, "why": remark["message"], "run": self._run_id, "saved": saved,
            "events": unwritten.events if unwritten else 0, "rows": unwritten.rows if unwritten else 0,
            "steps": step - saved,
        }  # fmt: skip
        error = messages.NOT_SAVED(**fields)
        if ended in {number.name for number in START_AGAIN_SIGNALS}:
            error.exit_code = START_AGAIN
        if wait is not None:
            self._over(wait, saved=False)
        raise error


def _document(wait: Wait) -> WaitingDocument:
    remark = wait.because
    return {
        "why": remark["message"], "reason_code": remark["reason_code"], "fields": remark["fields"], "since": wait.since,
    }  # fmt: skip
