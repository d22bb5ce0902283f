"""Finds runs on this host, and tells whether they are alive."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import Any, cast

from vsrpp.control import messages
from vsrpp.documents import RemarkDocument, RunState
from vsrpp.paths import RunPaths
from vsrpp.store import STORE_VERSION, RunReader, from_marks

LIVE_STATES = ("training", "paused", "validating", "waiting")
"""States in which a run accepts commands."""
FINAL_STATES = frozenset({"finished", "stopped", "failed"})
"""States that the run itself recorded as its end."""
ENDED_STATES = FINAL_STATES | {"dead"}
MATCHES_NAMED = 4
"""Runs listed for an ambiguous prefix."""


def process_identity(pid: int | None = None) -> dict[str, Any]:
    """What identifies a process of this host uniquely: host, process ID, and when it started; by default this process.

    That is `ticks`, counted by the kernel since its boot `boot`, which no change of the clock moves (Linux only), and
    `started` in seconds since 1970, by which older versions tell.
    Raises psutil.Error if it has ended.
    """
    import psutil

    pid = os.getpid() if pid is None else pid
    started = psutil.Process(pid).create_time()
    ticks, boot = _start_ticks(pid), _boot_id()
    counted = {"boot": boot, "ticks": ticks} if boot and ticks else {}
    return {"host": socket.gethostname(), "pid": pid, "started": started, **counted}


def process_alive(identity: dict[str, Any]) -> bool:
    """Whether the process of `process_identity` is running. One on another host cannot be checked: False."""
    import psutil

    if identity.get("host") != socket.gethostname() or not identity.get("pid"):
        return False
    pid, boot = int(identity["pid"]), _boot_id()
    try:
        process = psutil.Process(pid)
        if identity.get("ticks") and boot:
            same = (identity.get("boot"), identity["ticks"]) == (boot, _start_ticks(pid))
        else:
            same = abs(process.create_time() - float(identity["started"])) < 1.0
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since the boot; None where the kernel does not say, or it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        return int(stat.rpartition(b")")[2].split()[19])  # the name in parentheses may contain spaces
    except (OSError, ValueError, IndexError):
        return None


def _boot_id() -> str | None:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip() or None
    except (OSError, ValueError):
        return None


def run_state(reader: RunReader, state: dict[str, Any] | None = None) -> RunState:
    """training, paused, validating, waiting, finished, stopped, failed, or `dead`: the process died without a final event."""
    state = reader.state() if state is None else state
    name: RunState = state.get("state", "dead")
    if name in FINAL_STATES:
        return name
    if process_alive(state.get("process", {})):
        return name
    last = reader.last_event("started", "restored", *FINAL_STATES)
    return cast("RunState", last.type) if last and last.type in FINAL_STATES else "dead"


def newer_store(reader: RunReader) -> RemarkDocument | None:
    """What to say about a record that a newer VSR++ writes; None for any other."""
    version = reader.newer_version
    if version is None:
        return None
    return messages.STORE_OF_NEWER.filled(path=str(reader.path), theirs=version, ours=STORE_VERSION)


def is_live(paths: RunPaths) -> bool:
    with RunReader(paths.run_db) as reader:
        return run_state(reader) not in ENDED_STATES


def local_runs(runs: Path) -> list[RunPaths]:
    """All run folders under `runs`, newest first."""
    if not runs.is_dir():
        return []
    folders = [RunPaths(entry) for entry in runs.iterdir() if (entry / "run.db").is_file()]
    return sorted(folders, key=_created, reverse=True)


def find_run(name: str, runs: Path) -> RunPaths:
    """The run folder for `name`: a run ID (ours or MLflow's), a unique prefix, `latest`, or a path.

    Raises NotFound, listing what exists, and Refused for an ambiguous prefix.
    """
    folder = Path(name).expanduser()
    if (folder / "run.db").is_file():
        return RunPaths(folder.resolve())
    known = local_runs(runs)
    if name == "latest":
        if not known:
            raise messages.NO_RUNS(folder=str(runs))
        return known[0]
    exact = [paths for paths in known if paths.run_id == name or _mlflow_id(paths) == name]
    if exact:
        return exact[0]
    matches = [paths for paths in known if name and paths.run_id.startswith(name)] if re.fullmatch(r"\w+", name) else []
    if len(matches) == 1:
        return matches[0]
    if matches:
        ids = ", ".join(paths.run_id for paths in matches[:MATCHES_NAMED])
        more = ", …" if len(matches) > MATCHES_NAMED else ""
        raise messages.SEVERAL_RUNS(name=name, count=len(matches), runs=ids + more)
    count = "1 run" if len(known) == 1 else f"{len(known)} runs"
    present = f"{count} there, newest {known[0].run_id}" if known else "no run there yet"
    raise messages.NO_RUN(name=name, folder=str(runs), present=present)


def _created(paths: RunPaths) -> float:
    try:
        with RunReader(paths.run_db) as reader:
            return float(reader.meta("created") or 0.0)
    except Exception:  # noqa: BLE001 - a damaged folder is sorted last and must not hide the healthy ones
        return 0.0


def _mlflow_id(paths: RunPaths) -> str | None:
    fact = from_marks(paths.delivery_db, lambda marks: marks.fact("mlflow_run"), None)
    return fact.get("run_id") if isinstance(fact, dict) else None
