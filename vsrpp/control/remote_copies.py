"""The newest state with a copy on another host, which survives the loss of this machine. Read from the marks alone."""

from __future__ import annotations

import time

from vsrpp.control import messages
from vsrpp.control.backlog import MLFLOW
from vsrpp.control.lineage import Lineage
from vsrpp.documents import RemarkDocument, RemoteCopyDocument
from vsrpp.safe_text import redact
from vsrpp.store import Marks, RunReader

PLACE = "mlflow.place"
"""The fact with the destination of uploads: {uri, why_here, why_code}; "" if it is another machine. Older facts have no code."""


def newest_remote_copy(
    reader: RunReader, line: Lineage, marks: Marks | None, now: float | None = None
) -> tuple[RemoteCopyDocument | None, RemarkDocument | None]:
    """({step, branch, age_s, uri} of the newest state of a line with a confirmed upload to another machine, None) or (None, why).

    `age_s` counts from the time the state was captured: training since then would be lost.
    """
    place = (marks.fact(PLACE) if marks else None) or {}
    off_host = marks.item_values(MLFLOW, "checkpoint", "off_host") if marks else {}
    for at, step, branch in reader.fields("checkpoint_saved", newest_first=True) if off_host else ():
        uri = off_host.get(f"{branch}/{step}")
        if uri and line.holds(branch, step):
            age_s = max(0.0, (time.time() if now is None else now) - at)
            return {"step": step, "branch": branch, "age_s": age_s, "uri": redact(str(uri), path=True)}, None
    if place.get("why_here"):
        code = str(place.get("why_code") or "")
        return None, {"message": str(place["why_here"]), "reason_code": code, "fields": {}}
    if marks and "local" in marks.item_values(MLFLOW, "checkpoint", "policy").values():
        return None, messages.KEPT_LOCAL.filled()
    return None, messages.NOTHING_UPLOADED.filled()
