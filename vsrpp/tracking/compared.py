"""A comparison's way to and from the tracking server: runs whose folder is not here, and the page put on a run."""

from __future__ import annotations

from pathlib import Path

from vsrpp.control.compare import KEYS, Record, record_of
from vsrpp.tracking import record, remote
from vsrpp.tracking.connection import RUN_ID_TAG

FOLDER = "comparison"
"""The artifact folder that pages are put into."""


def server_record(run: str, uri: str) -> Record:
    """What the tracking server has of a run. Raises NotFound, Refused for a prefix of several, ProofFailed."""
    with remote.reaching(uri) as client:
        mlflow_run = remote.find_run(client, run, uri)
        events = record.events_of(client, mlflow_run)
        rows = {(row.branch, row.step, row.key): row.value for row in record.rows_of(client, mlflow_run, events, KEYS)}
    return record_of(mlflow_run.data.tags[RUN_ID_TAG], uri, events, rows)


def attach(run_id: str, uri: str, files: list[Path]) -> str:
    """Put files on a run as artifacts; returns the MLflow run's id. Raises NotFound, VsrppError."""
    with remote.reaching(uri) as client:
        mlflow_run = remote.find_run(client, run_id, uri)
        for path in files:
            client.log_artifact(mlflow_run.info.run_id, str(path), FOLDER)
    return str(mlflow_run.info.run_id)
