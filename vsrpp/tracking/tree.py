"""The tree of runs as MLflow's UI draws it: from the tag `mlflow.parentRunId`, which holds MLflow's id and not ours."""

from __future__ import annotations

from typing import Any

from vsrpp.tracking.connection import RUN_ID_TAG, find_runs

MLFLOW_PARENT = "mlflow.parentRunId"
PARENT_TAG = "vsrpp.parent_run_id"
"""Our run ID of the run that a run began from; there whether or not the server knows that run."""


def parent_tags(client: Any, parent_run_id: str | None, own: str) -> dict[str, str]:
    """The tag that hangs the MLflow run `own` below the run it began from; nothing if the server does not know that yet."""
    if not parent_run_id:
        return {}
    parents = find_runs(client, f"tags.`{RUN_ID_TAG}` = '{parent_run_id}'", limit=1)
    return {MLFLOW_PARENT: parents[0].info.run_id} if parents and parents[0].info.run_id != own else {}


def adopt(client: Any, run_id: str, own: str) -> int:
    """Hang runs that began from this one and were delivered before it below it; returns how many."""
    children = find_runs(client, f"tags.`{PARENT_TAG}` = '{run_id}'")
    orphans = [child for child in children if MLFLOW_PARENT not in child.data.tags and child.info.run_id != own]
    for child in orphans:
        client.set_tag(child.info.run_id, MLFLOW_PARENT, own)
    return len(orphans)
