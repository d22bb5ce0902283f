"""The event timeline with its filters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vsrpp.control import RunView
from vsrpp.control.narrate import GROUPS, matching, narrate
from vsrpp.formats import whole
from vsrpp.store import Event

from ..charts.lines import Mark
from ..markup import Piece, piece
from ..messages import Texts

SHOWN_ROWS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineRow:
    """One event in words."""

    group: str
    sign: str
    step: str
    headline: str
    detail: str
    why: str
    by: str
    at: float
    """Seconds since 1970."""


def timeline(snapshot: RunView, chosen: str, t: Texts) -> Piece:
    """The newest events first; only those of one group if `chosen` names one."""
    found = matching(snapshot.events, chosen)
    count = sum(number for type, number in snapshot.event_counts.items() if type in GROUPS.get(chosen, (type,)))
    return piece("timeline", rows=[_row(event, t) for event in found[: -SHOWN_ROWS - 1 : -1]], all=count)


def _row(event: Event, t: Texts) -> TimelineRow:
    told = narrate(event)
    return TimelineRow(
        group=told.group, sign=told.sign, step=whole(event.step), headline=told.headline.text(t), detail=told.detail(t),
        why=told.why(t), by=told.by(t), at=event.time,
    )  # fmt: skip


MARK_KINDS = {
    "config_applied": "edit", "config_reverted": "rollback", "rolled_back": "rollback", "plateau_detected": "plateau",
    "safety_reset": "plateau", "lr_floor": "plateau", "checkpoint_saved": "checkpoint", "non_finite": "fault",
    "out_of_memory": "fault", "failed": "fault", "bad_sample": "fault", "recurrence_unstable": "fault",
    "below_bicubic": "fault", "quality_fell": "fault",
}  # fmt: skip


def marks(events: Sequence[Event], t: Texts, *, most: int = 400) -> list[Mark]:
    """The events that the loss curves bear, newest `most` of them."""
    newest = []
    for event in reversed(events):
        kind = MARK_KINDS.get(event.type)
        if kind is None:
            continue
        told = narrate(event)
        text = told.headline.text(t) if kind in ("checkpoint", "plateau") else told.brief(t)
        at = event.data.get("to_step") if kind == "rollback" else None  # the line goes on from there
        newest.append(Mark(at if isinstance(at, int) else event.step, kind, text[:64]))
        if len(newest) == most:
            break
    return newest[::-1]
