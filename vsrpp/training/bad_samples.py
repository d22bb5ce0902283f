"""Puts frames that cannot be read on record, and tells all ranks. `vsrpp.data.unreadable` says what follows from it.

While all frames can be read, nothing is exchanged in a step. A rank that meets an unreadable frame leaves a note for rank 0
before it takes part in the step. Rank 0 looks for notes where all ranks meet, and before a checkpoint: no state is on disk
whose samples are not on record.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import groupby
from typing import Any, Protocol

from vsrpp.control.lineage import TURNS, turned_to
from vsrpp.data.unreadable import BadFrames, Unreadable
from vsrpp.errors import because
from vsrpp.store import Event
from vsrpp.training.context import RunContext

EVENT = "bad_sample"
RECORDED = (EVENT, *sorted(TURNS))
"""The events that `on_record` needs."""


class Emit(Protocol):
    """`RunRecorder.emit`."""

    def __call__(self, type: str, *, data: dict[str, Any]) -> Event | None: ...


class BadSamples:
    """Used on rank 0 only."""

    def __init__(self, run: RunContext, emit: Emit) -> None:
        self._run = run
        self._emit = emit
        self._recorded = 0
        """How much of this rank's own list is on record."""
        self._untold: BadFrames | None = None
        """The frames on record, until all ranks know them."""
        self._error = ""
        """Of the newest unreadable frame."""

    def record(self) -> None:
        """Put on record what any rank could not read so far."""
        met = self._new()
        run, batch_size = self._run, int(self._run.run_config["batch_size"])
        bad = self._untold or run.batches.bad
        from_index = max(run.state.step, run.next_turn) * batch_size
        for (place, rank), group in groupby(sorted(met, key=_key), key=_key):
            ones = [one for _, one in group]
            one, indexes = ones[0], sorted({each.index for each in ones})
            self._error = one.error
            bad = bad.met(place, indexes, from_index)
            self._emit(
                EVENT,
                data={
                    "file": one.file, "error": one.error, **because(one.reason_code, one.fields), "clip": one.clip,
                    "frame": one.frame, "span": one.span, "rank": rank, "indexes": indexes, "from_index": from_index,
                },
            )  # fmt: skip
            self._untold = bad

    def news(self) -> BadFrames | None:
        """Where all ranks meet: the frames on record, if they have changed since the last time.

        Raises VsrppError if all ranks together could not read more frames than `bad_samples` allows.
        """
        self.record()
        changed, self._untold, self._recorded = self._untold, None, 0
        if changed is not None and len(changed) > len(self._run.batches.bad):
            self._run.batches.check_limit(len(changed), self._error)
        return changed

    def _new(self) -> list[tuple[int, Unreadable]]:
        """(rank, frame) of what is not on record yet."""
        run = self._run
        own = run.batches.met[self._recorded :]
        self._recorded += len(own)
        others = [(rank, row) for rank, note in run.group.notes() for row in json.loads(note)]
        return [*((0, one) for one in own), *((rank, Unreadable(**row)) for rank, row in others)]


def _key(met: tuple[int, Unreadable]) -> tuple[tuple[int, int], int]:
    rank, one = met
    return one.place, rank


def on_record(events: Iterable[Event], batch_size: int, *, complete: bool = False) -> BadFrames:
    """The frames that a run has on record as unreadable, on all its branches; `events` must include `RECORDED`.

    After a return to step n, all frames known by then count from the first sample of step n + 1 on. `complete`: for a
    replay, in which no other frame may be unreadable.
    """
    bad = BadFrames(complete=complete)
    for event in events:
        if event.type in TURNS:
            bad = bad.back_at(turned_to(event) * batch_size)
        elif event.type == EVENT:
            place = int(event.data["span"]), int(event.data["frame"])
            bad = bad.met(place, map(int, event.data["indexes"]), int(event.data["from_index"]))
    return bad
