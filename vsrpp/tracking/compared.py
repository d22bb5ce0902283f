"""Comparisons and the tracking server: reads runs that have no local folder, and attaches the report to a run."""

from __future__ import annotations

from pathlib import Path

from vsrpp.control.compare import KEYS, Record, record_of
from vsrpp.tracking import record, remote
from vsrpp.tracking.connection import RUN_ID_TAG

FOLDER = "comparison"
"""The artifact folder for comparison pages."""


def server_record(run: str, uri: str) -> Record:
    """A run's record from the tracking server. Raises NotFound, Refused for an ambiguous prefix, ProofFailed."""
    with remote.reaching(uri) as client:
        mlflow_run = remote.find_run(client, run, uri)
        events = record.events_of(client, mlflow_run)
        rows = {(row.branch, row.step, row.key): row.value for row in record.rows_of(client, mlflow_run, events, KEYS)}
    return record_of(mlflow_run.data.tags[RUN_ID_TAG], uri, events, rows)


def attach(run_id: str, uri: str, files: list[Path]) -> str:
    """Upload files to a run as artifacts; returns the MLflow run ID. Raises NotFound, VsrppError."""
    with remote.reaching(uri) as client:
        mlflow_run = remote.find_run(client, run_id, uri)
        for path in files:
            client.log_artifact(mlflow_run.info.run_id, str(path), FOLDER)
    return str(mlflow_run.info.run_id)
