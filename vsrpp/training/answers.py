"""Writes answers into the inbox from a separate thread, so that a busy inbox never delays a step."""

from __future__ import annotations

import itertools
import queue
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from vsrpp.store import Answer, Inbox

TRIES, TRIES_AT_END = 900, 5
"""Attempts to write answers while the inbox is locked or the disk is full; each takes a second, or up to 31."""
_BATCH = 500
"""Commands answered in one transaction."""
_REMEMBERED = 64
_Item = tuple[Sequence[str | int], Answer]
_HANDLED, _UNREAD, _REST, _END = range(4)
"""In this order: a person may be waiting for the answer to a command that was handled."""


class AnswerWriter:
    """Answers commands. Used from the training thread.

    An answer is given once the record is durable: those put before wait for `release`.
    """

    def __init__(self, inbox: Inbox, durable: Callable[[], bool] = lambda: True) -> None:
        """`durable`: whether everything that was recorded so far is on disk."""
        self._inbox = inbox
        self._durable = durable
        self._held: list[tuple[int, _Item]] = []
        self._queue: queue.PriorityQueue[tuple[int, int, _Item | None]] = queue.PriorityQueue()
        self._count = itertools.count()
        self._given: OrderedDict[str, Answer] = OrderedDict()
        """The newest answers, for commands that repeat one."""
        self._repeats: dict[str, list[str]] = {}
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="answers", daemon=True)
        self._thread.start()

    def put(self, uid: str, answer: Answer) -> None:
        self._given[uid] = answer
        if len(self._given) > _REMEMBERED:
            self._given.popitem(last=False)
        self._add(_HANDLED, ([uid, *self._repeats.pop(uid, ())], answer))

    def put_rows(self, ids: Sequence[int], answer: Answer) -> None:
        """Answer commands by row ID: those that could not be read, or were not."""
        for first in range(0, len(ids), _BATCH):
            self._add(_UNREAD, (ids[first : first + _BATCH], answer))

    def put_same(self, uid: str, first: str) -> None:
        """Give a command the answer of the one it repeats, now or once there is one."""
        given = self._given.get(first)
        if given is None:
            self._repeats.setdefault(first, []).append(uid)
        else:
            self._add(_HANDLED, ([uid], given))

    def put_rest(self, answer: Answer) -> None:
        """Give this answer to every command in the inbox that has none once all others are written."""
        self._add(_REST, ([], answer))

    def close(self, rest: Answer) -> None:
        """Wait until all answers are written, `rest` to every command that has none."""
        if self._durable():
            self.release()
        self._held.clear()  # what is not on record did not happen: `rest` answers these, too
        self._put_in_queue(_REST, ([], rest))
        self._ending = True
        self._put_in_queue(_END, None)
        self._thread.join()
        self._inbox.close()

    def release(self) -> None:
        """The record is durable: give the answers that waited for it."""
        held, self._held = self._held, []
        for order, item in held:
            self._put_in_queue(order, item)

    def _add(self, order: int, item: _Item) -> None:
        if self._held or not self._durable():
            self._held.append((order, item))
        else:
            self._put_in_queue(order, item)

    def _put_in_queue(self, order: int, item: _Item | None) -> None:
        self._queue.put((order, next(self._count), item))

    def _run(self) -> None:
        item = self._queue.get()[2]
        while item is not None:
            batch, count, is_last = [item], len(item[0]), False
            while count < _BATCH:
                try:
                    item = self._queue.get_nowait()[2]
                except queue.Empty:
                    break
                if item is None:
                    is_last = True
                    break
                batch.append(item)
                count += len(item[0])
            self._write(batch)
            item = None if is_last else self._queue.get()[2]

    def _write(self, batch: list[_Item]) -> None:
        tries = 0
        while tries < (TRIES_AT_END if self._ending else TRIES):
            tries += 1
            try:
                self._inbox.answer_all(batch)
                return
            except sqlite3.Error:  # locked for long, or disk full: the command is done, only its answer is late
                time.sleep(1.0)
