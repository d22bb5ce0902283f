"""The newest state that is off this host: what remains of the run if this machine is lost. From the marks alone."""

from __future__ import annotations

import time

from vsrpp.control.backlog import MLFLOW
from vsrpp.control.lineage import line_of
from vsrpp.documents import RemoteCopyDocument
from vsrpp.store import Marks, RunReader

PLACE = "mlflow.place"
"""The fact that says where uploads go: {uri, why_here: "" or why that is no other machine}."""


def newest_remote_copy(
    reader: RunReader, marks: Marks | None, now: float | None = None
) -> tuple[RemoteCopyDocument | None, str]:
    """({step, branch, age_s, uri} of the newest state whose upload is confirmed on another machine, "") or (None, why).

    `age_s` counts from the moment the state was taken: so much training would have to be done again.
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
