"""A real pseudo-terminal with the terminal UI in a separate process."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]


class Terminal:
    """Starts `python -m vsrpp.tui FOLDER` on a pty and reads its output."""

    def __init__(
        self, folder: Path, *arguments: str, columns: int = 80, rows: int = 24, code: str = "", **env: str
    ) -> None:
        self.master, slave = pty.openpty()
        self.resize(columns, rows)
        self.attributes = termios.tcgetattr(slave)
        self.slave = slave
        self.output = b""
        command = ["-c", code] if code else ["-m", "vsrpp.tui"]
        kept = {
            key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "LC_ALL", "LC_CTYPE", "LANG")
        }
        self.process = subprocess.Popen(
            [sys.executable, *command, str(folder), *arguments], stdin=slave, stdout=slave, stderr=subprocess.PIPE,
            start_new_session=True, preexec_fn=self._own_terminal,
            env={**kept, "TERM": "xterm-256color", "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT), **env},
        )  # fmt: skip

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for descriptor in (self.master, self.slave):
            if descriptor >= 0:
                os.close(descriptor)
        assert self.process.stderr is not None
        self.process.stderr.close()

    @staticmethod
    def _own_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def read(self, seconds: float) -> bytes:
        """The output during that time."""
        deadline = time.monotonic() + seconds
        got = b""
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self.master], [], [], left)[0]:
                try:
                    got += os.read(self.master, 65536)
                except OSError:  # the process is gone
                    break
        self.output += got
        return got

    def read_until(self, condition: Callable[[bytes], bool], timeout_s: float = 120.0) -> bytes:
        """Read until the whole output satisfies the condition."""
        deadline = time.monotonic() + timeout_s
        while not condition(self.output):
            assert time.monotonic() < deadline, self.output[-2000:]
            if self.process.poll() is not None:
                self.read(0.2)
                assert condition(self.output), (self.output[-2000:], self.errors())
                break
            self.read(0.05)
        return self.output

    def wait(self, timeout_s: float = 120.0) -> int:
        """Wait for the exit status, reading output meanwhile, as a terminal does."""
        deadline = time.monotonic() + timeout_s
        while self.process.poll() is None:
            assert time.monotonic() < deadline, "it did not end"
            self.read(0.05)
        self.read(0.2)
        return self.process.returncode

    def errors(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()

    def left_clean(self) -> bool:
        """Whether the terminal was restored: attributes, main screen, cursor, paste mode, wrapping."""
        attributes = termios.tcgetattr(self.slave)
        closed = (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?2004l")
        return attributes == self.attributes and all(self.output.rfind(end) > 0 for end in closed)

    def cpu_s(self) -> float:
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system
