"""Whether what MLflow has of a checkpoint lies on another machine: both its files and the record that finds them."""

from __future__ import annotations

import os
import socket
from functools import lru_cache
from urllib.parse import urlsplit

FILES = frozenset({"", "file"})
HOSTED = "databricks"
"""A tracking URI that is a service's name, not an address."""
PROXIED = "mlflow-artifacts"
"""Artifacts that go through the tracking server."""
ENDPOINTS = {"s3": ("MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")}
"""Where a store that names no host may be asked to live: an S3 of one's own, on this host perhaps."""


def why_on_this_host(tracking_uri: str, artifact_uri: str) -> str:
    """What would be lost with this host, in words; "" if neither the tracking store nor the artifacts would.

    A folder counts as this host's: whether it is a mount from elsewhere, nobody here can promise. So does what is
    reached through a loopback address, a tunnel included. May look a name up, so nothing on the step's path calls it.
    """
    if _is_here(tracking_uri):
        return "the tracking store is on this host"
    artifacts = urlsplit(artifact_uri)
    if artifacts.scheme == PROXIED and not artifacts.hostname:
        return ""
    if _is_here(artifact_uri):
        return "the artifact store is on this host"
    for name in ENDPOINTS.get(artifacts.scheme, ()):
        if os.environ.get(name):
            return "the artifact store is on this host" if _is_here(os.environ[name]) else ""
    return ""


def named_place(tracking_uri: str, artifact_uri: str) -> str:
    """The address that says where the files are: the server's, where it hands them on to a store of its own."""
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
    """Whether a name stands for this machine: "" does, and a name nobody knows does not."""
    if not name or name == "localhost":
        return True
    try:
        addresses = {(family, address[0]) for family, *_, address in socket.getaddrinfo(name, None)}
    except OSError:
        return False
    return any(_can_bind(family, str(address)) for family, address in addresses)


def _can_bind(family: int, address: str) -> bool:
    """Only an address of this machine's own can be bound."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as trial:
            trial.bind((address, 0))
    except OSError:
        return False
    return True
