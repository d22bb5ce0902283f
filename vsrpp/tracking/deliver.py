"""The delivery process: creates the MLflow run, follows a run folder until its trainer ends, and fills the sinks."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from vsrpp.control import alerts, process_alive, run_config_of
from vsrpp.control.backlog import ARTIFACT_EVENTS, ARTIFACTS, MLFLOW, TIMELINE
from vsrpp.errors import START_AGAIN_SIGNALS
from vsrpp.formats import counted
from vsrpp.paths import RunPaths
from vsrpp.private_files import open_no_link
from vsrpp.safe_text import redact, redact_log_records
from vsrpp.store import Marks, RunReader, into_one_file, set_aside_if_damaged
from vsrpp.tracking.alerts import AlertWatch
from vsrpp.tracking.backlog import Report, count
from vsrpp.tracking.connection import Connection, Target
from vsrpp.tracking.engine import Backoff, Engine, Lane
from vsrpp.tracking.environment import address
from vsrpp.tracking.failures import classify
from vsrpp.tracking.lock import DeliveryLock
from vsrpp.tracking.mlflow_rows import MlflowRows
from vsrpp.tracking.process import PINNED
from vsrpp.tracking.tag_commands import TagCommands, TagWatch
from vsrpp.tracking.uploads import Uploads
from vsrpp.tracking.view import LIFE, final_state

log = logging.getLogger("vsrpp.delivery")
POLL_S = 0.25
PLACE = "place"
"""The fact that holds the experiment and the run name that the run was started for."""
PATIENCE_AT_END_S = 10.0
"""How long a server may have been failing before the end of a run stops waiting for it."""
PATIENCE_ALONE_S = 60.0
"""The same after the trainer was killed, when no one is waiting for the result."""
NICENESS = 10
"""Set once the run folder is known, so that training takes priority; before that, training waits for the run ID."""


class TrainerPipe:
    """The pipe to the trainer: its messages, and whether it is still alive."""

    def __init__(self, output_fd: int) -> None:
        self._out, self._unread, self.process_id = output_fd, b"", os.getppid()
        self._heard: list[dict[str, Any]] = []
        self.gone = False

    def listen(self, timeout_s: float) -> list[dict[str, Any]]:
        """Messages received in time. Sets `gone` at the pipe's end, or if the trainer died and a child holds it."""
        if self._heard:
            messages, self._heard = self._heard, []
            return messages
        if self.gone:
            time.sleep(min(timeout_s, POLL_S))
            return []
        ready, _, _ = select.select([0], [], [], timeout_s)
        if ready:
            received = os.read(0, 65536)
            self.gone = not received
            *lines, self._unread = (self._unread + received).split(b"\n")
            return [json.loads(line) for line in lines]
        self.gone = os.getppid() != self.process_id
        return []

    def hear_again(self, messages: list[dict[str, Any]]) -> None:
        """Keep messages that arrived together with the expected one for the next `listen`."""
        self._heard = messages + self._heard

    def say(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # the trainer has ended
            os.write(self._out, json.dumps(message).encode() + b"\n")


class RunDelivery:
    """One run folder being uploaded: files, lock, lanes. This thread uploads rows; files and tags have their own."""

    def __init__(self, run_dir: Path, connection: Connection, *, tensorboard: bool) -> None:
        self.paths = RunPaths(run_dir)
        self.lock = DeliveryLock(run_dir)
        self.reader = RunReader(self.paths.run_db)
        self.reader.check_writable()
        if self.lock.take():
            self._set_aside_damaged()
        self.marks = Marks(self.paths.delivery_db)
        self._keep_place(connection)
        self.rows = MlflowRows(connection, self.paths, self.reader, self.marks)
        self.uploads = Uploads(connection, self.rows, self.paths)
        lanes: list[Lane] = [self.rows]
        self.board = None
        if tensorboard:
            from vsrpp.tracking.tensorboard_sink import TensorBoard

            self.board = TensorBoard(self.paths, self.reader, self.marks)
            lanes.insert(0, self.board)
        self.engine = Engine(lanes, self.marks)
        self.engine.on_back = self.uploads.engine.try_now
        self.tags = TagWatch(TagCommands(connection, self.rows, self.paths))
        self.alerts = AlertWatch(self.paths)

    def _keep_place(self, connection: Connection) -> None:
        """Experiment and run name are those the run was first started for, also if the MLflow run is made much later."""
        target, uri = connection.target, redact(connection.target.uri, path=True)
        kept = self.marks.fact(PLACE)
        if kept is None and (target.experiment or target.experiment_id or target.run_name):
            place = {
                "experiment": target.experiment,
                "experiment_id": target.experiment_id,
                "run_name": target.run_name,
            }
            self.marks.set_fact(PLACE, {**place, "uri": uri})
        elif kept is not None:
            connection.target = replace(
                target, experiment=kept["experiment"], run_name=kept["run_name"] or target.run_name,
                experiment_id=kept["experiment_id"] if kept["uri"] == uri else None,
            )  # fmt: skip

    def _set_aside_damaged(self) -> None:
        """Do without what the marks and, unless a trainer uses it, the inbox contain."""
        if set_aside_if_damaged(self.paths.delivery_db):
            log.warning("%s was damaged and is set aside: everything is uploaded again", self.paths.delivery_db)
        live = process_alive(self.reader.state().get("process") or {})
        if not live and set_aside_if_damaged(self.paths.inbox_db):
            log.warning("%s was damaged and is set aside", self.paths.inbox_db)

    def turn(self) -> bool:
        """One round of every lane of this thread; requires the lock. True if there was anything to do."""
        self.tags.start()
        self.uploads.start()
        busy = self.engine.turn()
        self.uploads.say_progress(self.marks)
        return busy

    def retry_set_aside(self) -> None:
        """Retry rejected rows and files; call before the first turn."""
        self.rows.retry_set_aside()
        self.uploads.retry_set_aside()

    def drain(self, *, deadline: float, patience_s: float) -> str:
        """Upload everything pending, rows first; returns "" when done, else the reason."""
        self.uploads.start()
        rows_why = self.engine.drain(deadline=deadline, patience_s=patience_s)
        why = self.uploads.wait(
            self._uploads_left, self.marks, deadline=deadline, patience_s=patience_s, rows_why=rows_why
        )  # fmt: skip
        self.alerts.wait(deadline)
        return rows_why or why

    def _uploads_left(self) -> bool:
        """Cheap, because it is called many times a second: counts nothing."""
        newest = self.reader.last_event(*ARTIFACT_EVENTS)
        timeline_due = self.marks.position(TIMELINE)[1] < self.marks.position(MLFLOW)[1]
        return timeline_due or (newest is not None and self.marks.position(ARTIFACTS)[1] < newest.seq)

    def end(self, state: str) -> None:
        """No more records will come: poll the tags once more, and set the end state after all pending rows."""
        self.rows.end(state)
        self.alerts.end(state)
        if self.tags.stop():
            self.tags.commands.end(state)
            self.engine.add(self.tags.commands)

    def final_state(self) -> str | None:
        return final_state(self.reader.last_event(*LIFE))

    def report(self, why: str) -> Report:
        pending = count(self.reader, self.marks)
        refused = len(self.marks.items("mlflow", "refused"))
        if refused and not why:
            why = f"{counted(refused, 'row')} rejected by the server; delivery.log lists them"
        if not why:
            why = self._untold_alerts()
        rows_left = max(pending.rows, self.rows.pending())
        delivered = rows_left == 0 and pending.artifacts == 0
        return Report(delivered=delivered, rows_left=rows_left, artifacts_left=pending.artifacts, why=why)

    def _untold_alerts(self) -> str:
        alert_state = alerts.state(self.reader, self.marks, run_config_of(self.reader))
        if not alert_state or not alert_state["waiting"]:
            return ""
        error = alert_state["error"] or "no answer"
        return f"{counted(alert_state['waiting'], 'alert')} not sent yet ({error}); to send: vsrpp sync"

    def close(self) -> bool:
        """False if an upload is still running, which only the end of the process stops."""
        whole = self.uploads.close()
        if self.board is not None:
            self.board.close()
        self.tags.close()
        self.alerts.close()
        self.marks.close()
        self.reader.close()
        into_one_file(*self.paths.databases)
        self.lock.close()
        return whole


def main() -> int:
    """Run until the trainer sends `finish` or ends. Always 0: the trainer reads the report."""
    parent = _own_process()
    start = _first(parent)
    if start is None:
        return 0
    connection = Connection(
        Target(
            uri=start["uri"], mlflow_run_id=start.get("mlflow_run_id"), is_ours=bool(start.get("is_ours", True)),
            run_name=start.get("run_name"), experiment=start.get("experiment"), experiment_id=start.get("experiment_id"),
            session=start.get("session", ""),
        )
    )  # fmt: skip
    os.environ["MLFLOW_TRACKING_URI"] = address(start["uri"])  # for libraries that read the variable themselves
    run_dir = _until_follow(parent, connection)
    if run_dir is None:
        with contextlib.suppress(Exception):  # best effort: an empty run does not matter
            connection.discard()
        return 0
    _log_to(RunPaths(run_dir).deliver_log)
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    delivery = RunDelivery(run_dir, connection, tensorboard=bool(start.get("tensorboard", True)))
    if start.get("pinned"):
        delivery.marks.set_fact(PINNED, {"uri": redact(start["uri"], path=True)})
    try:
        finish_s = _follow(parent, delivery)
        if finish_s is not None:
            signal.alarm(round(finish_s) + 10)  # the trainer stops waiting then
            parent.say({"report": _wind_up(delivery, finish_s, PATIENCE_AT_END_S).to_json()})
        else:
            _wind_up(delivery, 24 * 3600.0, PATIENCE_ALONE_S)
    finally:
        whole = delivery.close()
    if not whole:
        logging.shutdown()
        os._exit(0)  # a normal exit would wait for the upload in the client's threads
    return 0


def _own_process() -> TrainerPipe:
    """Ignore signals to the terminal's group or the service: the trainer handles them, and the pipe's end tells us."""
    for number in (signal.SIGINT, *START_AGAIN_SIGNALS):
        signal.signal(number, signal.SIG_IGN)
    output = os.dup(1)
    os.dup2(2, 1)  # library output must not mix with the messages
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.captureWarnings(True)
    redact_log_records()
    return TrainerPipe(output)


def _first(parent: TrainerPipe) -> dict[str, Any] | None:
    while not parent.gone:
        messages = parent.listen(POLL_S)
        for number, message in enumerate(messages):
            if "start" in message:
                parent.hear_again(messages[number + 1 :])
                parent.process_id = int(message["start"]["parent"])
                return dict(message["start"])
    return None


def _until_follow(parent: TrainerPipe, connection: Connection) -> Path | None:
    """Create or confirm the MLflow run and report its ID, until told which folder to follow; None without training."""
    backoff, reported = Backoff(), False
    while True:
        idle = bool(connection.run_id) or time.monotonic() < backoff.next_at
        messages = parent.listen(POLL_S if idle else 0.0)
        for number, message in enumerate(messages):
            if "follow" in message:
                parent.hear_again(messages[number + 1 :])
                return Path(message["follow"])
        if parent.gone:
            return None
        if idle:
            continue
        try:
            connection.open(may_make=connection.target.mlflow_run_id is None)
            why = "" if connection.run_id else f"the tracking server has no run {connection.target.mlflow_run_id}"
        except Exception as error:  # noqa: BLE001 an unreachable server is reported, not fatal
            failure = classify(error)
            why = f"{failure.kind}: {failure.message}"
            log.warning("no MLflow run yet (%s)", why)
        if not connection.run_id:
            backoff.failed(time.monotonic(), hurry=False)
        if connection.run_id or not reported:
            parent.say({"run": {"id": connection.run_id or None, "why": why, "passed_over": connection.passed_over}})
            reported = True


def _log_to(path: Path) -> None:
    """Send all output to the run folder's log from now on, including the earlier output."""
    fd = open_no_link(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with contextlib.suppress(OSError):
        os.lseek(2, 0, os.SEEK_SET)
        os.write(fd, os.read(2, 1 << 20))
    os.dup2(fd, 2)
    os.dup2(fd, 1)
    os.close(fd)


def _follow(parent: TrainerPipe, delivery: RunDelivery) -> float | None:
    """Upload while the trainer runs. Returns the timeout of `finish` in seconds; None if the trainer died."""
    waiting_said, busy = False, True
    while True:
        for message in parent.listen(0.0 if busy else POLL_S):
            if "finish" in message:
                return float(message["finish"])
        if parent.gone:
            return None
        if delivery.lock.take():
            delivery.alerts.start()
            busy = delivery.turn()
            continue
        busy = False
        if not waiting_said:
            log.warning("process %s is uploading this run; waiting for it to exit", delivery.lock.holder())
            waiting_said = True


def _wind_up(delivery: RunDelivery, timeout_s: float, patience_s: float) -> Report:
    """Upload the rest and set the end state; without a final event from the trainer the run is marked dead."""
    deadline = time.time() + timeout_s
    while not delivery.lock.take():
        if time.time() >= min(deadline, deadline - timeout_s + PATIENCE_ALONE_S):
            return delivery.report(f"process {delivery.lock.holder()} is uploading this run")
        time.sleep(POLL_S)
    delivery.end(delivery.final_state() or "dead")
    why = delivery.drain(deadline=deadline, patience_s=min(patience_s, timeout_s))
    report = delivery.report(why)
    log.info("ended: %s", report)
    return report
