"""Kills a real training (kill -9) at random moments while it is edited; resumes it; checks that nothing was lost.

`prove` is the whole experiment, used by `scripts/prove_kill` and by a test. Trainer and editor are separate processes:
`killing.py FOLDER DATA` forks a trainer on request, so that torch is imported only once; `killing_commands.py` sends
edits; `killing_proof.py` has the checks.
"""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import psutil

from tests.support.clips import tiny_clip
from tests.support.killing_commands import hand
from tests.support.killing_proof import Proof, check_what_stands, child_environment, conclude
from tests.support.processes import train_command
from tests.support.runs import TINY, configs
from tests.support.waiting import wait_until
from vsrpp import control
from vsrpp.errors import VsrppError
from vsrpp.paths import RunPaths
from vsrpp.store import RunReader

SETS = {
    **TINY, "max_steps": 1_000_000, "log_every": 5, "validate_every": 150, "checkpoint_every": 10, "keep_last": 5,
    "checkpoint_upload": "local",
}  # fmt: skip
"""A run that ends when told, always with a recent checkpoint; retention as if nothing were uploaded."""
LIFE_S = 1.0
"""A trainer is killed within this time of its first status, of its first new checkpoint, or during its start."""


def prove(
    folder: Path, kills: int, *, tracking: bool = False, devices: int = 1, seed: int = 0,
    time_limit_s: float | None = None, say: Callable[[str], None] = lambda _: None,
) -> Proof:  # fmt: skip
    """Kill a training in `folder` `kills` times (or until the time limit), resume, stop, compare, replay.

    `tracking`: run all of `vsrpp train` with uploads to MLflow; otherwise only the trainer, which resumes sooner. With
    several `devices`, all of `vsrpp train` runs, and what is killed is at random that process or one of its ranks.
    """
    draw, proof, began = random.Random(seed), Proof(), time.monotonic()
    data = tiny_clip(folder)
    journal = folder / "journal.jsonl"
    trainers = Trainers(folder, data, tracking, devices)
    with trainers.one() as trainer:
        run = trainers.run()
        with hand(run, seed, journal):
            while proof.kills < kills and (time_limit_s is None or time.monotonic() - began < time_limit_s):
                kill_once(trainer, run, draw, proof)
                check_what_stands(run, proof)
                trainer = trainers.start()
                if proof.kills % 10 == 0:
                    say(f"{proof.kills} kills, step {control.status(run)['step']}, failures {len(proof.failures)}")
            until_it_trains(run, trainer)
        control.command(run, "stop", origin="cli", wait_s=120)
        if trainer.wait(120):
            proof.failures.append(f"the last trainer exited with code {trainer.poll()}: {trainers.said()}")
    conclude(folder, run, journal, proof, devices)
    proof.seconds = time.monotonic() - began
    return proof


class Trainers:
    """One training process after another on the same run."""

    def __init__(self, folder: Path, data: Path, tracking: bool, devices: int = 1) -> None:
        self.folder, self.data, self.tracking, self.devices = folder, data, tracking, devices
        self._log = folder / "trainers.log"
        self._trainer: Trainer | None = None
        self._nursery: subprocess.Popen[bytes] | None = None

    @contextlib.contextmanager
    def one(self) -> Iterator[Trainer]:
        """The first trainer; the one that is alive at the end of the block is killed."""
        try:
            yield self.start()
        finally:
            if self._trainer is not None and self._trainer.poll() is None:
                os.kill(self._trainer.pid, signal.SIGKILL)
                self._trainer.wait(60)
            if self._nursery is not None:
                self._nursery.kill()
                self._nursery.wait()

    def start(self) -> Trainer:
        self._trainer = self._whole() if self.tracking or self.devices > 1 else self._forked()
        return self._trainer

    def _whole(self) -> Trainer:
        """`vsrpp train`, then `vsrpp train --resume`."""
        upload = "mlflow" if self.tracking else "local"
        words = train_command(self.data, **{**SETS, "checkpoint_upload": upload, "batch_size": self.devices})
        if self._trainer is not None:
            words = ["train", "--resume", self.run().run_id, "--no-panel", "--no-tensorboard"]
        if self.devices > 1:
            words += ["--devices", str(self.devices)]
        return self._popen("-m", "vsrpp", *words)

    def _forked(self) -> Trainer:
        if self._nursery is None:
            self._nursery = self._popen(__file__, str(self.folder), str(self.data), talks=True)
        return Forked(self._nursery)

    def _popen(self, *words: str, talks: bool = False) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *words], cwd=self.folder, env=child_environment(self.folder), stderr=log,
                stdout=subprocess.PIPE if talks else log, stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
            )  # fmt: skip

    def run(self) -> RunPaths:
        def found() -> Path | None:
            assert self._trainer is not None
            there = next((path.parent for path in (self.folder / "runs").glob("*/runtime_config.json")), None)
            assert there or self._trainer.poll() is None, self.said()
            return there

        return RunPaths(wait_until(found, 120, "the run folder"))

    def said(self) -> str:
        return self._log.read_text(errors="replace")[-3000:]


class Trainer(Protocol):
    """A training process."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...


class Forked:
    """A trainer forked by the nursery, which reports its PID and, afterwards, its exit status."""

    def __init__(self, nursery: subprocess.Popen[bytes]) -> None:
        assert nursery.stdin is not None
        assert nursery.stdout is not None
        nursery.stdin.write(b"go\n")
        nursery.stdin.flush()
        self._out = nursery.stdout
        self.pid = int(self._out.readline())
        self._ended: int | None = None

    def poll(self) -> int | None:
        if self._ended is None and select.select([self._out], [], [], 0)[0]:
            self._ended = int(self._out.readline())
        return self._ended

    def wait(self, timeout: float | None = None) -> int:
        wait_until(lambda: self.poll() is not None, timeout or 120, "the trainer's end")
        assert self._ended is not None
        return self._ended


def kill_once(trainer: Trainer, run: RunPaths, draw: random.Random, proof: Proof) -> None:
    how = draw.choices(["starting", "soon", "after a checkpoint"], [20, 40, 40])[0]
    if how == "starting":
        deadline = time.monotonic() + draw.uniform(0.0, 1.0)
        while time.monotonic() < deadline and not _lives(run, trainer):
            time.sleep(0.01)
    else:
        wait_until(lambda: _lives(run, trainer) or trainer.poll() is not None, 120, "a trainer's first word")
        before = control.checkpoint_steps(run)
        if how == "after a checkpoint":  # otherwise the run would never advance
            wait_until(
                lambda: control.checkpoint_steps(run) != before or trainer.poll() is not None, 120, "a checkpoint"
            )
        time.sleep(draw.uniform(0.0, LIFE_S))
    if trainer.poll() is not None:
        proof.failures.append(f"a trainer exited with code {trainer.poll()} before kill {proof.kills + 1}")
    said = _state(run) if _lives(run, trainer) else "starting"
    os.kill(draw.choice([trainer.pid, *_ranks(trainer.pid)]), signal.SIGKILL)
    trainer.wait()
    _wait_for_ranks(run)
    proof.kills += 1
    proof.kills_by_moment[said] = proof.kills_by_moment.get(said, 0) + 1


def until_it_trains(run: RunPaths, trainer: Trainer) -> None:
    """Wait until the last trainer has repeated the whole record and made a few new steps."""

    def beyond() -> bool:
        assert trainer.poll() is None
        with RunReader(run.run_db) as reader:
            line = control.lineage(reader.events())
        return _lives(run, trainer) and control.status(run)["step"] > line.last_step() + 5

    wait_until(beyond, 300, "steps beyond the record")


def _lives(run: RunPaths, trainer: Trainer) -> bool:
    """Whether this trainer has published a state: itself, or its rank 0."""
    with RunReader(run.run_db) as reader:
        pid = (reader.state().get("process") or {}).get("pid")
    return pid == trainer.pid or pid in _ranks(trainer.pid)


def _ranks(pid: int) -> list[int]:
    """The ranks that `vsrpp train --devices` started; none for a trainer of one process."""
    try:
        below = psutil.Process(pid).children(recursive=True)
        ranked = {child.pid: child.ppid() for child in below if "RANK" in child.environ()}
    except psutil.Error:
        return []
    return [child for child, parent in ranked.items() if parent not in ranked]  # a rank's own children inherit it


def _wait_for_ranks(run: RunPaths) -> None:
    """Wait until rank 0 has noticed that its starter is gone: until then it holds the run's lock."""
    with RunReader(run.run_db) as reader:
        process = reader.state().get("process") or {}
    wait_until(lambda: not control.process_alive(process), 120, "the end of the ranks")


def _state(run: RunPaths) -> str:
    return str(control.status(run)["state"])


# ---- the trainer
def be_a_nursery(folder: Path, data: Path) -> None:
    """Fork a trainer for every line of standard input; print its PID, then its exit status."""
    import torch

    import vsrpp.training.open_run  # noqa: F401 - imported once, before any fork

    torch.use_deterministic_algorithms(True)  # imports half of torch the first time

    tell = os.dup(1)
    os.dup2(2, 1)
    for _ in iter(lambda: os.read(0, 1000), b""):
        pid = os.fork()
        if pid == 0:
            os.close(tell)
            sys.exit(be_a_trainer(folder, data))
        os.write(tell, b"%d\n" % pid)
        os.write(tell, b"%d\n" % os.waitpid(pid, 0)[1])


def be_a_trainer(folder: Path, data: Path) -> int:
    """Start or resume the run like `vsrpp train`, without uploads."""
    from vsrpp.training.loop import train
    from vsrpp.training.open_run import open_run
    from vsrpp.training.resume import prepare_resume
    from vsrpp.training.start import prepare_new

    runs = folder / "runs"
    there = next((path.parent for path in runs.glob("*/runtime_config.json")), None) if runs.is_dir() else None
    try:
        if there is None:
            run_config, live = configs(data, **SETS)
            prepared = prepare_new(run_config, live, runs=runs, run_id=lambda: None, say=print)
        else:
            prepared = prepare_resume(RunPaths(there), say=print)
        train(open_run(prepared))
    except VsrppError as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    be_a_nursery(Path(sys.argv[1]), Path(sys.argv[2]))
