"""The processes of one run on this host, from their start to their end: started, heard, told to stop, accounted for.

The launcher stands between a person and torchrun: a signal goes to rank 0, which ends the run on all ranks in good order;
what the ranks say comes out with their number before it; and torchrun's report becomes one line.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vsrpp.errors import START_AGAIN, VsrppError
from vsrpp.launch import elastic
from vsrpp.launch.agent import REFUSED
from vsrpp.launch.log_tail import LogTail
from vsrpp.launch.plan import Plan
from vsrpp.launch.rank_process import FOLDER, STOPPING, attempt_folder
from vsrpp.launch.request import RankCommand
from vsrpp.launch.world import LAUNCHED
from vsrpp.output import dim, yellow

GRACE_S = 45.0
"""How long ranks and torchrun may take to end once rank 0 has ended, before they are made to."""
_LOOK_EVERY_S = 0.05


class RankFailed(VsrppError):
    """A process of the world ended the run for all."""

    def __init__(self, line: str, exit_code: int = 1) -> None:
        super().__init__(line)
        self.exit_code = exit_code


def run(plan: Plan, command: RankCommand, *, say: Callable[[str], None] | None = None) -> int:
    """Run a command on every rank of this host; returns rank 0's exit status. Raises RankFailed.

    `say` shows where the ranks' output is kept; without it that line goes to standard output.
    """
    supervisor = _Supervisor(plan, command)
    line = dim(f"{plan}; what each rank says is kept in {supervisor.folder}")
    if say is None:
        print(line, flush=True)
    else:
        say(line)
    try:
        code = supervisor.watch()
    except VsrppError:
        supervisor.close()
        raise
    supervisor.close()
    if code != 1:
        shutil.rmtree(supervisor.folder, ignore_errors=True)
    return code


class _Supervisor:
    """Watches the ranks of one host, through torch's agent."""

    def __init__(self, plan: Plan, command: RankCommand) -> None:
        self.plan = plan
        self.folder = Path(tempfile.mkdtemp(prefix="vsrpp-ranks-"))
        self._signals: list[int] = []
        self._passed_on: list[int] = []
        self._ended_at: float | None = None
        self._attempt = 0
        self._log = LogTail(_show)
        self._before = {number: signal.signal(number, self._caught) for number in (signal.SIGINT, signal.SIGTERM)}
        self._agent = self._start(command)

    def _start(self, command: RankCommand) -> subprocess.Popen[bytes]:
        file = self.folder / "plan.json"
        arguments = ["-m", "vsrpp.launch.rank_process", command.module, *command.arguments]
        plan = {**asdict(self.plan), "id": self._world_id(), "command": arguments}
        file.write_text(json.dumps(plan), encoding="utf-8")
        environment = {
            "TORCH_CPP_LOG_LEVEL": "ERROR", **os.environ, LAUNCHED: "1", FOLDER: str(self.folder),
            elastic.FILE: str(self.folder / "run"),
        }  # fmt: skip
        with (self.folder / "torchrun.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "vsrpp.launch.agent", str(file)], stdin=subprocess.DEVNULL, stderr=log,
                env=environment, start_new_session=True,
            )  # fmt: skip

    def _world_id(self) -> str:
        """The same on all hosts of a world."""
        meeting = self.plan.rendezvous
        return f"vsrpp-{meeting[0]}-{meeting[1]}" if meeting else self.folder.name

    # ---- watching
    def watch(self) -> int:
        while self._agent.poll() is None:
            self._listen()
            while self._signals:
                self._pass_on(self._signals.pop(0))
            self._end_what_lingers()
            time.sleep(_LOOK_EVERY_S)
        self._listen()
        return self._outcome()

    def _listen(self) -> None:
        """Show what ranks wrote, and say when the world is started again."""
        self._log.read(attempt_folder(self.folder, self._attempt))
        failed = self._failed()
        if failed is not None and failed["again"]:
            what = self._what(failed["rank"], failed["code"])
            again = f"{self._attempt + 1} of {self.plan.max_restarts}"
            _show(yellow(f"⚠️  {what}. All ranks are started again ({again}), from the newest checkpoint."))
            self._log.forget()
            self._attempt += 1
            self._ended_at = None

    def _failed(self) -> dict[str, Any] | None:
        try:
            failure = json.loads((attempt_folder(self.folder, self._attempt) / "failed.json").read_text("utf-8"))
        except FileNotFoundError:
            return None
        return dict(failure)

    def _ended(self, rank: int) -> int | None:
        """The exit status with which a rank's command returned; None if it has not."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int((attempt_folder(self.folder, self._attempt) / f"rank_{rank}.ended").read_text("utf-8"))
        return None

    # ---- signals
    def _caught(self, number: int, _frame: Any) -> None:
        self._signals.append(number)

    def _pass_on(self, number: int) -> None:
        """The first two go to rank 0, which ends the run on all ranks; the third ends the processes."""
        self._passed_on.append(number)
        (self.folder / STOPPING).touch()
        leader = self._pid(0) if 0 in self.plan.ranks else None
        if leader is not None and len(self._passed_on) < 3:
            with contextlib.suppress(ProcessLookupError):
                os.kill(leader, number)
        elif 0 not in self.plan.ranks and len(self._passed_on) == 1 and self._pid(self.plan.ranks[0]) is not None:
            host = self.plan.rendezvous[0] if self.plan.rendezvous else ""
            _show(
                yellow(f"The run ends when rank 0 on {host} ends it. Once more: this host's processes are ended now.")
            )
        else:
            self._agent.terminate()

    def _pid(self, rank: int) -> int | None:
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int((attempt_folder(self.folder, self._attempt) / f"rank_{rank}.pid").read_text("utf-8"))
        return None

    def _end_what_lingers(self) -> None:
        """A rank that does not see that the run is over is not waited for."""
        first = self.plan.ranks[0]
        if self._ended(first) is None:
            return
        now = time.monotonic()
        if self._ended_at is None:
            self._ended_at = now
        elif now > self._ended_at + 2 * GRACE_S:
            self._agent.kill()
        elif now > self._ended_at + GRACE_S:
            self._agent.terminate()

    # ---- the end
    def _outcome(self) -> int:
        failed = self._failed()
        held = self._log.errors(attempt_folder(self.folder, self._attempt))
        first = self.plan.ranks[0]
        ended = self._ended(first)
        if failed is not None and not (ended == 0 and failed["rank"] != first):
            return self._of_failure(failed, ended, held)
        if ended is not None and (self._agent.returncode == 0 or self._ended_at is not None or self._passed_on):
            _show_all(held.get(first, []))
            return START_AGAIN if ended == 0 and first and signal.SIGTERM in self._passed_on else ended
        if self._passed_on:
            return 128 + self._passed_on[0]
        raise RankFailed(self._never_began())

    def _of_failure(self, failed: dict[str, Any], ended: int | None, held: dict[int, list[str]]) -> int:
        rank, code = failed["rank"], failed["code"]
        if self._passed_on and (ended is not None or rank == 0):
            _show_all(held.get(0, []))
            return ended if ended is not None else 128 - code if code < 0 else int(code)
        quiet = code > 0 and not held.get(rank)
        if held.get(0) and (quiet or (rank == 0 and code > 0)):
            _show_all(held[0])
            if code == 1:
                _show(dim(self._more().strip()))
            return int(code)
        where = (
            f", as rank 0 on {self.plan.rendezvous[0]} says"
            if quiet and self.plan.node_rank and self.plan.rendezvous
            else ""
        )
        raise RankFailed(f"{self._what(rank, code)}{where}.{self._more()}", code if code in REFUSED else 1)

    def _what(self, rank: int, code: int) -> str:
        """`rank 1 was killed by SIGKILL (…); it last said: …`"""
        last = self._log.last_line(attempt_folder(self.folder, self._attempt), rank)
        last_line = f"; it last said: {last.removeprefix('vsrpp: ').rstrip('.')}" if last else ""
        if code >= 0:
            return f"rank {rank} ended with exit code {code}{last_line}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        why = " (by hand, or for want of memory)" if -code == signal.SIGKILL else ""
        return f"rank {rank} was killed by {name}{why}{last_line}"

    def _more(self) -> str:
        """Where to look and how to go on."""
        kept = f" What each rank said: {self.folder}"
        try:
            run_id = Path((self.folder / "run").read_text("utf-8")).name
        except FileNotFoundError:
            return kept
        several = f" --nodes {self.plan.nodes} --rendezvous …" if self.plan.nodes > 1 else ""
        return f"{kept}. Go on: vsrpp train --resume {run_id} --devices {self.plan.devices}{several}"

    def _never_began(self) -> str:
        try:
            why = (self.folder / "error.txt").read_text("utf-8").splitlines()[0]
        except FileNotFoundError:
            return f"torchrun ended with {self._agent.returncode} and said nothing.{self._more()}"
        if self.plan.rendezvous is not None:
            host, port = self.plan.rendezvous
            return (
                f"the {self.plan.nodes} hosts did not meet at {host}:{port} within {self.plan.timeout_s} s ({why})."
                f" Is it started on every host, with the same --nodes, and may they reach that port?{self._more()}"
            )
        return f"torchrun could not start the ranks: {why}.{self._more()}"

    def close(self) -> None:
        """Leave no process behind, whatever happened, and give signals back to whom they belonged."""
        if self._agent.poll() is None:
            self._agent.kill()
        self._agent.wait()
        for process in self._left():
            with contextlib.suppress(OSError):
                os.killpg(process, signal.SIGKILL)
        for number, before in self._before.items():
            signal.signal(number, before)

    def _left(self) -> Iterator[int]:
        """Ranks that live on although torchrun has gone."""
        import psutil

        for file in self.folder.glob("attempt_*/rank_*.pid"):
            with contextlib.suppress(ValueError, OSError, psutil.Error):
                process = psutil.Process(int(file.read_text("utf-8")))
                if process.environ().get(FOLDER) == str(self.folder) and process.status() != psutil.STATUS_ZOMBIE:
                    yield process.pid


def _show_all(lines: list[str]) -> None:
    for line in lines:
        _show(line)


def _show(line: str) -> None:
    """To standard error, above the progress line if there is one."""
    clear = "\r\033[2K" if sys.stderr.isatty() else ""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{clear}{line}\n")
        sys.stderr.flush()
