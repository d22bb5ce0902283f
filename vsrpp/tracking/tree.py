"""The run hierarchy in MLflow's UI, from the tag `mlflow.parentRunId`, which contains MLflow's run ID, not ours."""

from __future__ import annotations

from typing import Any

from vsrpp.tracking.connection import RUN_ID_TAG, find_runs

MLFLOW_PARENT = "mlflow.parentRunId"
PARENT_TAG = "vsrpp.parent_run_id"
"""Our run ID of the run that this one was started from, whether or not the server knows that run."""


def parent_tags(client: Any, parent_run_id: str | None, own: str) -> dict[str, str]:
    """The tag that puts MLflow run `own` below its parent; empty if the server does not know the parent yet."""
    if not parent_run_id:
        return {}
    parents = find_runs(client, f"tags.`{RUN_ID_TAG}` = '{parent_run_id}'", limit=1)
    return {MLFLOW_PARENT: parents[0].info.run_id} if parents and parents[0].info.run_id != own else {}


def adopt(client: Any, run_id: str, own: str) -> int:
    """Put runs that were started from this one and uploaded earlier below it; returns how many."""
    children = find_runs(client, f"tags.`{PARENT_TAG}` = '{run_id}'")
    orphans = [child for child in children if MLFLOW_PARENT not in child.data.tags and child.info.run_id != own]
    for child in orphans:
        client.set_tag(child.info.run_id, MLFLOW_PARENT, own)
    return len(orphans)
