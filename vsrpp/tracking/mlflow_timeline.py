"""Keeps the run's timeline files in MLflow up to date, independently of large uploads."""

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
from vsrpp.tracking import record, report
from vsrpp.tracking.connection import CHAIN_HEAD_TAG, CHAIN_SEQ_TAG, Connection
from vsrpp.tracking.engine import Engine
from vsrpp.tracking.mlflow_rows import EVENTS_EVERY_S

LOOK_S = 0.25


class MlflowTimeline:
    """Uploads the timeline up to the events that the rows' lane has sent, then records that in the run's tags."""

    name = TIMELINE

    def __init__(self, connection: Connection, reader: RunReader, marks: Marks) -> None:
        self._connection, self._reader, self._marks = connection, reader, marks
        self._at = self._cost_s = 0.0

    def pending(self) -> int:
        return int(self._marks.position(TIMELINE)[1] < self._marks.position(MLFLOW)[1])

    def work(self, hurry: bool) -> bool:
        """Files are rewritten whole, so wait for 20 times the upload's duration: at most 5 % of the time."""
        from mlflow.entities import RunTag

        delivered_seq, now = self._marks.position(MLFLOW)[1], time.monotonic()
        wait_s = max(EVENTS_EVERY_S, 20 * self._cost_s)
        if not self.pending() or (not hurry and self._at and now - self._at < wait_s):
            return False
        with tempfile.TemporaryDirectory(prefix="vsrpp-") as folder:
            events = takewhile(lambda event: event.seq <= delivered_seq, self._reader.events())
            last = report.write_timeline(events, self._reader.run_id, Path(folder))
            assert last is not None
            record.write_signatures(self._reader.signatures(to_seq=last.seq), Path(folder))
            self._connection.client.log_artifacts(self._connection.run_id, folder)
        tags = [RunTag(CHAIN_SEQ_TAG, str(last.seq)), RunTag(CHAIN_HEAD_TAG, last.hash)]
        self._connection.log(tags=tags)
        self._marks.advance(TIMELINE, event_seq=delivered_seq)
        self._at, self._cost_s = now, time.monotonic() - now
        return True


@contextmanager
def kept_current(connection: Connection, paths: RunPaths, hurry: Callable[[], bool]) -> Iterator[None]:
    """While the body uploads for minutes, update the timeline from a second thread with its own handles.

    Errors in that thread are retried; the uploading thread tries once more afterwards and reports its own error.
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
