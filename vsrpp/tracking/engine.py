"""The delivery loop: each lane works on its own records, and backs off alone when its sink fails.

This is the one place where every exception is caught: tracking may fail, training may not.
"""

from __future__ import annotations

import contextlib
import logging
import random
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from vsrpp.errors import because
from vsrpp.store import Marks
from vsrpp.tracking.failures import Failure, classify

log = logging.getLogger("vsrpp.delivery")
BACKOFF_FIRST_S = 0.5
BACKOFF_CAP_S = 30.0
DRAIN_BACKOFF_CAP_S = 1.0
"""Longest wait between retries while someone waits for the end."""
OUTAGES_KEPT = 50
OUTAGES = "outages"
"""Name of the fact that lists the outages of the sinks; each engine keeps its own."""


class Lane(Protocol):
    """One stream of records to one sink. Work is idempotent: records sent but not yet marked may be sent again."""

    name: str

    def work(self, hurry: bool) -> bool:
        """Do one bounded piece of work, oldest first; True if there was any. May raise.

        `hurry`: do not wait for a full batch.
        """

    def pending(self) -> int:
        """Number of pending pieces or rows, not counting those set aside."""


@dataclass(slots=True)
class Backoff:
    """When a lane may retry: doubling from 0.5 s to 30 s, each wait drawn from the upper half of its range."""

    failures: int = 0
    next_at: float = 0.0

    def failed(self, now: float, hurry: bool) -> None:
        cap = DRAIN_BACKOFF_CAP_S if hurry else BACKOFF_CAP_S
        wait_s = min(cap, BACKOFF_FIRST_S * 2 ** min(self.failures, 10))
        self.failures += 1
        self.next_at = now + random.uniform(wait_s / 2, wait_s)

    def worked(self) -> None:
        self.failures, self.next_at = 0, 0.0


class Engine:
    """Runs lanes in turn, and records in delivery.db which sinks fail, since when and why."""

    def __init__(
        self, lanes: list[Lane], marks: Marks, clock: Callable[[], float] = time.time, *, outages: str | None = OUTAGES
    ) -> None:
        """`outages`: name of the fact for the list of outages, which only this engine writes; None keeps no list."""
        self.lanes, self.marks, self._clock, self._outages_fact = list(lanes), marks, clock, outages
        self.on_back: Callable[[], object] = lambda: None
        """Called when a failed lane works again."""
        self._backoffs = {lane.name: Backoff() for lane in lanes}
        self._lost: dict[str, float] = {}
        """Lane -> when it started to fail; the facts keep it across restarts."""
        self._failed_at: dict[str, float] = {}
        """Lane -> when it last failed in this process."""
        for lane in lanes:
            fact = marks.fact(lane.name) or {}
            if fact.get("state") == "lost":
                self._lost[lane.name] = float(fact["since"])

    def add(self, lane: Lane) -> None:
        """Append a lane."""
        self.lanes.append(lane)
        self._backoffs[lane.name] = Backoff()

    def turn(self, *, hurry: bool = False) -> bool:
        """Let every lane that is due do one piece of work; True if any had work."""
        worked = False
        for lane in self.lanes:
            backoff, now = self._backoffs[lane.name], self._clock()
            if now < backoff.next_at:
                continue
            try:
                did = lane.work(hurry)
            except Exception as error:  # noqa: BLE001 the one place: any error of a sink is recorded and retried
                self._failed(lane, classify(error), error)
                backoff.failed(self._clock(), hurry)
                continue
            backoff.worked()
            if did:
                self._worked(lane)
            worked = worked or did
        return worked

    def pending(self) -> int:
        return sum(lane.pending() for lane in self.lanes)

    def try_now(self) -> None:
        """Cut all waits short: failed lanes retry at the next turn. Thread-safe."""
        for backoff in self._backoffs.values():
            backoff.next_at = 0.0

    def hopeless(self, name: str, began: float, patience_s: float) -> bool:
        """Whether a lane has been failing for `patience_s` and has failed again since `began`."""
        since = self._lost.get(name)
        now = self._clock()
        return since is not None and now - since >= patience_s and self._failed_at.get(name, 0.0) >= began

    def drain(self, *, deadline: float, patience_s: float, sleep: Callable[[float], object] = time.sleep) -> str:
        """Finish all pending work; returns "" when done, else the reason.

        Gives up at `deadline` (seconds since 1970), or as soon as every lane with pending work has been failing for
        `patience_s` and has failed again since the call.
        """
        began = self._clock()
        self.try_now()
        while True:
            worked = self.turn(hurry=True)
            stuck = [lane for lane in self.lanes if lane.pending()]
            now = self._clock()
            if not stuck and not worked:
                return ""
            if stuck and not worked and all(self.hopeless(lane.name, began, patience_s) for lane in stuck):
                return self.why_lost(stuck[0].name)
            if now >= deadline:
                return self.why_lost(stuck[0].name) if stuck and stuck[0].name in self._lost else "out of time"
            if not worked:
                sleep(0.05)

    def why_lost(self, name: str) -> str:
        fact = self.marks.fact(name) or {}
        return f"{fact.get('class', 'unknown')}: {fact.get('error', '')}"

    def _failed(self, lane: Lane, failure: Failure, error: Exception) -> None:
        now = self._clock()
        first = lane.name not in self._lost
        self._failed_at[lane.name] = now
        since = self._lost.setdefault(lane.name, now)
        if first:
            log.warning("%s lost (%s): %s", lane.name, failure.kind, failure.message)
        if failure.kind == "broken":
            log.error("internal error in %s", lane.name, exc_info=error)
        fact = {"state": "lost", "since": since, "error": failure.message, "class": failure.kind}
        if failure.remark is not None:
            fact |= because(failure.remark["reason_code"], failure.remark["fields"])
        with contextlib.suppress(sqlite3.Error):  # the full disk may be the one that holds delivery.db
            self.marks.set_fact(lane.name, fact)
            if first and self._outages_fact:
                outages = self._outages()
                number = 1 + max((outage["n"] for outage in outages), default=0)
                outages.append({**fact, "n": number, "lane": lane.name, "until": None})
                self.marks.set_fact(self._outages_fact, {"last": outages[-OUTAGES_KEPT:]})

    def _worked(self, lane: Lane) -> None:
        now = self._clock()
        since = self._lost.pop(lane.name, None)
        if since is not None:
            self.on_back()
        with contextlib.suppress(sqlite3.Error):
            if since is not None:
                log.warning("%s is back after %.1f s", lane.name, now - since)
                self._end_outage(lane, now)
            if (self.marks.fact(lane.name) or {}).get("state") != "ok":
                self.marks.set_fact(lane.name, {"state": "ok", "since": now, "error": None, "class": None})

    def _end_outage(self, lane: Lane, now: float) -> None:
        if not self._outages_fact:
            return
        outages = self._outages()
        for outage in outages:
            if outage["lane"] == lane.name and outage["until"] is None:
                outage["until"], outage["rows"] = now, lane.pending()
        self.marks.set_fact(self._outages_fact, {"last": outages})

    def _outages(self) -> list[dict[str, Any]]:
        return list((self.marks.fact(self._outages_fact or "") or {}).get("last", []))
