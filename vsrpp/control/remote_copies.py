"""The newest state with a copy on another host, which survives the loss of this machine. Read from the marks alone."""

from __future__ import annotations

import time

from vsrpp.control.backlog import MLFLOW
from vsrpp.control.lineage import line_of
from vsrpp.documents import RemoteCopyDocument
from vsrpp.store import Marks, RunReader

PLACE = "mlflow.place"
"""The fact with the destination of uploads: {uri, why_here}; `why_here` is "" if it is another machine."""


def newest_remote_copy(
    reader: RunReader, marks: Marks | None, now: float | None = None
) -> tuple[RemoteCopyDocument | None, str]:
    """({step, branch, age_s, uri} of the newest state with a confirmed upload to another machine, "") or (None, why).

    `age_s` counts from the time the state was captured: training since then would be lost.
    """
    place = (marks.fact(PLACE) if marks else None) or {}
    uploaded = marks.items(MLFLOW, "checkpoint") if marks else {}
    for event in reversed(line_of(reader).checkpoints):
        item = uploaded.get(f"{event.branch}/{event.step}") or {}
        if item.get("off_host"):
            age_s = max(0.0, (time.time() if now is None else now) - event.time)
            return {"step": event.step, "branch": event.branch, "age_s": age_s, "uri": item["off_host"]}, ""
    if place.get("why_here"):
        return None, str(place["why_here"])
    if any(item.get("policy") == "local" for item in uploaded.values()):
        return None, "checkpoints are kept local (checkpoint_upload = local)"
    return None, "no checkpoint has been uploaded yet"
