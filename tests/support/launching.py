"""Starts launchers with real rank processes in tests, with a stand-in for the training."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from tests.support.processes import environment
from tests.support.waiting import wait_until

LAUNCHES = """
import sys
from vsrpp.cli.console import Console
from vsrpp.launch import plan as launch
from vsrpp.launch import supervisor
from vsrpp.launch.request import RankCommand
from vsrpp.errors import VsrppError
plan = launch.Plan(**__PLAN__)
command = RankCommand(module="tests.support.stand_in", arguments=("train", "--devices", "2"))
try:
    code = supervisor.run(plan, command, Console())
except VsrppError as error:
    print(f"vsrpp: {error}", file=sys.stderr)
    code = error.exit_code
sys.exit(code)
"""


class World:
    """A launcher with stand-in ranks; remaining processes are killed when the `with` block ends."""

    def __init__(
        self, folder: Path, script: dict[str, list[str]], *, say: dict[str, str] | None = None, **plan: Any
    ) -> None:
        """`say`: additional environment of the launcher; `plan`: the fields of `launch.Plan`."""
        self.folder = folder
        (folder / "tmp").mkdir(exist_ok=True, parents=True)
        env = environment(folder)
        env |= {"STAND_IN": json.dumps(script), "STAND_IN_FOLDER": str(folder), "TMPDIR": str(folder / "tmp")}
        env |= say or {}
        self.out, self.err = folder / "out.log", folder / "err.log"
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-c", LAUNCHES.replace("__PLAN__", repr({"devices": 2, **plan}))], cwd=folder, env=env,
                stdout=out, stderr=err, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def __enter__(self) -> World:
        return self

    def __exit__(self, *exc: object) -> None:
        for process in [*self.children(), self.process]:
            if process.poll() is None if isinstance(process, subprocess.Popen) else process.is_running():
                process.kill()
        self.process.wait()

    def children(self) -> list[psutil.Process]:
        """All processes that belong to this launcher, without the launcher."""
        mine = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("STAND_IN_FOLDER") == str(self.folder) and process.pid != self.process.pid:
                    mine.append(process)
            except psutil.Error:
                continue
        return [process for process in mine if process.status() != psutil.STATUS_ZOMBIE]

    def wait(self, timeout_s: float = 180.0) -> int:
        code = self.process.wait(timeout_s)
        wait_until(lambda: not self.children(), 60, "the end of every process")
        return code

    def works(self, rank: int = 0) -> None:
        """Wait until a rank has met the others and works."""
        wait_until(lambda: (self.folder / f"works-{rank}").exists() or self.process.poll() is not None)
        assert self.process.poll() is None, self.said

    def trace(self, rank: int, attempt: int = 0) -> dict[str, Any]:
        return dict(json.loads(wait_until((self.folder / f"trace-{attempt}-{rank}.json").read_text)))

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    @property
    def said(self) -> str:
        return self.err.read_text()

    @property
    def printed(self) -> str:
        return self.out.read_text()
