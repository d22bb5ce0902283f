"""How mlflow is set up before it is imported: short waits, no telemetry, artifacts beside a SQLite database."""

from __future__ import annotations

import os
from pathlib import Path

WAITS = {
    # One call to a dead server takes 246 s by default (7 retries with back-off); the delivery loop retries by itself.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}
SERVER_ARTIFACT_ROOT = "_MLFLOW_SERVER_ARTIFACT_ROOT"
"""The variable mlflow's own server passes its default artifact root in. Without it, opening a SQLite store makes
./mlruns in the working directory and puts artifacts there."""


def prepare(uri: str, *, timeout_s: float | None = None) -> None:
    """Set the environment for mlflow clients of `uri`; what the user has set stays. Call it before importing mlflow."""
    for name, value in WAITS.items():
        os.environ.setdefault(name, value)
    if timeout_s is not None:
        os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(max(1, round(timeout_s)))
    root = sqlite_artifact_root(uri)
    if root is not None:
        os.environ.setdefault(SERVER_ARTIFACT_ROOT, str(root))


def sqlite_artifact_root(uri: str) -> Path | None:
    """`mlartifacts` beside the database of a sqlite URI; None for any other (a server knows its own root)."""
    database = sqlite_file(uri)
    return database.parent / "mlartifacts" if database else None


def sqlite_file(uri: str) -> Path | None:
    """The file of a sqlite URI; None for any other, and for one in memory."""
    if not uri.startswith("sqlite:"):
        return None
    _, _, rest = uri.partition(":///")
    database = rest.split("?", 1)[0]
    return Path(database).resolve() if database and database != ":memory:" else None


def quicken_database_errors() -> None:
    """A database that cannot be opened is tried 10 times with doubling waits (102 s); two do, we come again."""
    from mlflow.store.db import utils

    if hasattr(utils, "MAX_RETRY_COUNT"):
        utils.MAX_RETRY_COUNT = 2
