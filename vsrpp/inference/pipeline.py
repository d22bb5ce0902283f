"""Threads beside the network: one reads frames ahead, one writes them behind, both with bounded queues.

An error in a thread is raised where the network's loop next takes or gives a frame.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")
_END = object()


class ReadAhead(Generic[Item]):
    """Iterates over a source that a thread reads, at most `ahead` items early.

    Use it as a context manager: on leaving, the thread stops after the item it is reading.
    """

    def __init__(self, source: Iterable[Item], ahead: int) -> None:
        self._queue: queue.Queue[object] = queue.Queue(max(1, ahead))
        self._stopped = threading.Event()
        self._error: BaseException | None = None
        self._source = source
        self._thread = threading.Thread(target=self._read, name="reader", daemon=True)

    def __enter__(self) -> Iterator[Item]:
        self._thread.start()
        return self._items()

    def __exit__(self, *exc: object) -> None:
        self._stopped.set()
        while self._thread.is_alive():
            _drain(self._queue)
            self._thread.join(0.05)

    def _read(self) -> None:
        try:
            for item in self._source:
                self._queue.put(item)
                if self._stopped.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that iterates
            self._error = error
        self._queue.put(_END)

    def _items(self) -> Iterator[Item]:
        while (item := self._queue.get()) is not _END:
            yield item  # type: ignore[misc]
        if self._error is not None:
            raise self._error


class WriteBehind(Generic[Item]):
    """Passes items to `write` in a thread, in order; at most `behind` of them wait."""

    def __init__(self, write: Callable[[Item], None], behind: int) -> None:
        self._queue: queue.Queue[object] = queue.Queue(max(1, behind))
        self._write = write
        self._error: BaseException | None = None
        self._abandoned = False
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def __enter__(self) -> WriteBehind[Item]:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        """Ends the thread; items that still wait are dropped, unless `finish` was called."""
        self._abandoned = True
        while self._thread.is_alive():
            _drain(self._queue)
            _put_if_room(self._queue, _END)
            self._thread.join(0.05)

    def put(self, item: Item) -> None:
        """Wait for room, and queue an item. Raises what an earlier `write` raised."""
        if self._error is not None:
            raise self._error
        self._queue.put(item)

    def finish(self) -> None:
        """Wait until every item is written. Raises what a `write` raised."""
        self._queue.put(_END)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (item := self._queue.get()) is not _END:
            if self._error is not None or self._abandoned:
                continue  # so that the other thread never waits for room
            try:
                self._write(item)  # type: ignore[arg-type]
            except BaseException as error:  # noqa: BLE001 - raised again in `put` or `finish`
                self._error = error


def _drain(waiting: queue.Queue[object]) -> None:
    try:
        while True:
            waiting.get_nowait()
    except queue.Empty:
        return


def _put_if_room(waiting: queue.Queue[object], item: object) -> None:
    try:
        waiting.put_nowait(item)
    except queue.Full:
        return
