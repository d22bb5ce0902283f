"""Heartbeats: every rank regularly writes to the shared store, so that a missing rank can be named.

A failed collective tells that a rank is missing, but not which one. The heartbeat has its own connection to the store and
its own thread, so that it continues while the main thread waits for the others.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import torch.distributed as dist

BEAT_S = 1.0
GRACE_S = 5.0
"""Seconds a rank has to notice that rank 0 has given up; after that its process is ended."""
STORE_S = 10.0
LOST = "lost the others"


class Heartbeat:
    """Sends the heartbeat of one rank and observes the others'."""

    def __init__(self, rank: int, world_size: int) -> None:
        self.doing: Callable[[], tuple[int, str]] = lambda: (0, "preparing")
        """(step, part of the step) this rank is in; read by the thread."""
        self._rank = rank
        self._world_size = world_size
        self._round = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        self._store = dist.TCPStore(
            os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False,
            timeout=timedelta(seconds=STORE_S),
        )  # fmt: skip
        self._closed = threading.Event()
        self._posted = 0
        self._read: Counter[int] = Counter()
        self._beats = 0
        self._beat()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join(STORE_S)

    # ---- sending
    def leave(self, why: str) -> None:
        """Announce why this rank is about to end; `LOST` if another rank caused it."""
        self._set(f"left/{self._rank}", why)

    def give_up(self) -> None:
        """Rank 0 announces that it failed where it cannot broadcast: the others may be waiting in the middle of a step."""
        self._set("over", "1")

    def post(self, note: str) -> None:
        """Leave a note for rank 0, which can read it once this returns. Raises RuntimeError if the store is gone."""
        self._posted += 1
        self._store.set(self._key(f"note/{self._rank}/{self._posted}"), note)
        self._store.add(self._key("notes"), 1)  # unlike `set`, answered by the store

    # ---- observing
    def notes(self) -> list[tuple[int, str]]:
        """(rank, note) of the notes since the last call; costs one request to the store if there are none."""
        try:
            posted = int(self._store.add(self._key("notes"), 0))
        except RuntimeError:  # the store is gone, and so are the others
            return []
        found: list[tuple[int, str]] = []
        for rank in range(self._world_size):
            while sum(self._read.values()) < posted and (note := self._get(f"note/{rank}/{self._read[rank] + 1}")):
                self._read[rank] += 1
                found.append((rank, note))
        return found

    def missing(self) -> str | None:
        """One line on the ranks that have failed, died or stalled; None if all respond. Takes some seconds."""
        before = self._signs()
        time.sleep(2.5 * BEAT_S)
        causes = []
        for rank, sign in self._signs().items():
            why = self._get(f"left/{rank}")
            if why is not None and why != LOST:
                causes.append(f"rank {rank} failed: {why}")
            elif why is None and sign == before.get(rank):
                causes.append(f"rank {rank} does not respond; it was last seen at {_place(sign)}")
        return "; ".join(causes) or None

    def slowest(self, timeout_s: float) -> str:
        """One line on the ranks that respond but keep the others waiting."""
        signs = {self._rank: _sign(0, *self.doing()), **self._signs()}
        places = {rank: (int(sign.split(":")[1]), sign.split(":")[2]) for rank, sign in signs.items() if sign}
        least = min(step for step, _ in places.values())
        late = [rank for rank, (step, part) in places.items() if step == least and part in ("data_wait", "preparing")]
        late = late or [rank for rank, (step, _) in places.items() if step == least and rank != self._rank]
        names = ", ".join(f"rank {rank} (at {_place(signs[rank])})" for rank in late) or "no rank in particular"
        return f"the processes waited for each other for more than {timeout_s:g} s; the slowest: {names}"

    def is_there(self, rank: int) -> bool:
        """Whether `rank` responds. Takes some seconds."""
        before = self._signs().get(rank)
        time.sleep(2.5 * BEAT_S)
        return self._signs().get(rank) != before

    # ---- the thread
    def _run(self) -> None:
        over = 0.0
        while not self._closed.wait(BEAT_S):
            try:
                self._beat()
                over = over or (time.monotonic() if self._store.check([self._key("over")]) else 0.0)
            except RuntimeError:  # the process that hosts the store has ended; the collectives will fail
                return
            if self._rank and over and time.monotonic() - over > GRACE_S:
                os._exit(1)  # it waits inside a collective for a rank that has given up; nothing can be lost

    def _beat(self) -> None:
        self._beats += 1
        self._store.set(self._key(f"beat/{self._rank}"), _sign(self._beats, *self.doing()))

    def _signs(self) -> dict[int, str]:
        others = (rank for rank in range(self._world_size) if rank != self._rank)
        return {rank: self._get(f"beat/{rank}") or "" for rank in others}

    def _key(self, name: str) -> str:
        return f"vsrpp/{self._round}/{name}"

    def _set(self, name: str, text: str) -> None:
        try:
            self._store.set(self._key(name), text)
        except RuntimeError:
            return

    def _get(self, name: str) -> str | None:
        try:
            return self._store.get(self._key(name)).decode() if self._store.check([self._key(name)]) else None
        except RuntimeError:
            return None


def _sign(beats: int, step: int, part: str) -> str:
    return f"{beats}:{step}:{part}"


def _place(sign: str) -> str:
    if not sign:
        return "no step"
    _, step, part = sign.split(":")
    return f"step {step}" if part != "preparing" else "the preparation"
