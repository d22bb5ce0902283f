"""Kill -9 at random moments of a real training that others edit meanwhile; resume; at the end, prove that nothing was lost.

`prove` is the whole experiment, used by `scripts/prove_kill` and by a test. The trainer and the hand that edits are
processes of their own: `killing.py nursery FOLDER DATA` forks a trainer whenever it is told to, so that torch is
imported once; `killing.py hand RUN_DIR SEED JOURNAL` edits.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from helpers import TINY, configs, environment, tiny_clip, train_command, wait_until

from vsrpp import control
from vsrpp.control.edits import current_config
from vsrpp.errors import NotLive, Refused, VsrppError
from vsrpp.paths import RunPaths
from vsrpp.store import RunReader
from vsrpp.tracking.restore import verify as verify_files

SETS = {
    **TINY, "max_steps": 1_000_000, "log_every": 5, "validate_every": 150, "checkpoint_every": 10, "keep_last": 5,
    "checkpoint_upload": "local",
}  # fmt: skip
"""A run that ends when it is told to, with a checkpoint always near; retention as if nothing were uploaded."""
LIFE_S = 1.0
"""A trainer is killed within so long of its first word, or of its first new checkpoint, or while it starts up."""


@dataclass(slots=True)
class Proof:
    """What was done, and what was found; `failures` is empty if the promise holds."""

    kills: int = 0
    kills_by_moment: dict[str, int] = field(default_factory=dict)
    """starting, walking the record again, training, paused …, as `status` said at the kill."""
    acknowledged: int = 0
    """Edits and commands that were answered as applied or done before any kill that followed."""
    in_flight: int = 0
    """Those a kill left without an answer: taken by a later process, or not, but never twice."""
    events: int = 0
    step: int = 0
    branches: int = 0
    checkpoints_verified: int = 0
    """Checkpoint folders whose every hash was compared, after every kill."""
    torn_saves: int = 0
    """Saves that a kill cut: a temporary folder, never a checkpoint."""
    replay_identical: bool | None = None
    sha256: str = ""
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        return not self.failures and bool(self.replay_identical)

    def fail(self, what: str) -> None:
        """Note what does not hold any more, once, with the kill after which it was first seen."""
        if not any(said.endswith(what) for said in self.failures):
            self.failures.append(f"after kill {self.kills}: {what}")

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "holds": self.holds}


def prove(
    folder: Path, kills: int, *, tracking: bool = False, seed: int = 0, time_limit_s: float | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Proof:  # fmt: skip
    """Kill a training in `folder` that often (or until the time is up), resume, stop, compare, replay.

    `tracking`: the whole of `vsrpp train`, delivery to MLflow included; else the trainer alone, which resumes sooner.
    """
    draw, proof, began = random.Random(seed), Proof(), time.monotonic()
    data = tiny_clip(folder)
    journal = folder / "journal.jsonl"
    trainers = Trainers(folder, data, tracking)
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
            proof.failures.append(f"the last trainer ended with {trainer.poll()}: {trainers.said()}")
    conclude(folder, run, journal, proof)
    proof.seconds = time.monotonic() - began
    return proof


class Trainers:
    """One training process after the other on the same run."""

    def __init__(self, folder: Path, data: Path, tracking: bool) -> None:
        self.folder, self.data, self.tracking = folder, data, tracking
        self._log = folder / "trainers.log"
        self._trainer: Trainer | None = None
        self._nursery: subprocess.Popen[bytes] | None = None

    @contextlib.contextmanager
    def one(self) -> Iterator[Trainer]:
        """The first; whichever lives at the end of the block is killed."""
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
        self._trainer = self._whole() if self.tracking else self._forked()
        return self._trainer

    def _whole(self) -> Trainer:
        """`vsrpp train`, then `vsrpp train --resume`."""
        words = train_command(self.data, **{**SETS, "checkpoint_upload": "all"})
        if self._trainer is not None:
            words = ["train", "--resume", self.run().run_id, "--no-panel", "--no-tensorboard"]
        return self._popen("-m", "vsrpp", *words)

    def _forked(self) -> Trainer:
        if self._nursery is None:
            self._nursery = self._popen(__file__, "nursery", str(self.folder), str(self.data), talks=True)
        return Forked(self._nursery)

    def _popen(self, *words: str, talks: bool = False) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *words], cwd=self.folder, env=_environment(self.folder), stderr=log,
                stdout=subprocess.PIPE if talks else log, stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
            )  # fmt: skip

    def run(self) -> RunPaths:
        def found() -> Path | None:
            assert self._trainer is not None
            assert self._trainer.poll() is None, self.said()
            return next((path.parent for path in (self.folder / "runs").glob("*/runtime_config.json")), None)

        return RunPaths(wait_until(found, 120, "the run folder"))

    def said(self) -> str:
        return self._log.read_text(errors="replace")[-3000:]


class Trainer(Protocol):
    """A process that trains."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...


class Forked:
    """A trainer that the nursery forked; it tells the pid, and after the end how it ended."""

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
        if how == "after a checkpoint":  # or the run would never get anywhere
            wait_until(
                lambda: control.checkpoint_steps(run) != before or trainer.poll() is not None, 120, "a checkpoint"
            )
        time.sleep(draw.uniform(0.0, LIFE_S))
    if trainer.poll() is not None:
        proof.failures.append(f"a trainer ended by itself with {trainer.poll()} before kill {proof.kills + 1}")
    said = _state(run) if _lives(run, trainer) else "starting"
    os.kill(trainer.pid, signal.SIGKILL)
    trainer.wait()
    proof.kills += 1
    proof.kills_by_moment[said] = proof.kills_by_moment.get(said, 0) + 1


def until_it_trains(run: RunPaths, trainer: Trainer) -> None:
    """Until the last trainer has walked the record to its end and made a few steps of its own."""

    def beyond() -> bool:
        assert trainer.poll() is None
        with RunReader(run.run_db) as reader:
            line = control.lineage(reader.events())
        return _lives(run, trainer) and control.status(run)["step"] > line.last_step() + 5

    wait_until(beyond, 300, "steps beyond the record")


def _lives(run: RunPaths, trainer: Trainer) -> bool:
    with RunReader(run.run_db) as reader:
        return bool((reader.state().get("process") or {}).get("pid") == trainer.pid)


def _state(run: RunPaths) -> str:
    return str(control.status(run)["state"])


# ---- what must hold after every kill
def checkpoint_folders(run: RunPaths) -> list[Path]:
    """Every folder that passes for a checkpoint, those that a later branch pushed aside included."""
    if not run.checkpoints.is_dir():
        return []
    return sorted(path for path in run.checkpoints.iterdir() if path.is_dir() and not path.name.startswith("."))


def check_what_stands(run: RunPaths, proof: Proof) -> None:
    for folder in checkpoint_folders(run):
        try:
            verify_files(folder)
        except VsrppError as error:
            proof.fail(f"{folder.name}: {error}")
        proof.checkpoints_verified += 1
    proof.torn_saves += sum(1 for _ in run.checkpoints.glob(".step_*.part"))
    verdict = control.verify(run)
    if not verdict.ok:
        proof.fail(f"the chain is broken: {verdict.why}")


def conclude(folder: Path, run: RunPaths, journal: Path, proof: Proof) -> None:
    from vsrpp.paths import CheckpointPaths
    from vsrpp.training.checkpoint import load_checkpoint

    events = control.history(run)
    proof.events, proof.step = len(events), events[-1].step
    proof.branches = 1 + max(event.branch for event in events)
    check_what_stands(run, proof)
    for path in checkpoint_folders(run):
        try:
            load_checkpoint(CheckpointPaths(path))
        except VsrppError as error:
            proof.failures.append(f"{path.name} cannot be loaded: {error}")
    rows = [json.loads(line) for line in journal.read_text().splitlines()]
    proof.failures += lost_or_doubled(rows, events)
    proof.acknowledged = sum(row["status"] in ("applied", "done") for row in rows)
    proof.in_flight = sum(row["status"] == "in flight" for row in rows)
    with RunReader(run.run_db) as reader:
        in_force, revision = current_config(reader).live, current_config(reader).revision
    on_disk = json.loads(run.runtime_config.read_text())
    if (on_disk.pop("revision"), on_disk) != (revision, in_force):
        proof.failures.append("the file on disk is not the config in force")
    done = subprocess.run(
        [sys.executable, "-m", "vsrpp", "replay", str(run.root), "--json"], cwd=folder, env=_environment(folder),
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode not in (0, 6):
        proof.failures.append(f"replay: {done.stderr.strip()}")
        return
    verdict = json.loads(done.stdout)
    proof.replay_identical, proof.sha256 = verdict["identical"], verdict["original_sha256"]
    if not verdict["identical"]:
        proof.failures.append(f"the undisturbed run parted: {verdict['first_difference']}")


def lost_or_doubled(rows: list[dict[str, Any]], events: list[Any]) -> list[str]:
    """What was acknowledged and is not on record as it was answered; what is on record twice."""
    by_token: dict[str, list[Any]] = {}
    for event in events:
        if event.reason and event.reason.startswith("hand "):
            by_token.setdefault(event.reason, []).append(event)
    found = []
    for row in rows:
        mine = by_token.get(row["token"], [])
        if len(mine) > 1:
            found.append(f"{row['token']} ({row['kind']}) is on record {len(mine)} times")
        if row["status"] != "applied" and (row["status"] != "done" or row["kind"] not in ("validate", "rollback")):
            continue
        if row["kind"] == "file":
            kept = [e for e in events if e.type == "config_applied" and row["changes"][0] in _settings(e)]
            if len(kept) != 1:
                found.append(f"a saved file's {row['changes']} was acknowledged and is on record {len(kept)} times")
        elif not mine:
            found.append(f"{row['token']} ({row['kind']}) was acknowledged and is not on record")
        elif row["kind"] == "edit" and (mine[0].revision, mine[0].step, mine[0].data["changes"]) != (
            row["revision"], row["step"], row["changes"],
        ):  # fmt: skip
            found.append(f"{row['token']} is on record otherwise than it was acknowledged: {row} {mine[0]}")
    revisions = Counter(e.revision for e in events if e.type in ("config_applied", "config_reverted", "rolled_back"))
    if sorted(revisions) != list(range(1, len(revisions) + 1)) or set(revisions.values()) - {1}:
        found.append("the revisions have a gap, or one twice")
    return found


def _settings(event: Any) -> list[dict[str, Any]]:
    return [{"key": change["key"], "new": change["new"]} for change in event.data["changes"]]


# ---- the hand
@contextlib.contextmanager
def hand(run: RunPaths, seed: int, journal: Path) -> Iterator[None]:
    """A process that edits until the block ends; what was answered is then in the journal."""
    process = subprocess.Popen(
        [sys.executable, __file__, "hand", str(run.root), str(seed), str(journal)], stdin=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    try:
        yield
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(120) == 0, "the hand failed"
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def be_a_hand(run: RunPaths, draw: random.Random, journal: Path) -> None:
    """Ask, note the answer, ask again, until standard input ends. A run that is dead is waited for."""
    with journal.open("a", buffering=1) as notes:
        for number in range(10_000_000):
            if select.select([0], [], [], draw.uniform(0.005, 0.08))[0]:
                return
            row = ask_once(run, draw, f"hand {number}")
            if row is None:
                time.sleep(0.2)
            else:
                notes.write(json.dumps(row) + "\n")


def ask_once(run: RunPaths, draw: random.Random, token: str) -> dict[str, Any] | None:
    """One request by a random way; None if nobody was there to take it, `in flight` if a kill came before the answer."""
    kind = draw.choices(
        ["edit", "probation", "file", "validate", "checkpoint", "rollback"], [70, 6, 12, 4, 5, 3]
    )[0]  # fmt: skip
    row: dict[str, Any] = {"token": token, "kind": "edit" if kind == "probation" else kind}
    sent: list[bool] = []
    control.edits.on_sent.set(lambda: sent.append(True))
    try:
        if kind == "file" and not control.is_live(run):
            return None
        if kind == "file":
            return save_the_file(run, draw, row)
        if kind in ("edit", "probation"):
            terms = {"steps": draw.randint(3, 25), "revert_if": f"loss > {draw.choice([1e-3, 1.05, 5])}x"}
            answer = control.apply(
                run, some_edit(draw), origin="cli", reason=token, wait_s=60,
                probation=terms if kind == "probation" else None,
            )  # fmt: skip
        else:
            payload = (
                {"step": draw.choice([*control.checkpoint_steps(run)[-3:], "best"])} if kind == "rollback" else None
            )
            answer = control.command(run, kind, payload, origin="cli", reason=token, wait_s=60)
    except (NotLive, Refused):
        return {**row, "status": "in flight"} if sent else None
    status = answer.status if answer.status != "pending" else "in flight"
    return {**row, "status": status, "revision": answer.revision, "step": answer.step, "changes": answer.changes,
            "message": answer.message}  # fmt: skip


def some_edit(draw: random.Random) -> dict[str, Any]:
    """A value nobody else asks for, so that it is found in the record; one in ten is out of range."""
    if draw.random() < 0.1:
        return {"max_lr": draw.uniform(1, 2)}
    weight = draw.uniform(0.3, 0.7)
    return draw.choice(
        [
            {"max_lr": draw.uniform(1e-4, 1e-3)},
            {"grad_clip": draw.uniform(0.1, 10)},
            {"min_lr": draw.uniform(1e-8, 5e-5), "grad_clip": draw.uniform(0.1, 10)},
            {"l1_weight": weight, "ms_weight": 0.8 - weight if weight < 0.8 else 0.0, "grad_weight": 0.2},
        ]
    )


def save_the_file(run: RunPaths, draw: random.Random, row: dict[str, Any]) -> dict[str, Any] | None:
    """Save as an editor does; acknowledged once the file itself names a later revision that holds the value."""
    try:
        values = json.loads(run.runtime_config.read_text())
    except (OSError, ValueError):
        return None
    clip = draw.uniform(0.1, 10)
    fresh = run.root / ".hand"
    fresh.write_text(json.dumps({**values, "grad_clip": clip}, indent=2))
    fresh.replace(run.runtime_config)
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError):
            now = json.loads(run.runtime_config.read_text())
            if now["revision"] > values["revision"]:
                changes = [{"key": "grad_clip", "new": clip}]
                return {**row, "status": "applied" if now["grad_clip"] == clip else "superseded", "changes": changes}
        time.sleep(0.01)
    return {**row, "status": "in flight"}


# ---- the trainer
def be_a_nursery(folder: Path, data: Path) -> None:
    """Fork a trainer for every line of standard input; say its pid, then how it ended."""
    import torch

    import vsrpp.training.trainer  # noqa: F401 - imported once, before any fork

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
    """Begin the run, or go on with it, as `vsrpp train` does, without delivery."""
    from vsrpp.training.start import prepare_new, prepare_resume
    from vsrpp.training.trainer import Trainer

    runs = folder / "runs"
    there = next((path.parent for path in runs.glob("*/runtime_config.json")), None) if runs.is_dir() else None
    try:
        if there is None:
            run_config, live = configs(data, **SETS)
            prepared = prepare_new(run_config, live, runs=runs, run_id=lambda: None, say=print)
        else:
            prepared = prepare_resume(RunPaths(there), say=print)
        Trainer(prepared).train()
    except VsrppError as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    return 0


def _environment(folder: Path) -> dict[str, str]:
    made = environment(folder)
    return {**made, "PYTHONPATH": os.pathsep.join([made["PYTHONPATH"], str(Path(__file__).parent)])}


if __name__ == "__main__":
    role, *rest = sys.argv[1:]
    if role == "nursery":
        be_a_nursery(Path(rest[0]), Path(rest[1]))
    else:
        be_a_hand(RunPaths(Path(rest[0])), random.Random(int(rest[1])), Path(rest[2]))
