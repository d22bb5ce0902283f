"""The runs on a tracking server, for `vsrpp runs`; and the tag for MLflow runs of tools."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from vsrpp.control.best import PSNR_Y
from vsrpp.tracking.connection import RUN_ID_TAG, find_runs
from vsrpp.tracking.remote import reaching


def server_runs(uri: str, timeout_s: float = 5.0) -> list[dict[str, Any]]:
    """The training runs at `uri`, newest first: one query, whatever the number of metrics.

    Keys: run_id, mlflow_run_id, name, state, status (MLflow's), step, best {step, psnr_y} or None, started (seconds
    since 1970). `timeout_s` bounds each call to the server, not the 5 s that importing mlflow takes.
    Raises VsrppError if the server cannot be used.
    """
    from vsrpp.tracking import environment

    environment.prepare(uri, timeout_s=timeout_s)
    with reaching(uri) as client:
        return [_row(run) for run in find_runs(client, "tags.`vsrpp.kind` = 'train'")]


def tag_as_tool(run_id: str, uri: str | None = None) -> None:
    """Mark an MLflow run that `mlflow run . -e …` created as a tool's, not a training run. Raises VsrppError."""
    with reaching(uri or os.environ.get("MLFLOW_TRACKING_URI", "")) as client:
        client.set_tag(run_id, "vsrpp.kind", "tool")


def _row(run: Any) -> dict[str, Any]:
    tags = run.data.tags
    return {
        "run_id": tags.get(RUN_ID_TAG, run.info.run_id),
        "mlflow_run_id": run.info.run_id,
        "name": run.info.run_name,
        "state": tags.get("vsrpp.state", "training"),
        "status": run.info.status,
        "step": int(tags.get("vsrpp.step", 0)),
        "best": _best(tags),
        "started": run.info.start_time / 1000.0 if run.info.start_time else None,
    }


def _best(tags: Mapping[str, str]) -> dict[str, Any] | None:
    """`best` as in `status --json`; older runs, which only knew PSNR-Y, have that value alone."""
    if "vsrpp.best_step" not in tags:
        return None
    psnr_y = tags.get("vsrpp.best_psnr_y")
    key = tags.get("vsrpp.best_key", PSNR_Y)
    value = tags.get("vsrpp.best_value", psnr_y)
    return {
        "step": int(tags["vsrpp.best_step"]), "psnr_y": None if psnr_y is None else float(psnr_y), "key": key,
        "value": None if value is None else float(value),
    }  # fmt: skip
