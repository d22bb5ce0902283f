"""Whether MLflow's copy of a checkpoint is on another machine: both its files and the record that locates them."""

from __future__ import annotations

import os
import socket
from functools import lru_cache
from urllib.parse import urlsplit

from vsrpp.control import messages
from vsrpp.errors import Remark

FILES = frozenset({"", "file"})
HOSTED = "databricks"
"""A tracking URI that names a service and has no host."""
PROXIED = "mlflow-artifacts"
"""Scheme of artifacts that pass through the tracking server."""
ENDPOINTS = {"s3": ("MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")}
"""Variables that set the address of a store whose URI names no host: it may be a self-hosted S3 on this machine."""


def why_on_this_host(tracking_uri: str, artifact_uri: str) -> Remark | None:
    """Why a loss of this host would also lose the copy; None if it would not.

    A folder counts as local, because it may or may not be a remote mount. So does anything reached through a loopback
    address, including a tunnel. May do a DNS lookup, so it must not be called on the training path.
    """
    if _is_here(tracking_uri):
        return messages.TRACKING_STORE_HERE
    artifacts = urlsplit(artifact_uri)
    if artifacts.scheme == PROXIED and not artifacts.hostname:
        return None
    if _is_here(artifact_uri):
        return messages.ARTIFACT_STORE_HERE
    for name in ENDPOINTS.get(artifacts.scheme, ()):
        if os.environ.get(name):
            return messages.ARTIFACT_STORE_HERE if _is_here(os.environ[name]) else None
    return None


def named_place(tracking_uri: str, artifact_uri: str) -> str:
    """The address of the files, for people: the server's, if artifacts pass through it to its own store."""
    return tracking_uri if urlsplit(artifact_uri).scheme == PROXIED else artifact_uri


def _is_here(uri: str) -> bool:
    parts = urlsplit(uri)
    scheme = parts.scheme.partition("+")[0]
    if uri == HOSTED:
        return False
    if scheme in FILES or scheme == "sqlite":
        return True
    if scheme in ("http", "https", "postgresql", "mysql", "mssql", PROXIED):
        return host_is_here(parts.hostname or "")
    return False


@lru_cache(maxsize=64)
def host_is_here(name: str) -> bool:
    """Whether a host name refers to this machine: "" does, an unknown name does not."""
    if not name or name == "localhost":
        return True
    try:
        addresses = {(family, address[0]) for family, *_, address in socket.getaddrinfo(name, None)}
    except OSError:
        return False
    return any(_can_bind(family, str(address)) for family, address in addresses)


def _can_bind(family: int, address: str) -> bool:
    """Only a local address can be bound."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as trial:
            trial.bind((address, 0))
    except OSError:
        return False
    return True
