"""Which events a run tells a webhook of, what of that is still to be said, and how the secret address is kept.

The address of a webhook is its password. It is in the run config only as `https://host/…`; the whole of it is in a file
of the run folder that nobody but its owner may read, and in no record, param, log or message.
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
"""What `alerts_on` may name -> the events it means. `failed` also stands for a trainer that is gone without a word."""
HIDDEN = "/…"
ENVIRONMENT = "VSRPP_ALERTS_URL"


def event_types(run_config: Mapping[str, Any]) -> tuple[str, ...]:
    """The events a run tells of; none without an address."""
    if not run_config.get("alerts_url"):
        return ()
    return tuple(type for name in names(run_config) for type in EVENTS.get(name, ()))


def names(run_config: Mapping[str, Any]) -> list[str]:
    return [name for name in str(run_config.get("alerts_on") or "").split(",") if name]


def alert_of(event_type: str) -> str:
    """The name under which an event is told."""
    return next((name for name, types in EVENTS.items() if event_type in types), event_type)


def mask(url: str) -> str:
    """`https://hooks.example.com/…`: what may be seen of an address."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{HIDDEN}"


def secret_file(paths: RunPaths) -> Path:
    return paths.root / ".alerts_url"


def take_out(run_config: dict[str, Any], inherited: RunPaths | None = None) -> str | None:
    """The whole address of a run that is to start; in its config only what may be seen stays.

    Without one in the config, VSRPP_ALERTS_URL is it. A masked one, from another run's config, is read from that run's
    folder (`inherited`); where it is not there, the run has no alerts.
    """
    url = run_config.get("alerts_url") or os.environ.get(ENVIRONMENT) or None
    if url and url.endswith(HIDDEN):
        url = (read(inherited) if inherited else None) or os.environ.get(ENVIRONMENT) or None
    run_config["alerts_url"] = mask(url) if url else None
    return url


def keep(paths: RunPaths, url: str | None) -> None:
    """Put the address where the delivery process finds it."""
    if url:
        handle = os.open(secret_file(paths), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(url)


def read(paths: RunPaths) -> str | None:
    """The whole address; None where it is not: the folder was made again on another host, say."""
    with contextlib.suppress(OSError):
        return secret_file(paths).read_text(encoding="utf-8").strip() or None
    return os.environ.get(ENVIRONMENT) or None


def state(reader: RunReader, marks: Marks | None, run_config: Mapping[str, Any]) -> dict[str, Any] | None:
    """What `status` says of a run's alerts: {waiting, sent, state, error}; None of a run without any."""
    types = event_types(run_config)
    if not types:
        return None
    fact = (marks.fact(SINK) if marks else None) or {}
    after = marks.position(SINK)[1] if marks else 0
    waiting = sum(1 for _ in reader.events(after_seq=after, types=types))
    sent = sum(int(item.get("events", 0)) for item in marks.items(SINK, "sent").values()) if marks else 0
    refused = len(marks.items(SINK, "refused")) if marks else 0
    return {
        "waiting": waiting, "sent": sent, "refused": refused, "state": fact.get("state"), "error": fact.get("error"),
    }  # fmt: skip
