"""The hash chain over the events, and the check that locates a break."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from vsrpp.store.events import Event, StoredEvent, canonical


@dataclass(frozen=True, slots=True)
class ChainCheck:
    """The result of `history --verify` for one chain."""

    ok: bool
    events: int
    head: str
    broken_at: int | None = None
    """Sequence number of the first invalid row."""
    why: str = ""


def genesis(run_id: str) -> str:
    """The hash before the first event, which ties the chain to its run."""
    return hashlib.sha256(f"vsrpp:{run_id}".encode()).hexdigest()


def link(previous: str, event: Event) -> str:
    """The SHA-256 (hex) of `event` after a row whose hash is `previous`."""
    body = {name: value for name, value in event.to_json().items() if name != "hash"}
    return hashlib.sha256(f"{previous}\n{canonical(body)}".encode()).hexdigest()


def _holds(previous: str, event: Event | StoredEvent) -> bool:
    """Whether an event's hash is the one it must have after a row whose hash is `previous`.

    The text of a row is what was hashed when it was written, so it is hashed as it stands; a text in another form that
    says the same holds as well.
    """
    if isinstance(event, Event):
        return link(previous, event) == event.hash
    text = (
        f'{{"author":{canonical(event.author)},"branch":{event.branch},"data":{event.data},"origin":'
        f'{canonical(event.origin)},"reason":{canonical(event.reason)},"revision":{event.revision},"seq":{event.seq},'
        f'"step":{event.step},"time":{event.time!r},"type":{canonical(event.type)}}}'
    )
    if hashlib.sha256(f"{previous}\n{text}".encode()).hexdigest() == event.hash:
        return True
    return link(previous, event.decoded()) == event.hash


def verify_chain(
    events: Iterable[Event | StoredEvent],
    run_id: str,
    anchors: Iterable[tuple[str, int, str]] = (),
    recorded_head: int | None = None,
) -> ChainCheck:
    """Verify the chain from its first row; returns the first fault, if any.

    `anchors`: (where, seq, hash) recorded outside the table (checkpoint manifests, the tracking server); each must
    match a row of the chain. `recorded_head`: the sequence number the store last wrote; with fewer rows, some were cut
    off.
    """
    anchors = list(anchors)
    anchored = {seq for _, seq, _ in anchors}
    previous, count, hashes = genesis(run_id), 0, {}
    for event in events:
        if event.seq != count + 1:
            fault = "was removed" if event.seq > count + 1 else "appears twice"
            return ChainCheck(False, count, previous, count + 1, f"event {count + 1} {fault}")
        if not _holds(previous, event):
            return ChainCheck(
                False, count, previous, event.seq, f"event {event.seq} ({event.type}) was changed or inserted"
            )
        previous, count = event.hash, event.seq
        if event.seq in anchored:
            hashes[event.seq] = event.hash
    if recorded_head is not None and count < recorded_head:
        lost = recorded_head - count
        fault = "the last event was cut off" if lost == 1 else f"the last {lost} events were cut off"
        return ChainCheck(False, count, previous, count + 1, fault)
    for where, seq, anchor in anchors:
        if seq and hashes.get(seq) != anchor:
            fault = "does not match the anchor in" if seq in hashes else "is missing: it is anchored in"
            return ChainCheck(False, count, previous, seq, f"event {seq} {fault} {where}")
    return ChainCheck(True, count, previous)
