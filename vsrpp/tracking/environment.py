"""MLflow's settings, made before it is imported: short timeouts, no telemetry, artifacts beside a SQLite database."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from vsrpp.safe_text import redact_log_records

WAITS = {
    # By default a call to a dead server takes 246 s (7 retries with back-off); the delivery loop does its own retries.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}
UPLOAD_TIMEOUT_S = 600
"""Timeout for an upload: the server forwards a file of gigabytes to its store before it answers."""
SERVER_ARTIFACT_ROOT = "_MLFLOW_SERVER_ARTIFACT_ROOT"
"""The variable in which mlflow's server passes its default artifact root. Without it, opening a SQLite store creates
./mlruns in the working directory and puts artifacts there."""


def prepare(uri: str, *, timeout_s: float | None = None) -> None:
    """Set the environment for MLflow clients of `uri`, keeping the user's settings. Call before importing mlflow.

    From then on no log record of this process contains an address that is not redacted.
    """
    redact_log_records()
    for name, value in WAITS.items():
        os.environ.setdefault(name, value)
    if timeout_s is not None:
        os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(max(1, round(timeout_s)))
    root = sqlite_artifact_root(uri)
    if root is not None:
        os.environ.setdefault(SERVER_ARTIFACT_ROOT, str(root))


def experiment() -> tuple[str | None, str | None]:
    """(name, ID) of the experiment that MLflow's own variables name; the ID counts only without a name."""
    name, experiment_id = os.environ.get("MLFLOW_EXPERIMENT_NAME"), os.environ.get("MLFLOW_EXPERIMENT_ID")
    return (name, None) if name else (None, experiment_id or None)


def sqlite_artifact_root(uri: str) -> Path | None:
    """`mlartifacts` beside the database of a SQLite URI; None for any other (a server has its own root)."""
    database = sqlite_file(uri)
    return database.parent / "mlartifacts" if database else None


def sqlite_file(uri: str) -> Path | None:
    """The file of a SQLite URI; None for any other URI and for an in-memory database."""
    if not uri.startswith("sqlite:"):
        return None
    _, _, rest = uri.partition(":///")
    database = rest.split("?", 1)[0]
    return Path(database).resolve() if database and database != ":memory:" else None


def quicken_database_errors() -> None:
    """Limit MLflow to 2 attempts to open a database, not 10 with doubling waits (102 s); the delivery loop retries."""
    from mlflow.store.db import utils

    if hasattr(utils, "MAX_RETRY_COUNT"):
        utils.MAX_RETRY_COUNT = 2


def wait_for_uploads() -> None:
    """Give uploads to a server's artifact store a timeout of their own: 15 s suits a row, but not a 2 GB file.

    MLflow has one setting for both. The user's timeout for rows (MLFLOW_HTTP_REQUEST_TIMEOUT) stays.
    """
    from mlflow.store.artifact import http_artifact_repo as repository

    send = getattr(repository, "http_request", None)
    if send is None or hasattr(send, "vsrpp_timeout"):
        return

    def patient(host_creds: Any, endpoint: str, method: str, **how: Any) -> Any:
        if method == "PUT":
            how.setdefault("timeout", UPLOAD_TIMEOUT_S)
        return send(host_creds, endpoint, method, **how)

    patient.vsrpp_timeout = UPLOAD_TIMEOUT_S  # type: ignore[attr-defined]
    repository.http_request = patient  # type: ignore[assignment]


def address(uri: str) -> str:
    """A server's address without user name and password, which move to MLflow's environment variables.

    MLflow puts the whole address into its error messages, and so into logs. A user name without its password, which older
    records keep, would override the variables.
    """
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or "@" not in parts.netloc:
        return uri
    user, _, host = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    if password:
        os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(name)
        os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(password)
    elif name:
        os.environ.setdefault("MLFLOW_TRACKING_USERNAME", unquote(name))
    return urlunsplit(parts._replace(netloc=host))
