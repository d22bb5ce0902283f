"""The upload thread of the delivery process, with its own reader, marks and waits."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable

from vsrpp.control.backlog import ARTIFACTS, UPLOADING
from vsrpp.paths import RunPaths
from vsrpp.store import Marks, RunReader
from vsrpp.tracking.connection import Connection
from vsrpp.tracking.engine import OUTAGES, Engine
from vsrpp.tracking.mlflow_artifacts import MlflowArtifacts
from vsrpp.tracking.mlflow_rows import MlflowRows

LOOK_S = 0.25
SAY_EVERY_S = 1.0
STOP_S = 2.0
"""How long the end waits for a running call; after that the process exits without it."""
UPLOAD_OUTAGES = f"{OUTAGES}.{ARTIFACTS}"


class Uploads:
    """Runs the upload lane: a call that takes minutes delays no row, event or answer to a command.

    It shares with the rows' thread only the client (a thread-safe pool of HTTP sessions or database connections), the
    MLflow IDs, which are set before `rows.opened`, and two plain numbers.
    """

    def __init__(self, connection: Connection, rows: MlflowRows, paths: RunPaths) -> None:
        self._rows = rows
        self.marks = Marks(paths.delivery_db)
        self._reader = RunReader(paths.run_db)
        self.lane = MlflowArtifacts(connection, rows, paths, self._reader, self.marks)
        self.engine = Engine([self.lane], self.marks, outages=UPLOAD_OUTAGES)
        self._hurry = False
        self._said_at = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="uploads", daemon=True)
        self._started = False

    def start(self) -> None:
        """Start the thread; a second call has no effect."""
        if not self._started:
            self._started = True
            self.marks.set_fact(UPLOADING, None)  # left by a killed process
            self._thread.start()

    def retry_set_aside(self) -> None:
        """Retry rejected uploads; call before `start`."""
        self.lane.retry_set_aside()

    def say_progress(self, marks: Marks) -> None:
        """Record the progress, at most once a second; called by the other thread with its own `marks`."""
        now = time.monotonic()
        if now - self._said_at >= SAY_EVERY_S:
            self._said_at = now
            with contextlib.suppress(sqlite3.Error):  # the full disk may be the one that holds delivery.db
                self.lane.progress.say(marks)

    def wait(
        self, left: Callable[[], bool], marks: Marks, *, deadline: float, patience_s: float, rows_why: str = ""
    ) -> str:
        """Wait while `left` returns True; returns "" then, else the reason for giving up.

        Gives up at `deadline`, once the sink has been failing for `patience_s`, or when an upload waits for rows that
        could not be delivered (`rows_why`).
        """
        began, self._hurry, self.lane.ending = time.time(), True, True
        self.engine.try_now()
        self.start()
        while left() or self.lane.to_retry:
            if rows_why and self.lane.waits_for_rows:
                return rows_why
            if self.engine.hopeless(ARTIFACTS, began, patience_s):
                return self._why(marks)
            if time.time() >= deadline:
                return self._why(marks) if self.engine.hopeless(ARTIFACTS, 0.0, 0.0) else "out of time"
            self.say_progress(marks)
            time.sleep(0.05)
        self._said_at = 0.0
        self.say_progress(marks)
        return ""

    @staticmethod
    def _why(marks: Marks) -> str:
        fact = marks.fact(ARTIFACTS) or {}
        return f"{fact.get('class', 'unknown')}: {fact.get('error', '')}"

    def close(self) -> bool:
        """False if a call is still running: it ends with the process, and the next delivery repeats the upload."""
        self._stopping.set()
        if self._started:
            self._thread.join(STOP_S)
            if self._thread.is_alive():
                return False
        self.marks.close()
        self._reader.close()
        return True

    def _run(self) -> None:
        while not self._stopping.is_set():
            if not self.engine.turn(hurry=self._hurry):
                self._stopping.wait(LOOK_S if not self._hurry else 0.05)
