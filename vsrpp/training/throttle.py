"""Limits how often something is done."""

from __future__ import annotations

import time


class Throttle:
    """`due()` is true at most once per `interval_s`."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._due_at = 0.0

    def due(self) -> bool:
        now = time.monotonic()
        if now < self._due_at:
            return False
        self._due_at = now + self._interval_s
        return True
