"""docs/extending.md: its file and its commands, run in a folder of their own with the package installed from its wheel."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.runs import TINY
from tests.support.waiting import wait_until
from vsrpp.paths import RunPaths
from vsrpp.store import RunReader

ROOT = Path(__file__).resolve().parents[1]
GUIDE = ROOT / "docs/extending.md"
FILE = ROOT / "examples/my_sr.py"
SIZES = {
    **{key: value for key, value in TINY.items() if key != "n_feats"}, "batch_size": 2, "max_steps": 1_000_000,
    "checkpoint_every": 20, "validate_every": 200, "control_interval": 5, "my_width": 4,
}  # fmt: skip

LOADS = """
import sys
sys.path.append(sys.argv[1])
from importlib.util import find_spec
assert find_spec("vsrpp") is None, "VSR++ is installed: this would prove nothing"
import mlflow, numpy as np
mlflow.set_tracking_uri(sys.argv[2])
experiments = [one.experiment_id for one in mlflow.search_experiments()]
newest = mlflow.search_logged_models(experiments, output_format="list")[0]
frames = np.zeros((3, 8, 12, 3), dtype=np.uint8)
print(mlflow.pyfunc.load_model(newest.model_uri).predict(frames).shape)
"""


class Machine:
    """A person's account on a machine: a home, a working directory, and the installed package."""

    def __init__(self, folder: Path, venv: Path, uri: str) -> None:
        self.folder, self.python = folder, venv / "bin" / "python"
        self.uri = uri
        folder.mkdir()
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "VSRPP_", "PYTHON"))}
        self.environment = {
            **kept, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config"), "VSRPP_CACHE": str(folder / "cache"),
            "MLFLOW_TRACKING_URI": uri, "MLFLOW_DISABLE_TELEMETRY": "true", "COLUMNS": "200",
        }  # fmt: skip

    def start(self, *words: str) -> subprocess.Popen[str]:
        log = (self.folder / "said.log").open("a")
        return subprocess.Popen(
            [self.python, "-m", "vsrpp", *words], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=log, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def run(self, *words: str, code: int = 0) -> str:
        """What a command printed to both streams; fails unless it exits with `code`."""
        done = subprocess.run(
            [self.python, "-m", "vsrpp", *words], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout
        return done.stdout

    def said(self) -> str:
        return (self.folder / "said.log").read_text()


@pytest.fixture
def machine(tmp_path: Path, installed_wheel: Path, empty_store: Path, tiny_clip: Path) -> Iterator[Machine]:
    """A machine with the file of the guide and a clip."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    here = Machine(tmp_path / "here", installed_wheel, f"sqlite:///{tmp_path / 'mlflow.db'}")
    shutil.copy(FILE, here.folder)
    shutil.copy(tiny_clip, here.folder / "clip.mkv")
    yield here


def test_the_page_prints_the_file_as_it_is() -> None:
    text = FILE.read_text(encoding="utf-8")
    assert f"```python\n{text}```\n" in GUIDE.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 40


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2])
def test_the_guide_holds_outside_the_checkout(devices: int, machine: Machine, installed_wheel: Path) -> None:
    run = edited_killed_and_resumed(machine, devices)
    assert "identical" in machine.run("replay", "latest")
    if devices == 1:
        shutil.move(machine.folder / FILE.name, machine.folder / "moved_away.txt")
        elsewhere = Machine(machine.folder.parent / "elsewhere", installed_wheel, machine.uri)
        restored_elsewhere(elsewhere, run, machine.folder / "clip.mkv")
        assert loaded_without_vsrpp(elsewhere) == "(3, 16, 24, 3)"


def edited_killed_and_resumed(machine: Machine, devices: int) -> RunPaths:
    """Trains, edits the new weight, kills with SIGKILL, resumes, edits again, stops."""
    words = ["train", "--preset", "demo", "--data", "clip.mkv", "--no-panel", "--no-tensorboard"]
    ranks = ["--devices", str(devices)] if devices > 1 else []
    sets = {"network": "my_sr.py:MySR", "degradation": "my_sr.py:noisy", "fft_weight": 0.1, "l1_weight": 0.5, **SIZES}
    words += [*ranks, *(word for key, value in sets.items() for word in ("--set", f"{key}={value}"))]
    first = machine.start(*words)
    try:
        run = wait_until(lambda: found(machine, first), what="the run")
        machine.run("set", "latest", "fft_weight=0.3", "l1_weight=0.3")
        newest = step_of(run, "config_applied")
        wait_until(lambda: step_of(run, "checkpoint_saved") > newest, what="a checkpoint after the edit")
    finally:
        kill(first)
    again = machine.start("train", "--resume", "latest", "--no-panel", "--no-tensorboard", *ranks)
    try:
        wait_until(lambda: again.poll() is not None or step_of(run, "restored") >= 0, what="the resume")
        machine.run("set", "latest", "fft_weight=0.2", "l1_weight=0.4")
        machine.run("stop", "latest")
        assert again.wait(120) == 0, machine.said()
    finally:
        kill(again)
    shares = {key: value for key, value in json.loads(run.runtime_config.read_text()).items() if key == "fft_weight"}
    assert shares == {"fft_weight": 0.2}
    return run


def restored_elsewhere(elsewhere: Machine, run: RunPaths, clip: Path) -> None:
    """A restore copies and never asks; the account that has not named the code must trust it before it runs."""
    elsewhere.run("restore", run.run_id, "--out", "restored")
    (sha256,) = json.loads((elsewhere.folder / "restored/plugins.json").read_text())["plugins"]
    command = ["evaluate", "restored", "--data", str(clip), "--count", "2"]
    assert f"--trust-code {sha256}" in elsewhere.run(*command, code=2)
    assert "PSNR" in elsewhere.run(*command, "--trust-code", sha256)


def loaded_without_vsrpp(machine: Machine) -> str:
    environment = machine.environment | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-S", "-c", LOADS, sysconfig.get_paths()["purelib"], machine.uri], cwd=machine.folder,
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def kill(training: subprocess.Popen[str]) -> None:
    """Kill a training with all its processes, unless it has ended."""
    if training.poll() is None:
        os.killpg(training.pid, signal.SIGKILL)
    training.wait()


def found(machine: Machine, training: subprocess.Popen[str]) -> RunPaths | None:
    """The run, once it trains."""
    assert training.poll() is None, machine.said()
    folders = [path.parent for path in (machine.folder / "runs").glob("*/runtime_config.json")]
    return RunPaths(folders[0]) if folders and step_of(RunPaths(folders[0]), "started") >= 0 else None


def step_of(run: RunPaths, kind: str) -> int:
    """The step of the newest event of a type; -1 if there is none."""
    with RunReader(run.run_db) as reader:
        newest = reader.last_event(kind)
    return -1 if newest is None else newest.step
