"""Keeps encoders from making their process a real-time one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def scheduling_kept() -> Iterator[None]:
    """Open an encoder in the body: afterwards, all threads of the process have the scheduling of the calling one again.

    SVT-AV1, where it may, gives its threads and the one that opens it the highest real-time priority: then no other process
    runs on their cores, and what is started from there inherits it.
    """
    if not hasattr(os, "sched_setscheduler"):
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        for thread in _threads():
            with suppress(OSError):  # it has ended
                if os.sched_getscheduler(thread) != policy:
                    os.sched_setscheduler(thread, policy, parameters)


def _threads() -> list[int]:
    with suppress(OSError):
        return [int(task.name) for task in Path("/proc/self/task").iterdir()]
    return [0]
