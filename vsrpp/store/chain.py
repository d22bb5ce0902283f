"""The hash chain over the events, and the check that says where it breaks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from vsrpp.store.events import Event, canonical


@dataclass(frozen=True, slots=True)
class ChainCheck:
    """What `history --verify` says of a chain."""

    ok: bool
    events: int
    head: str
    broken_at: int | None = None
    """Sequence number of the first row that does not hold."""
    why: str = ""


def genesis(run_id: str) -> str:
    """The hash before the first event; binds the chain to its run."""
    return hashlib.sha256(f"vsrpp:{run_id}".encode()).hexdigest()


def link(previous: str, event: Event) -> str:
    """The hash of `event` behind a row whose hash is `previous` (SHA-256, hex)."""
    body = {name: value for name, value in event.to_json().items() if name != "hash"}
    return hashlib.sha256(f"{previous}\n{canonical(body)}".encode()).hexdigest()


def verify_chain(
    events: Iterable[Event], run_id: str, anchors: Iterable[tuple[str, int, str]] = (), recorded_head: int | None = None
) -> ChainCheck:
    """Walk the chain from its first row.

    `anchors` are (where, seq, hash) kept outside the table (checkpoint manifests, the tracking server); each must be a
    row of the chain. `recorded_head` is the sequence number the store last wrote: fewer rows mean some were cut off.
    """
    previous, count, hashes = genesis(run_id), 0, {}
    for event in events:
        if event.seq != count + 1:
            fault = "was removed" if event.seq > count + 1 else "stands twice"
            return ChainCheck(False, count, previous, count + 1, f"event {count + 1} {fault}")
        if link(previous, event) != event.hash:
            return ChainCheck(
                False, count, previous, event.seq, f"event {event.seq} ({event.type}) was changed or inserted"
            )
        previous, count = event.hash, event.seq
        hashes[event.seq] = event.hash
    if recorded_head is not None and count < recorded_head:
        return ChainCheck(False, count, previous, count + 1, f"the last {recorded_head - count} event(s) were cut off")
    for where, seq, anchor in anchors:
        if seq and hashes.get(seq) != anchor:
            return ChainCheck(False, count, previous, seq, f"event {seq} is not the one that {where} anchors")
    return ChainCheck(True, count, previous)
