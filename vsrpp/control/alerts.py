"""Which events a run sends to a webhook, what is still pending, and how the webhook's secret address is stored.

A webhook's address is its password. The run config only contains `https://host/…`; the full address is in a file of the
run folder that only its owner may read, and in no record, param, log or message.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vsrpp.control import messages
from vsrpp.paths import RunPaths
from vsrpp.private_files import private_file
from vsrpp.safe_text import redact
from vsrpp.store import Marks, RunReader

SINK = "alerts"
EVENTS = {
    "plateau": ("plateau_detected",),
    "lr_floor": ("lr_floor",),
    "non_finite": ("non_finite",),
    "bad_sample": ("bad_sample",),
    "recurrence_unstable": ("recurrence_unstable",),
    "below_bicubic": ("below_bicubic",),
    "quality_fell": ("quality_fell",),
    "revert": ("config_reverted",),
    "checkpoint_failed": ("checkpoint_failed", "output_lost", "output_back"),
    "stopped": ("stopped",),
    "tracking_lost": ("tracking_lost",),
    "finished": ("finished",),
    "failed": ("failed", "out_of_memory"),
}
"""Values of `alerts_on` -> the events they select. `failed` also covers a trainer that died without a final event."""
HIDDEN = "/…"
ENVIRONMENT = "VSRPP_ALERTS_URL"
METADATA = frozenset({"fd00:ec2::254", "100.100.100.200"})
"""Metadata services outside the link-local ranges: AWS over IPv6, Alibaba."""
_WRAPPED = frozenset({bytes(12), bytes.fromhex("0064ff9b") + bytes(8)})
"""IPv6 prefixes that end in an IPv4 address: compatible, and NAT64."""


def event_types(run_config: Mapping[str, Any]) -> tuple[str, ...]:
    """The events to send; none without an address."""
    if not run_config.get("alerts_url"):
        return ()
    return tuple(type for name in names(run_config) for type in EVENTS.get(name, ()))


def tells_of_waits(run_config: Mapping[str, Any]) -> bool:
    """Whether to alert when the run waits because its record or its last checkpoint cannot be written."""
    return "checkpoint_failed" in names(run_config)


def names(run_config: Mapping[str, Any]) -> list[str]:
    return [name for name in str(run_config.get("alerts_on") or "").split(",") if name]


def alert_of(event_type: str) -> str:
    """The `alerts_on` value that selects an event."""
    return next((name for name, types in EVENTS.items() if event_type in types), event_type)


def mask(url: str) -> str:
    """`https://hooks.example.com/…`: the public part of an address."""
    return redact(url).removesuffix(HIDDEN) + HIDDEN


def is_link_local(address: str) -> bool:
    """Whether an IP address is link-local or a cloud's metadata service, also in a form that wraps IPv4 into IPv6.

    False for a name.
    """
    try:
        ip = ip_address(address.strip("[]").partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, IPv6Address):
        packed = ip.packed
        wrapped = [ip.ipv4_mapped, ip.sixtofour, IPv4Address(packed[12:]) if packed[:12] in _WRAPPED else None]
        if any(inner is not None and is_link_local(str(inner)) for inner in wrapped):
            return True
    return ip.is_link_local or str(ip) in METADATA


def secret_file(paths: RunPaths) -> Path:
    return paths.root / ".alerts_url"


def take_out(run_config: dict[str, Any], inherited: RunPaths | None = None) -> str | None:
    """Remove the full address from the config of a run about to start, leaving the public part; returns the address.

    Without an address in the config, VSRPP_ALERTS_URL is used. A masked one, inherited from another run's config, is
    read from that run's folder (`inherited`); if it is missing there, the run sends no alerts. Raises Refused for a
    link-local address that is not allowed; a name is resolved only when there is something to post.
    """
    url = run_config.get("alerts_url") or os.environ.get(ENVIRONMENT) or None
    if url and url.endswith(HIDDEN):
        url = (read(inherited) if inherited else None) or os.environ.get(ENVIRONMENT) or None
    if url and not run_config.get("alerts_link_local") and is_link_local(_host(url)):
        raise messages.WEBHOOK_LINK_LOCAL(url=mask(url))
    run_config["alerts_url"] = mask(url) if url else None
    return url


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def keep(paths: RunPaths, url: str | None) -> None:
    """Store the address for the delivery process."""
    if url:
        secret_file(paths).unlink(missing_ok=True)  # whatever it was, a link or an old mode included
        with open(secret_file(paths), "x", encoding="utf-8", opener=private_file) as file:
            file.write(url)


def read(paths: RunPaths) -> str | None:
    """The full address; None if this folder has none, for example after it was rebuilt on another host."""
    with contextlib.suppress(OSError), open(secret_file(paths), encoding="utf-8", opener=private_file) as file:
        return file.read().strip() or None
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
