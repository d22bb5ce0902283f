"""Supervises the processes of one run on this host: starts them, shows their output, passes on signals, reports the outcome.

The launcher sits between the user and torchrun. Signals go to rank 0, which ends the run cleanly on all ranks; the ranks'
output is shown with their number; torchrun's report becomes one line.
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
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vsrpp.errors import START_AGAIN, START_AGAIN_SIGNALS, Reason, VsrppError
from vsrpp.launch import elastic, messages
from vsrpp.launch.agent import REFUSED
from vsrpp.launch.console import RanksConsole
from vsrpp.launch.log_tail import LogTail
from vsrpp.launch.plan import Plan
from vsrpp.launch.rank_process import FOLDER, STOPPING, attempt_folder
from vsrpp.launch.request import RankCommand
from vsrpp.launch.world import LAUNCHED
from vsrpp.output import dim, yellow

GRACE_S = 45.0
"""How long ranks and torchrun may take to exit after rank 0, before they are terminated."""
_LOOK_EVERY_S = 0.05


class RankFailed(VsrppError):
    """A rank failed and ended the run on all ranks; `exit_code` is what the command exits with."""

    reason_code = messages.RANK_FAILED.code

    def __init__(self, reason: Reason, exit_code: int = 1, **fields: Any) -> None:
        super().__init__(reason.sentence(**fields), reason_code=reason.code, fields=fields)
        self.exit_code = exit_code


def run(plan: Plan, command: RankCommand, console: RanksConsole) -> int:
    """Run a command on every rank of this host; returns rank 0's exit status. Raises RankFailed."""
    supervisor = _Supervisor(plan, command, console)
    console.say(dim(f"{plan}; the output of each rank is kept in {supervisor.folder}"))
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
    """Supervises the ranks of one host through torch's elastic agent."""

    def __init__(self, plan: Plan, command: RankCommand, console: RanksConsole) -> None:
        self.plan = plan
        self._show = console.rank_line
        self.folder = Path(tempfile.mkdtemp(prefix="vsrpp-ranks-"))
        self._signals: list[int] = []
        self._passed_on: list[int] = []
        self._ended_at: float | None = None
        self._attempt = 0
        self._log = LogTail(self._show)
        self._before = {
            number: signal.signal(number, self._caught)
            for number in (signal.SIGINT, *START_AGAIN_SIGNALS)
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN  # ignored under nohup
        }
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
        """An ID that is the same on all hosts."""
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
        """Show new output of the ranks, and announce a restart."""
        self._log.read(attempt_folder(self.folder, self._attempt))
        failed = self._failed()
        if failed is not None and failed["again"]:
            what = self._what(failed["rank"], failed["code"])
            again = f"{self._attempt + 1} of {self.plan.max_restarts}"
            self._show(yellow(f"⚠️  {what}. All ranks are restarted ({again}) from the newest checkpoint."))
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
        """The exit status of a rank's command; None while it runs."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int((attempt_folder(self.folder, self._attempt) / f"rank_{rank}.ended").read_text("utf-8"))
        return None

    # ---- signals
    def _caught(self, number: int, _frame: Any) -> None:
        self._signals.append(number)

    def _pass_on(self, number: int) -> None:
        """Send the first two signals to rank 0, which ends the run on all ranks; the third terminates the processes."""
        self._passed_on.append(number)
        (self.folder / STOPPING).touch()
        leader = self._pid(0) if 0 in self.plan.ranks else None
        if leader is not None and len(self._passed_on) < 3:
            with contextlib.suppress(ProcessLookupError):
                os.kill(leader, number)
        elif 0 not in self.plan.ranks and len(self._passed_on) == 1 and self._pid(self.plan.ranks[0]) is not None:
            host = self.plan.rendezvous[0] if self.plan.rendezvous else ""
            self._show(yellow(f"Rank 0 on {host} decides when the run ends. Repeat to end this host's processes now."))
        else:
            self._agent.terminate()

    def _pid(self, rank: int) -> int | None:
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int((attempt_folder(self.folder, self._attempt) / f"rank_{rank}.pid").read_text("utf-8"))
        return None

    def _end_what_lingers(self) -> None:
        """Terminate, then kill ranks that do not notice that the run has ended."""
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
    def _show_all(self, lines: list[str]) -> None:
        for line in lines:
            self._show(line)

    def _outcome(self) -> int:
        failed = self._failed()
        held = self._log.errors(attempt_folder(self.folder, self._attempt))
        first = self.plan.ranks[0]
        ended = self._ended(first)
        if failed is not None and not (ended == 0 and failed["rank"] != first):
            return self._of_failure(failed, ended, held)
        if ended is not None and (self._agent.returncode == 0 or self._ended_at is not None or self._passed_on):
            self._show_all(held.get(first, []))
            again = ended == 0 and first and START_AGAIN_SIGNALS & set(self._passed_on)
            return START_AGAIN if again else ended
        if self._passed_on:
            return 128 + self._passed_on[0]
        raise self._never_began()

    def _of_failure(self, failed: dict[str, Any], ended: int | None, held: dict[int, list[str]]) -> int:
        rank, code = failed["rank"], failed["code"]
        if self._passed_on and (ended is not None or rank == 0):
            self._show_all(held.get(0, []))
            return ended if ended is not None else 128 - code if code < 0 else int(code)
        quiet = code > 0 and not held.get(rank)
        if held.get(0) and (quiet or (rank == 0 and code > 0)):
            self._show_all(held[0])
            if code == 1:
                self._show(dim(self._more().strip()))
            return int(code)
        where = (
            f" (see the output of rank 0 on {self.plan.rendezvous[0]})"
            if quiet and self.plan.node_rank and self.plan.rendezvous
            else ""
        )
        raise RankFailed(
            messages.RANK_FAILED, code if code in REFUSED else 1,
            what=self._what(rank, code), where=where, more=self._more(),
        )  # fmt: skip

    def _what(self, rank: int, code: int) -> str:
        """`rank 1 was killed by SIGKILL (…); its last output: …`"""
        last = self._log.last_line(attempt_folder(self.folder, self._attempt), rank)
        last_line = f"; its last output: {last.removeprefix('vsrpp: ').rstrip('.')}" if last else ""
        if code >= 0:
            return f"rank {rank} exited with code {code}{last_line}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        why = " (killed manually, or by the kernel's OOM killer)" if -code == signal.SIGKILL else ""
        return f"rank {rank} was killed by {name}{why}{last_line}"

    def _more(self) -> str:
        """Where the output is kept, and how to resume the run."""
        kept = f" Output of each rank: {self.folder}"
        try:
            run_id = Path((self.folder / "run").read_text("utf-8")).name
        except FileNotFoundError:
            return kept
        several = f" --nodes {self.plan.nodes} --rendezvous …" if self.plan.nodes > 1 else ""
        return f"{kept}. Resume: vsrpp train --resume {run_id} --devices {self.plan.devices}{several}"

    def _never_began(self) -> RankFailed:
        try:
            cause = (self.folder / "error.txt").read_text("utf-8").splitlines()[0]
        except FileNotFoundError:
            return RankFailed(messages.TORCHRUN_SILENT, exit_code_of_torchrun=self._agent.returncode, more=self._more())
        if self.plan.rendezvous is not None:
            host, port = self.plan.rendezvous
            return RankFailed(
                messages.HOSTS_DID_NOT_MEET, nodes=self.plan.nodes, host=host, port=port,
                timeout_s=self.plan.timeout_s, cause=cause, more=self._more(),
            )  # fmt: skip
        return RankFailed(messages.RANKS_NOT_STARTED, cause=cause, more=self._more())

    def close(self) -> None:
        """Kill all remaining processes and restore the signal handlers."""
        if self._agent.poll() is None:
            self._agent.kill()
        self._agent.wait()
        for process in self._survivors():
            with contextlib.suppress(OSError):
                os.killpg(process, signal.SIGKILL)
        for number, before in self._before.items():
            signal.signal(number, before)

    def _survivors(self) -> Iterator[int]:
        """PIDs of ranks that outlived torchrun."""
        import psutil

        for file in self.folder.glob("attempt_*/rank_*.pid"):
            with contextlib.suppress(ValueError, OSError, psutil.Error):
                process = psutil.Process(int(file.read_text("utf-8")))
                if process.environ().get(FOLDER) == str(self.folder) and process.status() != psutil.STATUS_ZOMBIE:
                    yield process.pid
