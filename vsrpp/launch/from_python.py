"""Starting a training from Python or a notebook: in a separate process, as `vsrpp train`."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vsrpp import control, paths
from vsrpp.errors import ERROR_FILE, VsrppError, kind_of_exit
from vsrpp.launch import messages
from vsrpp.paths import RunPaths
from vsrpp.store import RunReader

LOOK_S = 0.1


def start_training(
    config: Mapping[str, Any] | str | os.PathLike[str] | None, *, data: str | os.PathLike[str] | None,
    source: str | None, resume: str | None, runs: str | os.PathLike[str] | None, panel: bool, tensorboard: bool,
    wait: bool,
) -> RunPaths:  # fmt: skip
    """Start `vsrpp train` and return its run folder once the run has started, or with `wait` once it has ended.

    The process outlives the notebook; its output goes to `train.log` in the run folder. Raises what the command refuses,
    under the same reason.
    """
    folder = paths.runs_dir(runs)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="vsrpp-train-") as scratch:
        error_file = Path(scratch) / "error.json"
        arguments = _arguments(config, Path(scratch), data=data, source=source, resume=resume)
        arguments += [f"--run-dir={folder}", *([] if panel else ["--no-panel"])]
        arguments += [] if tensorboard else ["--no-tensorboard"]
        log = tempfile.NamedTemporaryFile(dir=folder, prefix=".train-", suffix=".log", delete=False)  # noqa: SIM115
        with log:
            child = subprocess.Popen(
                [sys.executable, "-m", "vsrpp", "train", *arguments], stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True, env=os.environ | {ERROR_FILE: str(error_file)},
            )  # fmt: skip
        threading.Thread(target=child.wait, name="vsrpp-train-wait", daemon=True).start()  # an ended one is no zombie
        run = _wait_for_start(child, folder, Path(log.name), error_file)
        with contextlib.suppress(OSError):
            Path(log.name).replace(run.root / "train.log")
        if wait:
            _finish(child, run.root / "train.log", error_file)
    return run


def _arguments(
    config: Mapping[str, Any] | str | os.PathLike[str] | None, scratch: Path, *, data: str | os.PathLike[str] | None,
    source: str | None, resume: str | None,
) -> list[str]:  # fmt: skip
    arguments = []
    if isinstance(config, Mapping):
        import yaml

        file = scratch / "config.yaml"
        file.write_text(yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True), encoding="utf-8")
        arguments.append(f"--config={file}")
    elif config is not None:
        arguments.append(f"--config={os.fspath(config)}")
    given = {"--data": data, "--from": source, "--resume": resume}
    return arguments + [f"{option}={os.fspath(value)}" for option, value in given.items() if value is not None]


def _wait_for_start(child: subprocess.Popen[bytes], folder: Path, log: Path, error_file: Path) -> RunPaths:
    while True:
        ended = child.poll() is not None  # asked first: what it recorded before its end is still found
        run = _run_of(child, folder)
        if run is not None:
            return run
        if ended:
            raise _failure(child, log, error_file)
        time.sleep(LOOK_S)


def _run_of(child: subprocess.Popen[bytes], folder: Path) -> RunPaths | None:
    """The run that the process, or one that it started, trains."""
    pids = _process_ids(child)
    for paths_of_run in control.local_runs(folder):
        try:
            with RunReader(paths_of_run.run_db) as reader:
                process = reader.state().get("process", {})
        except (VsrppError, sqlite3.Error):  # a record that is being created has no tables yet
            continue
        if process.get("pid") in pids:
            return paths_of_run
    return None


def _process_ids(child: subprocess.Popen[bytes]) -> set[int]:
    import psutil

    try:
        return {child.pid, *(process.pid for process in psutil.Process(child.pid).children(recursive=True))}
    except psutil.Error:
        return {child.pid}


def _finish(child: subprocess.Popen[bytes], log: Path, error_file: Path) -> None:
    if child.wait() != 0:
        raise _failure(child, log, error_file)


def _failure(child: subprocess.Popen[bytes], log: Path, error_file: Path) -> VsrppError:
    """The command's error; if it died without reporting one, its last words under the error class of its exit code."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    spoken = [line.removeprefix("vsrpp: ") for line in lines if line.startswith("vsrpp: ")] or lines[-1:]
    with contextlib.suppress(OSError):
        if log.name.startswith("."):
            log.unlink()
    kind = kind_of_exit(child.returncode)
    with contextlib.suppress(OSError, ValueError):
        error = json.loads(error_file.read_text(encoding="utf-8"))
        return kind(error["message"], reason_code=error["reason_code"], fields=error["fields"])
    return kind("\n".join(spoken) or messages.TRAIN_ENDED.sentence(code=child.returncode))
