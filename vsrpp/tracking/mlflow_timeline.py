"""The run's timeline files in MLflow, renewed as events are told: small, and never behind a large upload."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path

from vsrpp.control.backlog import MLFLOW, TIMELINE
from vsrpp.paths import RunPaths
from vsrpp.store import Marks, RunReader
from vsrpp.tracking import report
from vsrpp.tracking.connection import Connection
from vsrpp.tracking.engine import Engine
from vsrpp.tracking.mlflow_rows import EVENTS_EVERY_S

LOOK_S = 0.25


class MlflowTimeline:
    """Brings the files up to the events that the rows' lane has told, and then says so in the run's tags."""

    name = TIMELINE

    def __init__(self, connection: Connection, reader: RunReader, marks: Marks) -> None:
        self._connection, self._reader, self._marks = connection, reader, marks
        self._at = self._cost_s = 0.0

    def pending(self) -> int:
        return int(self._marks.position(TIMELINE)[1] < self._marks.position(MLFLOW)[1])

    def work(self, hurry: bool) -> bool:
        """Both files are written whole, so they wait for 20 times what they cost: 5 % of the time, however long a run."""
        from mlflow.entities import RunTag

        delivered_seq, now = self._marks.position(MLFLOW)[1], time.monotonic()
        wait_s = max(EVENTS_EVERY_S, 20 * self._cost_s)
        if not self.pending() or (not hurry and self._at and now - self._at < wait_s):
            return False
        with tempfile.TemporaryDirectory(prefix="vsrpp-") as folder:
            events = takewhile(lambda event: event.seq <= delivered_seq, self._reader.events())
            last = report.write_timeline(events, self._reader.run_id, Path(folder))
            assert last is not None
            self._connection.client.log_artifacts(self._connection.run_id, folder)
        tags = [RunTag("vsrpp.chain_seq", str(last.seq)), RunTag("vsrpp.chain_head", last.hash)]
        self._connection.log(tags=tags)
        self._marks.advance(TIMELINE, event_seq=delivered_seq)
        self._at, self._cost_s = now, time.monotonic() - now
        return True


@contextmanager
def kept_current(connection: Connection, paths: RunPaths, hurry: Callable[[], bool]) -> Iterator[None]:
    """While the body uploads for minutes, a thread with handles of its own renews the timeline beside it.

    What fails there is tried again, and once more by whoever uploads when the body is through: his failure counts.
    """
    stopping = threading.Event()

    def renew() -> None:
        with RunReader(paths.run_db) as reader:
            marks = Marks(paths.delivery_db)
            engine = Engine([MlflowTimeline(connection, reader, marks)], marks, outages=None)
            try:
                while not stopping.wait(LOOK_S):
                    engine.turn(hurry=hurry())
            finally:
                marks.close()

    thread = threading.Thread(target=renew, name="timeline", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()
