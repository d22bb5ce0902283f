"""One event in words, for the log and the timeline; what people wrote is shown as they wrote it."""

from __future__ import annotations

from typing import Any

from vsrpp import control
from vsrpp.store import Event
from vsrpp.tui.figures import number, size, value

GROUPS: dict[str, frozenset[str]] = {
    "edits": frozenset({"config_applied", "config_refused", "config_reverted", "config_confirmed", "rolled_back"}),
    "plateau": frozenset({"plateau_detected", "plateau_cleared", "safety_reset", "phase_changed"}),
    "validation": frozenset({"validated"}),
    "checkpoint": frozenset({"checkpoint_saved", "checkpoint_failed"}),
    "life": frozenset({"started", "paused", "resumed", "restored", "rolled_back", "stopped", "finished", "failed"}),
    "faults": frozenset(
        {"non_finite", "out_of_memory", "failed", "checkpoint_failed", "face_failed", "tracking_lost", "tracking_back"}
    ),
}
FILTERS = ("all", *GROUPS)
_STYLES = {
    "config_applied": "good", "config_refused": "bad", "config_reverted": "warn", "config_confirmed": "good",
    "rolled_back": "warn", "plateau_detected": "warn", "plateau_cleared": "good", "safety_reset": "warn",
    "validated": "info", "checkpoint_saved": "", "checkpoint_failed": "bad", "paused": "warn", "resumed": "good",
    "failed": "bad", "non_finite": "bad", "out_of_memory": "bad", "tracking_lost": "warn", "tracking_back": "good",
    "face_failed": "warn", "finished": "good",
}  # fmt: skip


def style_of(event: Event) -> str:
    return _STYLES.get(event.type, "")


def label_of(event: Event) -> str:
    return event.type.replace("_", " ")


def matching(events: Any, chosen: str) -> list[Event]:
    """The events of one group, newest first."""
    types = GROUPS.get(chosen)
    return [event for event in reversed(events) if types is None or event.type in types]


def words(event: Event) -> str:
    """What happened, by whom and why, without the event's type. Never raises, whatever its data holds."""
    text = _what(event)
    if event.origin:
        text += f" · {control.who(event)}" if text else control.who(event)
    return f"{text} “{event.reason}”" if event.reason and event.origin else text


def _what(event: Event) -> str:
    data: dict[str, Any] = event.data
    match event.type:
        case "config_applied" | "config_reverted" | "config_confirmed" | "rolled_back":
            back = f"{data.get('from_step')} → {data.get('to_step')} " if "to_step" in data else ""
            trial = data.get("probation") or {}
            terms = f", on probation for {trial['steps']} steps ({trial.get('revert_if')})" if "steps" in trial else ""
            return f"{back}{changes_text(data.get('changes') or [])}{terms}".strip()
        case "config_refused":
            return str(data.get("line") or "")
        case "validated":
            psnr, bicubic = data.get("psnr_y"), data.get("bicubic_psnr_y")
            gain = f" ({psnr - bicubic:+.2f})" if isinstance(psnr, float) and isinstance(bicubic, float) else ""
            return f"PSNR-Y {number(psnr, 2)} dB{gain}, SSIM-Y {number(data.get('ssim_y'), 4)}"
        case "checkpoint_saved":
            return ", ".join(str(part) for part in (data.get("reason"), size(data.get("size_bytes"))) if part)
        case "checkpoint_failed" | "failed" | "out_of_memory" | "tracking_lost" | "face_failed":
            return ": ".join(str(data[word]) for word in ("face", "error") if data.get(word))
        case "started":
            run_config = data.get("run_config") or {}
            return f"{run_config.get('network', '')} ×{run_config.get('scale', '')} on {data.get('device', '')}"
        case "restored":
            return f"from step {data.get('from_step')}"
        case "stopped":
            return str(data.get("why") or "")
        case "non_finite":
            return "the step was skipped" if data.get("skipped") else ""
        case "plateau_detected" | "plateau_cleared" | "safety_reset" | "phase_changed":
            return event.reason or ""
        case _:
            return str(data.get("error") or "")


def changes_text(changes: list[dict[str, Any]]) -> str:
    """`max_lr 1.50e-04 → 2.00e-04, grad_clip 1.0 → 0.5`."""
    return ", ".join(
        f"{change['key']} {value(change['key'], change.get('old'))} → {value(change['key'], change.get('new'))}"
        for change in changes
    )
