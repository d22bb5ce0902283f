"""Ensures that only one process uploads a run folder at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from vsrpp.private_files import open_no_link
from vsrpp.tracking import messages

FILE_NAME = "delivery.lock"


class DeliveryLock:
    """An flock on a file in the run folder; the kernel releases it when the process ends, for whatever reason."""

    def __init__(self, run_dir: Path) -> None:
        """Raises Refused if the file is a link."""
        try:
            self._fd = open_no_link(run_dir / FILE_NAME, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise messages.LOCK_UNUSABLE(file=str(run_dir / FILE_NAME), why=error.strerror) from None
        self.held = False

    def take(self) -> bool:
        """Try to take the lock without waiting. True if this process holds it."""
        if not self.held:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, str(os.getpid()).encode(), 0)
            self.held = True
        return True

    def holder(self) -> str:
        """PID of the process that last took the lock, for messages."""
        return os.pread(self._fd, 32, 0).decode(errors="replace").strip() or "unknown"

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._fd)
        self.held = False

    def __enter__(self) -> DeliveryLock:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
