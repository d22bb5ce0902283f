"""The state of the uploads to MLflow: what is pending and for how long, what is being uploaded, what went wrong."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from vsrpp.control.backlog import MLFLOW, count, sink_state
from vsrpp.control.runs import ENDED_STATES
from vsrpp.store import Marks, RunReader

BEHIND_AFTER_S = 30.0
"""Records pending for less than this count as on their way, not as behind."""
KINDS = (
    "unreachable", "timeout", "server_error", "auth", "disk_full", "gone", "refused", "broken", "slow", "undelivered",
)  # fmt: skip
"""Kinds of failure. `slow`: no call fails, but the oldest row has been pending for long. `undelivered`: the run has
ended and records are left. The texts of each are `trouble.KIND` and `means.KIND`."""


def delivery(reader: RunReader, marks: Marks | None, state: str, now: float | None = None) -> dict[str, Any]:
    """The backlog, with the state of the server, the rejected records, and the kind of trouble.

    Keys: those of `Backlog`, those of `sink_state`, `trouble` (one of KINDS, or None), `lost_s` (how long the server
    has been failing, or None), `set_aside` (rows and files that are not retried), `set_aside_why` (the newest reason),
    and `set_aside_because` {reason_code, fields} if that reason is not a server's.
    """
    now = time.time() if now is None else now
    refused = list(marks.items(MLFLOW, "refused").values()) if marks else []
    pending = {**count(reader, marks, now).to_json(), **sink_state(marks)}
    since = pending["since"] if pending["state"] == "lost" else None
    return {
        **pending,
        "trouble": trouble_kind(pending, over=state in ENDED_STATES),
        "lost_s": None if since is None else max(0.0, now - float(since)),
        "set_aside": len(refused),
        "set_aside_why": str(refused[-1].get("why") or "") if refused else "",
        **({"set_aside_because": refused[-1]["because"]} if refused and refused[-1].get("because") else {}),
    }


def trouble_kind(pending: Mapping[str, Any], *, over: bool) -> str | None:
    """The kind of trouble, or None.

    A long upload is not trouble, because it has progress; nor is a missing end state, which `end_due` reports.
    """
    if pending["state"] == "lost":
        return str(pending["class"] or "broken")
    rows = pending["rows"] - bool(pending["end_due"])
    if pending["age_s"] <= BEHIND_AFTER_S or not (rows or (pending["artifacts"] and not pending["uploading"])):
        return None
    return "undelivered" if over else "slow"


def upload(pending: Mapping[str, Any], now: float | None = None) -> dict[str, Any] | None:
    """The current upload: what, bytes, done_bytes, share (0 to 1), bytes_per_s (None in its first second)."""
    fact = pending.get("uploading")
    if not fact:
        return None
    total_bytes, done_bytes = float(fact["bytes"]), float(fact["done_bytes"])
    took_s = (time.time() if now is None else now) - float(fact["since"])
    return {
        "what": str(fact["what"]), "bytes": total_bytes, "done_bytes": done_bytes,
        "share": min(1.0, done_bytes / total_bytes) if total_bytes else 0.0,
        "bytes_per_s": done_bytes / took_s if took_s >= 1.0 and done_bytes else None,
    }  # fmt: skip
