"""Real faults of the environment that need no privileges: a lock on run.db, and files that cannot grow."""

from __future__ import annotations

import os
import resource
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.support.waiting import wait_until
from vsrpp.store import RunReader


@contextmanager
def locked(run_db: Path) -> Iterator[None]:
    """Another writer holds run.db."""
    with closing(sqlite3.connect(run_db, isolation_level=None, timeout=30, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def full_disk(limit_bytes: int = 4096, pid: int | None = None) -> Iterator[None]:
    """No file of a process (this one by default) can grow beyond `limit_bytes`, as on a full disk."""
    process = os.getpid() if pid is None else pid
    before = resource.prlimit(process, resource.RLIMIT_FSIZE)
    resource.prlimit(process, resource.RLIMIT_FSIZE, (limit_bytes, before[1]))
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            resource.prlimit(process, resource.RLIMIT_FSIZE, before)


def while_it_waits(run_db: Path, then: Callable[[], Any], call: Callable[[], Any]) -> Any:
    """`call`, which waits for its storage; once the run says so, another thread calls `then`. Returns its result."""

    def when_waiting() -> None:
        with RunReader(run_db) as reader:
            wait_until(lambda: reader.state().get("state") == "waiting", what="a wait")
        then()

    with ThreadPoolExecutor(1) as other:
        ended = other.submit(when_waiting)
        result = call()
        ended.result()
    return result
