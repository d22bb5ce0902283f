"""The lines of `vsrpp status` about uploads: what is pending, what is being uploaded, what went wrong."""

from __future__ import annotations

from typing import Any

from vsrpp import control
from vsrpp.formats import counted, duration, percent, size
from vsrpp.texts import english


def delivery_lines(left: dict[str, Any], run_id: str) -> list[str]:
    """No lines if MLflow has everything; `left` is the backlog of `control.status`."""
    lines = []
    if left["rows"] or left["artifacts"]:
        how_much = f" ({size(left['bytes'])})" if left["bytes"] else ""
        pending = f"{counted(left['rows'], 'row')}, {counted(left['artifacts'], 'artifact')}{how_much}"
        lines.append(f"tracking is behind: {pending}, {duration(left['age_s'])} old")
    going = control.upload(left)
    if going:
        pace = f", {size(going['bytes_per_s'])}/s" if going["bytes_per_s"] else ""
        of = f"{size(going['done_bytes'])} of {size(going['bytes'])}"
        lines.append(f"uploading {going['what']}: {percent(going['share'])}, {of}{pace}")
    if left["trouble"]:
        since = "" if left["lost_s"] is None else f" for {duration(left['lost_s'])}"
        why = f": {left['error']}" if left["state"] == "lost" and left["error"] else ""
        lines += [
            f"{english('trouble.' + left['trouble'])}{since}{why}",
            english(f"means.{left['trouble']}", run=run_id),
        ]
    if left["end_due"] and left["trouble"] != "undelivered":
        lines.append(english("end_due", run=run_id))
    if left["set_aside"]:
        lines.append(english("set_aside", n=left["set_aside"], why=left["set_aside_why"]))
    return lines
