"""What `vsrpp status` says of delivery: what waits, what goes out now, what is in its way and what that means."""

from __future__ import annotations

from typing import Any

from vsrpp import control
from vsrpp.control.messages import WORDS
from vsrpp.output import duration


def delivery_lines(left: dict[str, Any], run_id: str) -> list[str]:
    """None where MLflow has all; `left` is the backlog of `control.status`."""
    lines = []
    if left["rows"] or left["artifacts"]:
        size = f" ({_mb(left['bytes'])})" if left["bytes"] else ""
        lines.append(
            f"tracking is behind: {left['rows']} rows, {left['artifacts']} artifacts{size}, {duration(left['age_s'])} old"
        )
    going = control.upload(left)
    if going:
        pace = f", {_mb(going['bytes_per_s'])}/s" if going["bytes_per_s"] else ""
        of = f"{_mb(going['done_bytes'])} of {_mb(going['bytes'])}"
        lines.append(f"uploading {going['what']}: {100 * going['share']:.0f} %, {of}{pace}")
    if left["trouble"]:
        since = "" if left["lost_s"] is None else f" for {duration(left['lost_s'])}"
        why = f": {left['error']}" if left["state"] == "lost" and left["error"] else ""
        lines += [f"{_word('trouble', left)}{since}{why}", _word("means", left).format(run=run_id)]
    if left["end_due"] and left["trouble"] != "undelivered":
        lines.append(WORDS["end_due"][0].format(run=run_id))
    if left["set_aside"]:
        lines.append(WORDS["set_aside"][0].format(n=left["set_aside"], why=left["set_aside_why"]))
    return lines


def _word(kind: str, left: dict[str, Any]) -> str:
    return WORDS[f"{kind}.{left['trouble']}"][0]


def _mb(size_bytes: float) -> str:
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes < 1e9 else f"{size_bytes / 1e9:.2f} GB"
