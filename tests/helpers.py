"""What many tests share: a tiny real clip, tiny runs in this process or in one of their own, and waiting on conditions."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clips import piece, write_video

from vsrpp import config
from vsrpp.paths import RunPaths
from vsrpp.store import RunReader

ROOT = Path(__file__).resolve().parents[1]
TINY = {
    "n_feats": 4, "n_blocks": 1, "num_frames": 2, "crop_size": 32, "batch_size": 1, "scale": 2, "warmup_steps": 4,
    "torch_threads": 1, "val_fraction": 0.2,
    "max_steps": 12, "log_every": 2, "validate_every": 10, "checkpoint_every": 10, "max_lr": 1e-3,
}  # fmt: skip
"""A run of a second or two."""
REQUEST_TIMEOUT_S = "120"
"""How long a tracking server may take to answer: one that was killed refuses at once, a slow one is no outage."""


def wait_until(condition: Callable[[], Any], timeout_s: float = 120.0, what: str = "the condition") -> Any:
    """The first true value of `condition`; fails after `timeout_s`, which is for a machine five times slower than a desk's."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come within {timeout_s} s")


def free_port() -> int:
    """A port for a server that is to be started, or started again, there: none that a connection is given meanwhile."""
    low, high = 20_000, 32_000  # below what systems hand out by themselves
    while True:
        port = random.SystemRandom().randrange(low, high)
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port


def tiny_clip(folder: Path, *, frames: int = 24, width: int = 96, height: int = 64) -> Path:
    """A short, small video cut from the real sample clip."""
    return write_video(folder / "tiny.mkv", piece(frames, height, width))


def configs(data: Path, **sets: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The run config and the live config of a tiny run on `data`."""
    return config.resolve("demo", None, {**TINY, "data": str(data), **sets})


def train_in_process(runs: Path, data: Path, **sets: Any) -> tuple[Any, Any]:
    """(prepared, trainer) of a tiny run in this process, not started yet."""
    from vsrpp.training.start import prepare_new
    from vsrpp.training.trainer import Trainer

    run_config, live = configs(data, **sets)
    prepared = prepare_new(run_config, live, runs=runs, run_id=lambda: None, say=lambda _: None)
    return prepared, Trainer(prepared)


def environment(folder: Path) -> dict[str, str]:
    """The environment of a process that works in `folder` alone."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "VSRPP_"))}
    return {
        **kept, "PYTHONPATH": str(ROOT), "VSRPP_CACHE": str(folder / "cache"), "HOME": str(folder),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}", "COLUMNS": "200",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": REQUEST_TIMEOUT_S,
    }  # fmt: skip


def vsrpp(folder: Path, *arguments: str, timeout_s: float = 300.0) -> subprocess.CompletedProcess[str]:
    """Run one command in `folder` and wait for it."""
    return subprocess.run(
        [sys.executable, "-m", "vsrpp", *arguments], cwd=folder, env=environment(folder), capture_output=True,
        text=True, timeout=timeout_s,
    )  # fmt: skip


def train_command(data: Path | str, **sets: Any) -> list[str]:
    words = ["train", "--preset", "demo", "--data", str(data), "--no-panel", "--no-tensorboard"]
    for key, value in {**TINY, **sets}.items():
        words += ["--set", f"{key}={value}"]
    return words


class TrainingProcess:
    """`vsrpp train …` in a process of its own; killed, if it still lives, when the `with` block ends."""

    def __init__(self, folder: Path, arguments: list[str], *, extra_path: Path | None = None, code: str = "") -> None:
        """`code` runs in place of `python -m vsrpp`, with the same arguments."""
        env = environment(folder)
        if extra_path is not None:
            env["PYTHONPATH"] = f"{extra_path}{os.pathsep}{env['PYTHONPATH']}"
        self.folder = folder
        self.log = (folder / f"train-{time.monotonic_ns()}.log").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, *(["-c", code] if code else ["-m", "vsrpp"]), *arguments], cwd=folder, env=env, stdout=self.log,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def __enter__(self) -> TrainingProcess:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.log.close()

    @property
    def output(self) -> str:
        return Path(self.log.name).read_text()

    def run_dir(self, timeout_s: float = 240.0) -> Path:
        """The run folder, once the run has started."""

        def found() -> Path | None:
            assert self.process.poll() is None or (self.folder / "runs").is_dir(), self.output
            return next((p.parent for p in (self.folder / "runs").glob("*/runtime_config.json")), None)

        return wait_until(found, timeout_s, "the run folder")

    def wait(self, timeout_s: float = 400.0) -> int:
        return self.process.wait(timeout_s)


class Killed(BaseException):
    """Ends a run in this process where kill -9 would."""


class Steered:
    """A tiny run in this process, steered at given steps: `at[5] = lambda run: run.edit(max_lr=2e-4)`.

    What is asked at step N reaches the trainer's boundary at step N, because the faces are told of a step before it.
    """

    def __init__(self, prepared: Any, at: dict[int, Callable[[Steered], Any]] | None = None) -> None:
        from vsrpp.store import Inbox
        from vsrpp.training.trainer import Trainer

        self.at = dict(at or {})
        self.events: list[Any] = []
        self.uids: list[str] = []
        self.paths = prepared.paths
        self.inbox = Inbox(prepared.paths.inbox_db)
        self.trainer = Trainer(prepared, on_event=self.events.append, on_progress=self._progress)

    @classmethod
    def new(cls, runs: Path, data: Path, at: dict[int, Callable[[Steered], Any]] | None = None, **sets: Any) -> Steered:
        from vsrpp.training.start import prepare_new

        run_config, live = configs(data, **sets)
        return cls(prepare_new(run_config, live, runs=runs, run_id=lambda: None, say=lambda _: None), at)

    @classmethod
    def resumed(cls, paths: Any, at: dict[int, Callable[[Steered], Any]] | None = None) -> Steered:
        from vsrpp.training.start import prepare_resume

        return cls(prepare_resume(paths, say=lambda _: None), at)

    def train(self) -> str:
        try:
            return self.trainer.train()
        finally:
            self.inbox.close()

    def die_at(self, step: int) -> None:
        """Train up to `step` and end as kill -9 would: nothing is written any more."""

        self.at[step] = Steered.kill
        self.train_until_killed()

    def train_until_killed(self) -> None:
        try:
            self.train()
        except Killed:
            return
        raise AssertionError("the run ended before it was killed")

    def kill(self) -> None:
        raise Killed

    def edit(self, *, origin: str = "cli", base_revision: int | None = None, **changes: Any) -> str:
        self.uids.append(
            self.inbox.put("edit", {"changes": changes}, origin=origin, author="anna", base_revision=base_revision)
        )
        return self.uids[-1]

    def ask(self, kind: str, **payload: Any) -> str:
        self.uids.append(self.inbox.put(kind, payload, origin="cli", author="anna"))
        return self.uids[-1]

    def answer(self, number: int = -1) -> Any:
        from vsrpp.store import Inbox

        inbox = Inbox(self.paths.inbox_db)
        try:
            return inbox.answer_of(self.uids[number])
        finally:
            inbox.close()

    def types(self) -> list[str]:
        return [event.type for event in self.events]

    def weights(self) -> str:
        """SHA-256 over the final weights, their EMA and the optimizer's state."""
        import hashlib

        snapshot = self.trainer.state.capture(self.trainer.live)
        digest = hashlib.sha256()
        tensors = {**snapshot.model, **{f"ema.{k}": v for k, v in snapshot.model_ema.items()}}
        for number, state in snapshot.rest["optimizer"]["state"].items():
            tensors |= {f"{number}.{k}": v for k, v in state.items()}
        for name in sorted(tensors):
            digest.update(name.encode() + tensors[name].numpy().tobytes())
        return digest.hexdigest()

    def _progress(self, seen: Any) -> None:
        act = self.at.get(seen.step)
        if act is not None and seen.state == "training" and self.trainer.recorder.step == seen.step:
            del self.at[seen.step]
            act(self)


def series(paths: RunPaths, key: str) -> dict[tuple[int, int], float]:
    """The values of a metric by (branch, step)."""
    with RunReader(paths.run_db) as reader:
        return {(row.branch, row.step): row.value for row in reader.series(key)}
