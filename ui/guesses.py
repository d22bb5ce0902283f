"""How often somebody may try to sign in: the pause grows with each failure, by address and by name."""

from __future__ import annotations

import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

FREE_FAILURES = 3
"""The first failures cost a second each; after these, the pause doubles."""
LONGEST_PAUSE_S = 60.0
FORGOTTEN_AFTER_S = 900.0
KEPT = 2048
"""Addresses and names remembered; the ones not seen for longest go first."""
AT_ONCE = 2
"""Passwords checked at the same time: each takes 32 MiB."""


@dataclass(slots=True)
class _Record:
    failures: int = 0
    until: float = 0.0


class Guesses:
    """Counts an attempt as failed when it begins and takes that back if it succeeds: attempts at once gain nothing."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self._checking = 0

    def __len__(self) -> int:
        """Addresses and names remembered."""
        return len(self._records)

    def begin(self, address: str, name: str) -> int:
        """0: the password may be checked, and `finish` must follow; else the seconds until the next attempt."""
        with self._lock:
            now, records = self._now(), [self._record(key) for key in _keys(address, name)]
            wait_s = max(record.until for record in records) - now
            if wait_s > 0:
                return math.ceil(wait_s)
            if self._checking >= AT_ONCE:
                return 1
            self._checking += 1
            for record in records:
                record.failures += 1
                record.until = now + min(LONGEST_PAUSE_S, 2.0 ** max(0, record.failures - FREE_FAILURES))
            return 0

    def finish(self, address: str, name: str, *, right: bool) -> int:
        """Ends what `begin` allowed; returns the failures in a row that the name or the address has now."""
        with self._lock:
            self._checking -= 1
            by_address, by_name = (self._record(key) for key in _keys(address, name))
            if right:
                by_name.failures, by_name.until = 0, 0.0
                by_address.failures, by_address.until = max(0, by_address.failures - 1), 0.0
            return max(by_address.failures, by_name.failures)

    def _record(self, key: str) -> _Record:
        record = self._records.pop(key, None)
        if record is None or self._now() - record.until > FORGOTTEN_AFTER_S:
            record = _Record()
        self._records[key] = record
        while len(self._records) > KEPT:
            self._records.popitem(last=False)
        return record


def _keys(address: str, name: str) -> tuple[str, str]:
    return f"address {_network(address)}", f"name {name}"


def _network(address: str) -> str:
    """An IPv6 address counts with its /64, of which one host has them all."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    return str(parsed) if parsed.version == 4 else str(ipaddress.ip_network((parsed, 64), strict=False))
