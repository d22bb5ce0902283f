"""One fault after another, done to real trainings: what the run says, how it ends, and whether anything was lost.

`scripts/prove_faults` runs all of them and prints a table; a test runs a few. A fault is a function that gets a `Lab` and
returns the row of the table; `fault_table` lists them. Each works in a folder of its own, so two can run at once.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Literal

from tests.support.clips import tiny_clip
from tests.support.processes import TrainingProcess, environment, train_command, vsrpp
from tests.support.waiting import wait_until
from vsrpp import control
from vsrpp.errors import VsrppError
from vsrpp.paths import RunPaths

STEPS = 120
SETS = {
    "max_steps": STEPS, "checkpoint_every": 20, "validate_every": 40, "log_every": 5, "n_feats": 8, "crop_size": 64,
    "batch_size": 2, "control_interval": 2,
}  # fmt: skip
"""Some seconds of training, so that a fault can be done in the middle of it."""
Resume = Literal["not needed", "identical", "replay identical", "—"]


@dataclass(slots=True)
class Row:
    """What one fault did: a line of the table."""

    name: str
    said: str = ""
    """The line that a user reads about it."""
    code: int | None = None
    """The exit code of the training, or of the command that met the fault."""
    state: str = ""
    """The run's state after the fault, before any resume."""
    resume: str = "—"
    """Whether the run's final weights equal those of an undisturbed run, and whether it took a resume."""
    chain: str = "—"
    failures: list[str] = field(default_factory=list)
    not_tried: str = ""
    seconds: float = 0.0

    @property
    def held(self) -> bool:
        return not self.failures and not self.not_tried

    def check(self, holds: object, otherwise: str) -> None:
        """Note a failure unless `holds`."""
        if not holds:
            self.failures.append(otherwise)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "held": self.held}


class NotTried(Exception):
    """The fault cannot be done on this machine."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault, and the function that does it."""

    name: str
    group: str
    act: Callable[[Lab, Row], None]


class Bench:
    """What all faults share: the clip, and the weights of the undisturbed run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = tiny_clip(folder)
        self._reference: dict[int, str] = {}
        self._lock = Lock()

    def reference(self, devices: int = 1) -> str:
        """SHA-256 of the final weights of a run that nothing happens to."""
        with self._lock:
            if devices not in self._reference:
                lab = Lab(self, f"undisturbed-{devices}")
                with lab.train(devices=devices) as run:
                    assert run.wait() == 0, run.output
                    self._reference[devices] = final_weights(run.paths)
        return self._reference[devices]


class Lab:
    """The folder of one fault, and what can be done in it."""

    def __init__(self, bench: Bench, name: str) -> None:
        self.bench = bench
        self.folder = bench.folder / name
        self.folder.mkdir()

    def train(self, *words: str, devices: int = 1, **sets: Any) -> Training:
        """`vsrpp train` in a process of its own; more arguments in `words`."""
        ranks = ["--devices", str(devices)] if devices > 1 else []
        data = sets.pop("data", self.bench.data)
        return Training(self.folder, [*train_command(data, **{**SETS, **sets}), *ranks, *words])

    def resume(self, paths: RunPaths, *words: str, devices: int = 1) -> Training:
        ranks = ["--devices", str(devices)] if devices > 1 else []
        return Training(
            self.folder, ["train", "--resume", str(paths.root), "--no-panel", "--no-tensorboard", *ranks, *words]
        )

    def vsrpp(self, *words: str, timeout_s: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run one command and wait for it."""
        return vsrpp(self.folder, *words, timeout_s=timeout_s)

    def end(self, row: Row, run: Training, *, devices: int = 1, sha256: str | None = None) -> None:
        """Wait for the training's end, resume it where it did not finish, and compare the weights and the chain."""
        row.code = run.wait(120)
        row.state = state_of(run.paths)
        resumed = row.state != "finished"
        if resumed:
            with self.resume(run.paths, devices=devices) as again:
                code = again.wait(120)
                row.check(code == 0, f"the resume exits with {code}: {last_line(again.output)}")
        self.compare(row, run.paths, resumed=resumed, sha256=sha256 or self.bench.reference(devices))

    def compare(self, row: Row, paths: RunPaths, *, resumed: bool, sha256: str) -> None:
        verify(row, paths)
        state = state_of(paths)
        row.check(state == "finished", f"the run is {state} at the end")
        same = final_weights(paths) == sha256
        row.resume = ("identical" if resumed else "not needed, identical") if same else "DIFFERS"
        row.check(same, "the final weights differ from those of an undisturbed run")

    def replay(self, row: Row, paths: RunPaths, *words: str) -> None:
        """Compare the weights with those of a replay from the record, for a run that was edited."""
        verify(row, paths)
        done = self.vsrpp("replay", str(paths.root), "--json", *words)
        row.resume = "replay identical" if done.returncode == 0 else "DIFFERS"
        row.check(done.returncode == 0, f"replay exits with {done.returncode}: {last_line(done.stderr or done.stdout)}")


class Training(TrainingProcess):
    """A training that a fault is done to."""

    def __enter__(self) -> Training:
        return self

    @property
    def paths(self) -> RunPaths:
        return RunPaths(self.run_dir())

    def until(self, step: int) -> RunPaths:
        """Wait until the run is at `step`; the run may have ended."""
        paths = self.paths
        wait_until(lambda: at_step(paths) >= step or self.process.poll() is not None, 120, f"step {step}")
        return paths

    def until_state(self, state: str, timeout_s: float = 60.0) -> bool:
        """Whether the run comes to `state` before it ends."""
        paths = self.paths
        with contextlib.suppress(AssertionError):
            wait_until(lambda: state_of(paths) == state or self.process.poll() is not None, timeout_s)
        return state_of(paths) == state

    def says(self, pattern: str) -> str:
        """The last line of its output that matches, or the last line."""
        lines = [line for line in self.output.splitlines() if re.search(pattern, line)]
        return lines[-1].strip() if lines else last_line(self.output)


def at_step(paths: RunPaths) -> int:
    with contextlib.suppress(VsrppError, sqlite3.Error, OSError):
        return int(control.status(paths)["step"] or 0)
    return 0


def state_of(paths: RunPaths) -> str:
    try:
        return str(control.status(paths)["state"])
    except (VsrppError, sqlite3.Error, OSError) as error:
        return f"unreadable: {error}"


def final_weights(paths: RunPaths) -> str:
    """SHA-256 of the weights of the newest checkpoint, with its step."""
    step = control.checkpoint_steps(paths)[-1]
    manifest = control.manifest_of(paths, step)
    assert manifest is not None
    return f"{step}:{manifest['files']['model.safetensors']['sha256']}"


def verify(row: Row, paths: RunPaths) -> None:
    verdict = control.verify(paths)
    row.chain = f"whole, {verdict.events} events" if verdict.ok else "BROKEN"
    row.check(verdict.ok, f"the chain is broken: {verdict.why}")


def last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def one_line(row: Row, done: subprocess.CompletedProcess[str], code: int | tuple[int, ...]) -> None:
    """Check that a command failed with one line that blames neither the program nor the reader."""
    said = [line for line in done.stderr.splitlines() if line.startswith(("vsrpp:", "Traceback"))]
    row.said, row.code = row.said or last_line(done.stderr or done.stdout), done.returncode
    codes = (code,) if isinstance(code, int) else code
    row.check(done.returncode in codes, f"exits with {done.returncode}, not {codes}: {last_line(done.stderr)}")
    row.check(done.returncode == 0 or len(said) <= 1, f"says {len(said)} lines")
    blames = re.search(r"This is a bug|Traceback|unexpected \w+Error|weights_only", done.stderr)
    row.check(not blames, f"says: {blames.group(0) if blames else ''}")


# ---- ways to break things
def can_mount() -> bool:
    """Whether this process may mount: it is root in a mount namespace of its own (`scripts/prove_faults` makes one)."""
    return os.environ.get("PROVE_FAULTS_MOUNTS") == "yes"


@contextlib.contextmanager
def mounted(where: Path, *, size: str = "64m") -> Iterator[None]:
    """A small file system of its own at `where`."""
    if not can_mount():
        raise NotTried("needs a mount")
    where.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(where))
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(where)], check=True)


@contextlib.contextmanager
def full(where: Path) -> Iterator[None]:
    """Fill the file system at `where` to the last byte for the length of the block."""
    ballast = where / ".ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for size in (1 << 20, 4096, 512, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"\0" * size)
    try:
        yield
    finally:
        ballast.unlink()


@contextlib.contextmanager
def read_only(where: Path) -> Iterator[None]:
    """Make `where` read-only for the length of the block; what is already open stays writable, as after a bind mount."""
    bind(where, where)
    _mount("-o", "remount,bind,ro", str(where))
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(where)], check=True)


@contextlib.contextmanager
def locked(database: Path) -> Iterator[None]:
    """Hold a database's write lock for the length of the block, as a backup tool may."""
    with closing(sqlite3.connect(database, timeout=60, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("ROLLBACK")


def bind(what: Path, where: Path) -> None:
    if not can_mount():
        raise NotTried("needs a mount")
    _mount("--bind", str(what), str(where))


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True)


def signal_main(run: Training, number: signal.Signals) -> None:
    os.kill(run.process.pid, number)


def children(pid: int) -> list[int]:
    """The processes that `pid` started, and those that they started."""
    import psutil

    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


# ---- the proof
def prove(
    faults: list[Fault], folder: Path, *, at_once: int = 2, say: Callable[[Row], None] = lambda _: None
) -> list[Row]:
    """Do each fault in a folder of its own under `folder`."""
    bench = Bench(folder)

    def do(fault: Fault) -> Row:
        row, began = Row(fault.name), time.monotonic()
        try:
            fault.act(Lab(bench, re.sub(r"\W+", "-", fault.name)[:60]), row)
        except NotTried as error:
            row.not_tried = str(error)
        except Exception as error:  # noqa: BLE001 - one fault's failure is a row, and must not hide the others
            row.failures.append(f"{type(error).__name__}: {last_line(str(error))}")
        row.seconds = time.monotonic() - began
        say(row)
        return row

    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(do, faults))


def python(folder: Path, code: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in the environment of a fault's folder."""
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=120,
    )
