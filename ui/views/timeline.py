"""The event timeline with its filters."""

from __future__ import annotations

from collections.abc import Sequence

from vsrpp.control.narrate import Narration, matching, narrate
from vsrpp.formats import clock, count, whole
from vsrpp.store import Event

from ..charts.lines import Mark
from ..format import esc
from ..messages import Texts

SHOWN_ROWS = 60


def timeline(events: Sequence[Event], chosen: str, t: Texts) -> str:
    """The newest events first; only those of one group if `chosen` names one."""
    found = matching(events, chosen)
    if not found:
        return f'<p class="hint">{esc(t("no_events"))}</p>'
    newest = found[: -SHOWN_ROWS - 1 : -1]
    rows = "".join(_row(event, narrate(event), t) for event in newest)
    more = t("newest_of", shown=len(newest), all=count(len(found)))
    return f'<ol class="timeline">{rows}</ol><p class="hint">{esc(more)}</p>'


def _row(event: Event, told: Narration, t: Texts) -> str:
    by, why = told.by(t), told.why(t)
    reason = f"<q>{esc(why)}</q>" if why else ""
    return (
        f'<li class="{told.group}"><span class="sign" aria-hidden="true">{told.sign}</span>'
        f'<span class="at">{whole(event.step)}</span>'
        f"<div><b>{esc(told.headline.text(t))}</b> {esc(told.detail(t))} {reason}"
        f"<small>{esc(by)}{' · ' if by else ''}<time>{clock(event.time)}</time></small></div></li>"
    )


MARK_KINDS = {
    "config_applied": "edit", "config_reverted": "rollback", "rolled_back": "rollback", "plateau_detected": "plateau",
    "safety_reset": "plateau", "checkpoint_saved": "checkpoint", "non_finite": "fault", "out_of_memory": "fault",
    "failed": "fault",
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
