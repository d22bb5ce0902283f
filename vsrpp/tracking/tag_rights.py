"""What tags on a run in MLflow may do (`mlflow_tags`), and who can set them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from vsrpp.control.roles import Role
from vsrpp.safe_text import redact
from vsrpp.tracking.environment import sqlite_file

KEY = "mlflow_tags"
ROLES: Mapping[str, Role | None] = {"all": Role.OWNER, "safe": Role.OPERATOR, "off": None}
CREDENTIALS = (
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_AUTH",
    "MLFLOW_TRACKING_AWS_SIGV4",
    "MLFLOW_TRACKING_CLIENT_CERT_PATH",
)
"""MLflow's variables that make its client log in; it also reads ~/.netrc."""


def setting(run_config: Mapping[str, Any]) -> str:
    """`all` for a run that was started before the key existed."""
    return str(run_config.get(KEY) or "all")


def role(run_config: Mapping[str, Any]) -> Role | None:
    """The role that tags act with; None if they are not read."""
    return ROLES[setting(run_config)]


def who_steers(run_config: Mapping[str, Any], uri: str) -> str:
    """One line for the start of a training: who can steer it by tags, given how this process reaches the store."""
    chosen = setting(run_config)
    if ROLES[chosen] is None:
        return f"Tags in MLflow do not steer this run ({KEY} = off)."
    can = {"all": "can steer this run", "safe": "can edit its safe tier, pause, resume, validate and checkpoint"}[
        chosen
    ]
    return f"{_who(uri)} {can} by setting tags in MLflow ({KEY} = {chosen})."


def _who(uri: str) -> str:
    scheme = urlsplit(uri).scheme
    shown = redact(uri, path=True)
    if scheme in ("http", "https"):
        if urlsplit(uri).username or any(os.environ.get(name) for name in CREDENTIALS):
            return f"Everyone whom {shown} lets write to it"
        return f"Everyone who reaches {shown}, which is used without a login,"
    place = sqlite_file(uri)
    return f"Everyone who may write {place or shown}"
