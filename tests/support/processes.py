"""Runs `vsrpp` in separate processes, each in its own folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.support.runs import TINY
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
REQUEST_TIMEOUT_S = "120"
"""Timeout for a tracking server: a killed one refuses connections at once, and a slow one is not an outage."""


def environment(folder: Path) -> dict[str, str]:
    """The environment of a process that only works in `folder`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "VSRPP_"))}
    return {
        **kept, "PYTHONPATH": str(ROOT), "VSRPP_CACHE": str(folder / "cache"), "HOME": str(folder),
        "XDG_STATE_HOME": str(folder / "state"),
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
    """`vsrpp train …` in a separate process; killed when the `with` block ends, if it is still running."""

    def __init__(
        self, folder: Path, arguments: list[str], *, extra_path: Path | None = None, code: str = "", uri: str = ""
    ) -> None:
        """`code` replaces `python -m vsrpp` and gets the same arguments; `uri` is another tracking server."""
        env = environment(folder) | ({"MLFLOW_TRACKING_URI": uri} if uri else {})
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

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to every process of the training's group."""
        os.killpg(self.process.pid, number)

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
