"""The panel and TensorBoard next to a training: separate processes that end with it and cannot make it fail."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

from vsrpp.control.panel_links import running_panels
from vsrpp.errors import because
from vsrpp.launch import messages
from vsrpp.launch.world import environment_alone
from vsrpp.output import has_terminal
from vsrpp.paths import RunPaths
from vsrpp.safe_text import public, safe


class Sidecars:
    """Starts the requested processes. One that cannot start is recorded once; training continues without it."""

    def __init__(
        self, run: RunPaths, *, panel: bool, tensorboard: bool, say: Callable[[str], None], tui: bool = False,
        panel_token: bool = True,
    ) -> None:  # fmt: skip
        self._say = say
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._failures: list[tuple[str, dict[str, Any]]] = []
        self._reported: set[str] = set()
        if panel:
            self._start("panel", [
                sys.executable, "-m", "vsrpp", "panel", run.run_id, "--run-dir", str(run.root.parent), "--with-parent",
                *([] if panel_token else ["--no-token"]),
            ])  # fmt: skip
        if tensorboard:
            run.tensorboard.mkdir(exist_ok=True)
            port = free_port(6006)
            self._start("tensorboard", [
                sys.executable, "-m", "vsrpp.launch.with_parent", "tensorboard.main",
                "--logdir", str(run.tensorboard), "--port", str(port),
                "--host", "127.0.0.1", "--load_fast", "false", "--reload_interval", "5",
            ])  # fmt: skip
            say(f"TensorBoard: http://127.0.0.1:{port}")
        self._tui: subprocess.Popen[bytes] | None = None
        if tui:
            self._tui = subprocess.Popen([
                sys.executable, "-m", "vsrpp", "top", run.run_id, "--run-dir", str(run.root.parent),
            ])  # fmt: skip

    def holds_terminal(self) -> bool:
        """Whether the terminal UI occupies the terminal, so that nothing else may be printed there."""
        return self._tui is not None and self._tui.poll() is None

    def failures(self) -> list[tuple[str, dict[str, Any]]]:
        """A `face_failed` event for each process that ended since the last call."""
        for name, process in self._processes.items():
            if process.poll() is not None and name not in self._reported:
                self._reported.add(name)
                fields = {"code": process.returncode}
                data = {
                    "error": messages.SIDECAR_ENDED.sentence(**fields),
                    **because(messages.SIDECAR_ENDED.code, fields),
                }
                self._failures.append(("face_failed", {"face": name, **data}))
        failures, self._failures = self._failures, []
        return failures

    def pids(self) -> list[int]:
        return [process.pid for process in self._processes.values()]

    def close(self, *, wait_for_person: bool = False) -> None:
        """End the processes. wait_for_person: let the terminal UI stay open until its user closes it."""
        if self._tui is not None:
            if not wait_for_person:
                self._tui.terminate()
            self._tui.wait()
        for process in self._processes.values():
            with contextlib.suppress(OSError):
                process.terminate()
        for process in self._processes.values():
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, name: str, command: list[str]) -> None:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                start_new_session=True, env=environment_alone(),
            )  # fmt: skip
        except OSError as error:
            self._failures.append(("face_failed", {"face": name, "error": safe(str(error))}))
            return
        self._processes[name] = process
        threading.Thread(target=self._listen, args=(process,), name=name, daemon=True).start()

    def _listen(self, process: subprocess.Popen[str]) -> None:
        """Show the address a process prints, with the panel's token on a terminal only, and keep draining its pipe."""
        assert process.stdout is not None
        with contextlib.suppress(ValueError, OSError):
            for line in process.stdout:
                if "http://" in line:
                    self._say(panel_link(line.rstrip(), process.pid))


def panel_link(line: str, pid: int) -> str:
    """What a panel says of its address, with the link in place of the address where a person reads it."""
    public(line)  # it has the token if the account's state folder cannot be written
    if not has_terminal():
        return line
    panel = next((one for one in running_panels() if one.process.get("pid") == pid), None)
    return line if panel is None or panel.asks != "token" else f"Panel: {panel.link()}"


def free_port(first: int, host: str = "127.0.0.1") -> int:
    """The first free port from `first` on."""
    for port in range(first, first + 100):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    return first
