"""The newest state with a copy on another host, which survives the loss of this machine. Read from the marks alone."""

from __future__ import annotations

import time

from vsrpp.control import messages
from vsrpp.control.backlog import MLFLOW
from vsrpp.control.lineage import Lineage
from vsrpp.documents import RemarkDocument, RemoteCopyDocument
from vsrpp.safe_text import redact
from vsrpp.store import Marks

PLACE = "mlflow.place"
"""The fact with the destination of uploads: {uri, why_here, why_code}; "" if it is another machine. Older facts have no code."""


def newest_remote_copy(
    line: Lineage, marks: Marks | None, now: float | None = None
) -> tuple[RemoteCopyDocument | None, RemarkDocument | None]:
    """({step, branch, age_s, uri} of the newest state of a line with a confirmed upload to another machine, None) or (None, why).

    `age_s` counts from the time the state was captured: training since then would be lost.
    """
    place = (marks.fact(PLACE) if marks else None) or {}
    uploaded = marks.items(MLFLOW, "checkpoint") if marks else {}
    for event in reversed(line.checkpoints):
        item = uploaded.get(f"{event.branch}/{event.step}") or {}
        if item.get("off_host"):
            age_s = max(0.0, (time.time() if now is None else now) - event.time)
            uri = redact(str(item["off_host"]), path=True)
            return {"step": event.step, "branch": event.branch, "age_s": age_s, "uri": uri}, None
    if place.get("why_here"):
        code = str(place.get("why_code") or "")
        return None, {"message": str(place["why_here"]), "reason_code": code, "fields": {}}
    if any(item.get("policy") == "local" for item in uploaded.values()):
        return None, messages.KEPT_LOCAL.filled()
    return None, messages.NOTHING_UPLOADED.filled()
