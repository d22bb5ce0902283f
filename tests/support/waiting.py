"""Waits for conditions, and finds ports for servers."""

from __future__ import annotations

import contextlib
import random
import socket
import time
from collections.abc import Callable
from typing import Any


def wait_until(condition: Callable[[], Any], timeout_s: float = 120.0, what: str = "the condition") -> Any:
    """The first true value of `condition`; fails after `timeout_s`, which allows for a machine five times slower."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come within {timeout_s} s")


def free_port() -> int:
    """A port for a server to start or restart on; outside the range that the system assigns to connections."""
    low, high = 20_000, 32_000  # below the range that systems assign themselves
    while True:
        port = random.SystemRandom().randrange(low, high)
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port
