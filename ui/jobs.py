"""The commands that the runs page has started: processes of their own, each with a record and a log beside the runs.

The record is a file, so that a reloaded page, a second tab, a restarted panel and another panel on the same runs see the same.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vsrpp import control
from vsrpp.errors import NotFound
from vsrpp.private_files import private_file, replace_private
from vsrpp.safe_text import safe

from . import refusals
from .verbs import Action

FOLDER = ".jobs"
KEPT = 20
"""Ended jobs on record; older ones go, with their logs."""
MOST_AT_ONCE = 4
TAIL_BYTES = 8 * 1024
TAIL_LINES = 12
LONGEST_LINE = 300
GRACE_S = 10.0
"""From asking a job to end until it is made to. A training is only ever asked: it saves a checkpoint first."""
_ID = re.compile(r"[0-9a-f]{12,20}")
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# Of what the panel was started with: another run's MLflow run, and a place in a process group that is not the child's.
_NOT_INHERITED = re.compile(
    r"MLFLOW_RUN_ID$|GRADIO_|(?:LOCAL_|GROUP_|ROLE_)?RANK$|(?:LOCAL_|ROLE_)?WORLD_SIZE$|MASTER_(?:ADDR|PORT)$|TORCHELASTIC_"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One command, as recorded."""

    id: str
    verb: str
    run_id: str
    step: int | None
    line: str
    """The command, as one would type it."""
    target: str | None
    """The folder it fills, if it fills one."""
    author: str | None
    started: float
    process: dict[str, Any]
    """`control.process_identity` of it."""
    ended: float | None = None
    status: int | None = None
    """Exit status; None while it runs, and for one whose end nobody saw."""
    cancelled_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A job as it is shown."""

    job: Job
    state: str
    """running, ending, done, failed, cancelled."""
    tail: tuple[str, ...]
    """Its last lines."""
    says: str
    """One line: what came of it, or why it failed; empty while it runs."""


class Jobs:
    """Starts, lists and ends them. `runs` is the folder of runs the panel shows."""

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        self._home = runs / FOLDER
        self._lock = threading.RLock()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._kept: dict[Path, tuple[int, Job]] = {}

    def start(self, action: Action, author: str | None) -> Job:
        """Raises Refused: the same is under way, too much is, its folder is there; VsrppError if it cannot be started."""
        with self._lock:
            line = action.line(self._runs)
            running = [job_view for job_view in self.all() if job_view.state in ("running", "ending")]
            if any(job_view.job.line == line for job_view in running):
                raise refusals.JOB_RUNNING(line=line)
            if len(running) >= MOST_AT_ONCE:
                raise refusals.TOO_MANY_JOBS(line=line, count=len(running))
            target = action.target(self._runs) if action.verb == "restore" else None
            if target is not None and target.exists():
                raise refusals.TARGET_EXISTS(line=line, target=str(target))
            try:
                return self._start(action, line, target, author)
            except OSError as error:
                raise refusals.JOB_NOT_STARTED(line=line, why=str(error)) from error

    def _start(self, action: Action, line: str, target: Path | None, author: str | None) -> Job:
        self._home.mkdir(mode=0o700, exist_ok=True)
        self._forget_old()
        key = f"{time.time_ns():x}"
        # What trains outlives the panel; the rest ends with it: its standard input is then closed.
        python = [sys.executable, "-m"] + ([] if action.trains else ["vsrpp.launch.with_parent"])
        with open(self._home / f"{key}.log", "wb", opener=private_file) as log:
            process = subprocess.Popen(
                [*python, "vsrpp", *action.words(self._runs)], stdout=log, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL if action.trains else subprocess.PIPE, env=child_environment(),
                start_new_session=True,
            )  # fmt: skip
        job = Job(
            id=key, verb=action.verb, run_id=action.run_id, step=action.step, line=line, author=author,
            target=str(target) if target else None, started=time.time(), process=_identity(process.pid),
        )  # fmt: skip
        self._processes[key] = process
        self._write(job)
        threading.Thread(target=self._await, args=(key, process), name=f"job-{key}", daemon=True).start()
        return job

    def _await(self, key: str, process: subprocess.Popen[bytes]) -> None:
        status = process.wait()
        if process.stdin is not None:
            process.stdin.close()
        with self._lock, contextlib.suppress(NotFound, OSError):
            self._write(replace(self._job(key), status=status, ended=time.time()))
            del self._processes[key]

    def all(self) -> list[JobView]:
        """Newest first."""
        views = []
        for file in sorted(self._records(), reverse=True):
            with contextlib.suppress(NotFound):
                views.append(self._view_of(self._job(file.stem)))
        return views

    def cancel(self, key: str, author: str | None) -> Job:
        """Ask a job to end; make it, where it is not a training and does not. Raises NotFound, Refused if it has ended."""
        with self._lock:
            job = self._job(key)
            if self._view_of(job).state not in ("running", "ending"):
                raise refusals.JOB_ENDED(line=job.line)
            job = replace(job, cancelled_by=author or "")
            self._write(job)
        trains = job.verb in ("from", "resume")
        _signal(job, signal.SIGTERM if trains else signal.SIGINT)
        if not trains:
            threading.Thread(target=self._insist, args=(job,), name=f"end-{key}", daemon=True).start()
        return job

    @staticmethod
    def _insist(job: Job) -> None:
        deadline = time.monotonic() + GRACE_S
        while time.monotonic() < deadline and control.process_alive(job.process):
            time.sleep(0.1)
        _signal(job, signal.SIGKILL)

    def close(self) -> None:
        """End what must not outlive the panel."""
        with self._lock:
            processes = list(self._processes.values())
        for process in processes:
            if process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.terminate()

    # ---- records
    def _records(self) -> list[Path]:
        return list(self._home.glob("*.json")) if self._home.is_dir() else []

    def _job(self, key: str) -> Job:
        """Raises NotFound."""
        if not _ID.fullmatch(key):
            raise refusals.NO_JOB(job=key[:40])
        file = self._home / f"{key}.json"
        try:
            changed = file.stat().st_mtime_ns
            kept = self._kept.get(file)
            if kept is None or kept[0] != changed:
                kept = self._kept[file] = (changed, Job(**json.loads(file.read_text(encoding="utf-8"))))
        except (OSError, ValueError, TypeError) as error:
            raise refusals.NO_JOB(job=key) from error
        return kept[1]

    def _write(self, job: Job) -> None:
        replace_private(self._home / f"{job.id}.json", json.dumps(asdict(job)))

    def _forget_old(self) -> None:
        ended = [job_view.job.id for job_view in self.all() if job_view.state not in ("running", "ending")]
        for key in ended[KEPT - 1 :]:
            for suffix in (".json", ".log"):
                (self._home / f"{key}{suffix}").unlink(missing_ok=True)
            self._kept.pop(self._home / f"{key}.json", None)

    def _view_of(self, job: Job) -> JobView:
        tail = self._tail(job.id)
        if job.status is None and (job.id in self._processes or control.process_alive(job.process)):
            return JobView(job=job, state="ending" if job.cancelled_by is not None else "running", tail=tail, says="")
        error = next((line.removeprefix("vsrpp: ") for line in reversed(tail) if line.startswith("vsrpp: ")), "")
        if job.cancelled_by is not None:
            return JobView(job=job, state="cancelled", tail=tail, says="" if error == "interrupted." else error)
        # Nobody saw the end of one that outlived its panel: its own last word tells.
        failed = job.status != 0 if job.status is not None else bool(error) or job.verb not in ("from", "resume")
        if failed:
            return JobView(
                job=job, state="failed", tail=tail, says=error or (tail[-1] if tail else f"exit {job.status}")
            )
        summary = next((line for line in tail if line.startswith("✅")), tail[-1] if tail else "")
        return JobView(job=job, state="done", tail=tail, says=summary)

    def _tail(self, key: str) -> tuple[str, ...]:
        try:
            with (self._home / f"{key}.log").open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
                text = log.read().decode(errors="replace")
        except OSError:
            return ()
        lines = (safe(_COLOUR.sub("", line.rstrip("\r").rpartition("\r")[2])).rstrip() for line in text.split("\n"))
        return tuple(line[:LONGEST_LINE] for line in lines if line)[-TAIL_LINES:]


def child_environment() -> dict[str, str]:
    """The environment of a command: the panel's, less what belongs to another run or process group."""
    kept = {key: value for key, value in os.environ.items() if not _NOT_INHERITED.match(key)}
    return {**kept, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}


def _identity(pid: int) -> dict[str, Any]:
    import psutil

    try:
        return control.process_identity(pid)
    except psutil.Error:  # it has ended already
        return {**control.process_identity(), "pid": 0, "started": 0.0}


def _signal(job: Job, number: signal.Signals) -> None:
    """To the process alone (its children follow it); the last word goes to its whole group."""
    if not control.process_alive(job.process):
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        (os.killpg if number == signal.SIGKILL else os.kill)(job.process["pid"], number)
