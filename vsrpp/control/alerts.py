"""Which events a run sends to a webhook, what is still pending, and how the webhook's secret address is stored.

A webhook's address is its password. The run config only contains `https://host/…`; the full address is in a file of the
run folder that only its owner may read, and in no record, param, log or message.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vsrpp.paths import RunPaths
from vsrpp.store import Marks, RunReader

SINK = "alerts"
EVENTS = {
    "plateau": ("plateau_detected",),
    "non_finite": ("non_finite",),
    "revert": ("config_reverted",),
    "checkpoint_failed": ("checkpoint_failed",),
    "stopped": ("stopped",),
    "tracking_lost": ("tracking_lost",),
    "finished": ("finished",),
    "failed": ("failed", "out_of_memory"),
}
"""Values of `alerts_on` -> the events they select. `failed` also covers a trainer that died without a final event."""
HIDDEN = "/…"
ENVIRONMENT = "VSRPP_ALERTS_URL"


def event_types(run_config: Mapping[str, Any]) -> tuple[str, ...]:
    """The events to send; none without an address."""
    if not run_config.get("alerts_url"):
        return ()
    return tuple(type for name in names(run_config) for type in EVENTS.get(name, ()))


def names(run_config: Mapping[str, Any]) -> list[str]:
    return [name for name in str(run_config.get("alerts_on") or "").split(",") if name]


def alert_of(event_type: str) -> str:
    """The `alerts_on` value that selects an event."""
    return next((name for name, types in EVENTS.items() if event_type in types), event_type)


def mask(url: str) -> str:
    """`https://hooks.example.com/…`: the public part of an address."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{HIDDEN}"


def secret_file(paths: RunPaths) -> Path:
    return paths.root / ".alerts_url"


def take_out(run_config: dict[str, Any], inherited: RunPaths | None = None) -> str | None:
    """Remove the full address from the config of a run about to start, leaving the public part; returns the address.

    Without an address in the config, VSRPP_ALERTS_URL is used. A masked one, inherited from another run's config, is
    read from that run's folder (`inherited`); if it is missing there, the run sends no alerts.
    """
    url = run_config.get("alerts_url") or os.environ.get(ENVIRONMENT) or None
    if url and url.endswith(HIDDEN):
        url = (read(inherited) if inherited else None) or os.environ.get(ENVIRONMENT) or None
    run_config["alerts_url"] = mask(url) if url else None
    return url


def keep(paths: RunPaths, url: str | None) -> None:
    """Store the address for the delivery process."""
    if url:
        handle = os.open(secret_file(paths), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(url)


def read(paths: RunPaths) -> str | None:
    """The full address; None if this folder has none, for example after it was rebuilt on another host."""
    with contextlib.suppress(OSError):
        return secret_file(paths).read_text(encoding="utf-8").strip() or None
    return os.environ.get(ENVIRONMENT) or None


def state(reader: RunReader, marks: Marks | None, run_config: Mapping[str, Any]) -> dict[str, Any] | None:
    """The alerts' entry in `status`: {waiting, sent, state, error}; None for a run without alerts."""
    types = event_types(run_config)
    if not types:
        return None
    fact = (marks.fact(SINK) if marks else None) or {}
    after = marks.position(SINK)[1] if marks else 0
    waiting = reader.count_events(*types, after_seq=after)
    sent = sum(int(item.get("events", 0)) for item in marks.items(SINK, "sent").values()) if marks else 0
    refused = len(marks.items(SINK, "refused")) if marks else 0
    return {
        "waiting": waiting, "sent": sent, "refused": refused, "state": fact.get("state"), "error": fact.get("error"),
    }  # fmt: skip
