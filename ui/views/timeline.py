"""The event timeline with its filters, and what one event says in a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vsrpp import config
from vsrpp.store import Event

from ..charts.lines import Mark
from ..format import clock, count, esc, finite, number, value
from ..messages import Texts

GROUPS: dict[str, tuple[str, ...]] = {
    "edits": ("config_applied", "config_refused", "config_reverted", "config_confirmed"),
    "plateau": ("plateau_detected", "plateau_cleared", "safety_reset", "phase_changed"),
    "validation": ("validated",),
    "checkpoint": ("checkpoint_saved", "checkpoint_failed"),
    "life": ("started", "paused", "resumed", "restored", "rolled_back", "stopped", "finished"),
    "faults": ("non_finite", "out_of_memory", "failed", "checkpoint_failed", "face_failed", "tracking_lost",
               "tracking_back"),
}  # fmt: skip
SIGNS = {
    "config_applied": "⚙️", "config_refused": "⛔", "config_reverted": "↩", "config_confirmed": "✔",
    "plateau_detected": "▬", "plateau_cleared": "↘", "safety_reset": "⟲", "phase_changed": "◆", "validated": "👁",
    "checkpoint_saved": "●", "checkpoint_failed": "✖", "started": "▶", "paused": "⏸", "resumed": "▶", "restored": "▶",
    "rolled_back": "↶", "stopped": "■", "finished": "✔", "tracking_lost": "☁", "tracking_back": "☁",
}  # fmt: skip
SHOWN_ROWS = 60


def group_of(event: Event) -> str:
    """The colour group of an event; faults win."""
    if event.type in GROUPS["faults"]:
        return "faults"
    return next(name for name, types in GROUPS.items() if event.type in types)


def timeline(events: Sequence[Event], chosen: str, t: Texts) -> str:
    """The newest events first; only those of one group if `chosen` names one."""
    types = GROUPS.get(chosen)
    matching = [event for event in events if types is None or event.type in types]
    if not matching:
        return f'<p class="hint">{esc(t("no_events"))}</p>'
    newest = matching[: -SHOWN_ROWS - 1 : -1]
    rows = "".join(_row(event) for event in newest)
    more = t("newest_of", shown=len(newest), all=count(len(matching)))
    return f'<ol class="timeline">{rows}</ol><p class="hint">{esc(more)}</p>'


def _row(event: Event) -> str:
    by = " · ".join(part for part in (event.author, event.origin) if part)
    reason = f"<q>{esc(event.reason)}</q>" if event.reason else ""
    return (
        f'<li class="{group_of(event)}"><span class="sign" aria-hidden="true">{SIGNS.get(event.type, "•")}</span>'
        f'<span class="at">{count(event.step)}</span>'
        f"<div><b>{esc(event.type.replace('_', ' '))}</b> {esc(summary(event))} {reason}"
        f"<small>{esc(by)}{' · ' if by else ''}<time>{clock(event.time)}</time></small></div></li>"
    )


def summary(event: Event) -> str:
    """What an event says, in one line of plain text. Never raises, whatever its data holds."""
    data = event.data
    match event.type:
        case "config_applied" | "config_reverted" | "rolled_back" if isinstance(data.get("changes"), list):
            changed = ", ".join(change_text(change) for change in data["changes"])
            back = f"{data.get('from_step')} → {data.get('to_step')}  " if "to_step" in data else ""
            return f"{back}{changed}" + (f" (revision {event.revision})" if changed else "")
        case "config_refused":
            errors = data.get("errors") or []
            return "; ".join(f"{e.get('key')} = {value(e.get('value'))}: {e.get('message')}" for e in errors)
        case "validated":
            gain = _gain(data)
            return f"PSNR-Y {number(data.get('psnr_y'), 2)} dB{gain}, SSIM-Y {number(data.get('ssim_y'), 4)}"
        case "checkpoint_saved":
            folder = str(data.get("path") or "").replace("\\", "/").rstrip("/").rpartition("/")[2]
            return " · ".join(str(part) for part in (data.get("reason"), folder) if part)
        case "plateau_detected" | "plateau_cleared" | "safety_reset" | "phase_changed":
            return "; ".join(f"{k} {value(v)}" for k, v in data.items() if not isinstance(v, (dict, list)))
        case "started":
            run_config = data.get("run_config") or {}
            return f"{run_config.get('preset', '')} on {data.get('device', '')}, {data.get('host', '')}"
        case _:
            keys = ("error", "what", "why", "source", "path")
            return "; ".join(str(data[key]) for key in keys if data.get(key))


def _gain(data: dict[str, Any]) -> str:
    psnr, bicubic = finite(data.get("psnr_y")), finite(data.get("bicubic_psnr_y"))
    return "" if psnr is None or bicubic is None else f" ({psnr - bicubic:+.2f} dB)"


def change_text(change: dict[str, Any]) -> str:
    """`max_lr 1.50e-04 → 2.00e-04`."""
    key = str(change.get("key"))
    try:
        old, new = (config.format_value(key, change.get(end)) for end in ("old", "new"))
    except (KeyError, TypeError, ValueError):  # a key this version does not know
        old, new = value(change.get("old")), value(change.get("new"))
    return f"{key} {old} → {new}"


MARK_KINDS = {
    "config_applied": "edit", "config_reverted": "rollback", "rolled_back": "rollback", "plateau_detected": "plateau",
    "safety_reset": "plateau", "checkpoint_saved": "checkpoint", "non_finite": "fault", "out_of_memory": "fault",
    "failed": "fault",
}  # fmt: skip


def marks(events: Sequence[Event], *, most: int = 400) -> list[Mark]:
    """The events that the loss curves bear, newest `most` of them."""
    newest = []
    for event in reversed(events):
        kind = MARK_KINDS.get(event.type)
        if kind is None:
            continue
        text = summary(event) if kind != "checkpoint" else f"checkpoint {event.step}"
        if kind == "plateau":
            text = event.type.replace("_", " ")
        at = event.data.get("to_step") if kind == "rollback" else None  # the line goes on from there
        newest.append(Mark(at if isinstance(at, int) else event.step, kind, text[:64]))
        if len(newest) == most:
            break
    return newest[::-1]
