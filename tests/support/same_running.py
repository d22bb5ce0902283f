"""Runs trained by the code of a given source tree, each in its own folder; nothing here imports the trainer."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.support import steered_vsrpp
from tests.support.same_outcome import LATER_KEYS
from tests.support.same_scenarios import NETWORKS, SETS, Life, Scenario

ROOT = Path(__file__).resolve().parents[2]
CODE = ("vsrpp", "schemas", "recipes", "ui")
"""The parts of a source tree needed to run it."""
PROCESS_TIMEOUT_S = 900.0
LINGER_S = 120.0
"""How long the delivery process may continue after its training was killed."""
HEADLESS = ("--no-panel", "--no-tensorboard")
MAKE_STORE = "import sys; from mlflow import MlflowClient; MlflowClient(tracking_uri=sys.argv[1]).search_experiments()"
LOG_TAIL = 1500
FOLDER_VARIABLE = "PROVE_SAME_FOLDER"
"""Environment variable with the run's folder; it identifies processes that outlive their parent."""


class Broken(Exception):
    """A failure before there was anything to compare."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A source tree with its own cache, so that decoding is compared, too."""

    name: str
    root: Path
    cache: Path

    @property
    def old_rules(self) -> dict[str, int]:
        """The keys that make this tree compute as version 1 of each of its parts did, which older trees do not know."""
        known = json.loads((self.root / "schemas" / "run_config.schema.json").read_text())["properties"]
        return {key: value for key, value in LATER_KEYS.items() if key.endswith("_version") and key in known}


class Workspace:
    """The folder of one proof: source trees, clip, hook, and one folder per run. Call `prepare` before any run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clip = folder / "tiny.mkv"
        self._store = folder / "mlflow.db"
        """An empty MLflow database to copy: creating one takes seconds."""
        self._hook = folder / "hook"
        self._processes: set[subprocess.Popen[str]] = set()

    def prepare(self) -> None:
        """Create the clip, the empty MLflow store and the folder with the hook."""
        self._hook.mkdir()
        shutil.copy(steered_vsrpp.__file__, self._hook)
        environment = {**_clean_environment(), "_MLFLOW_SERVER_ARTIFACT_ROOT": str(self.folder / "mlartifacts")}
        with ThreadPoolExecutor(1) as pool:
            command = [sys.executable, "-c", MAKE_STORE, f"sqlite:///{self._store}"]
            made = pool.submit(self._call, command, self.folder, environment)
            from tests.support.clips import tiny_clip

            self.clip = tiny_clip(self.folder)
            made.result()

    def tree_of_commit(self, name: str, commit: str) -> Tree:
        """Raises Broken if the repository does not contain the commit."""
        return self._tree(name, extract(commit, self.folder / name))

    def tree_of_folder(self, name: str, source: Path) -> Tree:
        """A copy, so that later edits do not affect the proof."""
        root = self.folder / name
        for part in CODE:
            if (source / part).is_dir():
                shutil.copytree(source / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
        return self._tree(name, root)

    def _tree(self, name: str, root: Path) -> Tree:
        return Tree(name, root, self.folder / f"cache-{name}")

    # ---- runs
    def train(self, tree: Tree, network: str, processes: int, scenario: Scenario, *, keep_killed: bool = False) -> Path:
        """Train a scenario and return its folder. `keep_killed` copies the folder of the killed run to `killed_copy(folder)`."""
        folder = self.new_folder(f"{network}-{processes}-{scenario.name}-{tree.name}")
        for number, life in enumerate(scenario.lives):
            sets = {**SETS, **NETWORKS[network], **scenario.sets, **tree.old_rules}
            words = start_words(self.clip, sets) if number == 0 else resume_words(folder)
            self.live(tree, folder, processes, words, life, nan=scenario.nan)
            if life.killed and keep_killed:
                self.copy(folder, killed_copy(folder))
        return folder

    def live(
        self, tree: Tree, folder: Path, processes: int, words: Sequence[str], life: Life, nan: Sequence[int] = ()
    ) -> None:  # fmt: skip
        """Run one life of a run. Raises Broken if it does not end as specified in `life`."""
        plan = {"tree": str(tree.root), "actions": life.actions, "nan": list(nan)}
        command = [*launcher(processes), "-m", "steered_vsrpp", *words]
        code, said = self._call(
            command, folder, {**self.environment(tree, folder), "PROVE_SAME": json.dumps(plan)}, checked=False
        )
        if (code == 0) == life.killed or (life.killed and processes == 1 and code != -signal.SIGKILL):
            wanted = "be killed" if life.killed else "exit with code 0"
            raise Broken(f"{tree.name} code in {folder.name} was to {wanted}, and exited with code {code}: {said}")

    def vsrpp(self, tree: Tree, folder: Path, *words: str, processes: int = 1) -> str:
        """The standard output of one command; raises Broken if it fails."""
        command = [*launcher(processes), "-m", "vsrpp", *words]
        return self._call(command, folder, self.environment(tree, folder))[1]

    def python(self, tree: Tree, folder: Path, code: str, *arguments: str) -> str:
        """The standard output of some Python code that imports the tree's `vsrpp`."""
        return self._call([sys.executable, "-c", code, *arguments], folder, self.environment(tree, folder))[1]

    # ---- folders of runs
    def new_folder(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir()
        shutil.copy(self._store, folder / "mlflow.db")
        return folder

    def copy(self, folder: Path, to: Path) -> Path:
        """A copy with its own MLflow store, because SQLite refers to artifacts by absolute path."""
        shutil.copytree(folder, to)
        with contextlib.closing(sqlite3.connect(to / "mlflow.db")) as db, db:
            for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri"),
                                  ("logged_models", "artifact_location")):  # fmt: skip
                db.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (f"{folder}/", f"{to}/"))
        return to

    def environment(self, tree: Tree, folder: Path) -> dict[str, str]:
        return {
            **_clean_environment(), "PYTHONPATH": f"{self._hook}{os.pathsep}{tree.root}", "VSRPP_CACHE": str(tree.cache),
            "HOME": str(folder), "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}", "COLUMNS": "200",
            "OMP_NUM_THREADS": "1", FOLDER_VARIABLE: str(folder),
        }  # fmt: skip

    # ---- processes
    def _call(
        self, command: Sequence[Any], folder: Path, environment: dict[str, str], *, checked: bool = True
    ) -> tuple[int, str]:  # fmt: skip
        """(exit code, standard output) after all its processes have ended; for a failure, the end of both outputs."""
        log = folder / f"log-{time.monotonic_ns()}.txt"
        with log.open("w") as errors:
            process = subprocess.Popen(
                list(map(str, command)), cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=errors, text=True, start_new_session=True,
            )  # fmt: skip
            self._processes.add(process)
            try:
                said, _ = process.communicate(timeout=PROCESS_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                _kill_all(folder)
                raise Broken(f"{' '.join(map(str, command))} took more than {PROCESS_TIMEOUT_S:g} s") from None
            finally:
                _kill(process)
                self._processes.discard(process)
        _wait_for_the_rest(folder)
        if process.returncode == 0:
            return 0, said
        end = f"{said[-LOG_TAIL:]}{log.read_text()[-LOG_TAIL:]}"
        if checked:
            raise Broken(f"{' '.join(map(str, command))} exited with code {process.returncode}: {end}")
        return process.returncode, end

    def close(self) -> None:
        """Kill all remaining processes."""
        for process in list(self._processes):
            _kill(process)
        _kill_all(self.folder)


def extract(commit: str, folder: Path) -> Path:
    """Extract the files of a commit into a new folder. Raises Broken if the repository does not contain the commit."""
    folder.mkdir()
    archive = subprocess.run(["git", "-C", ROOT, "archive", commit], capture_output=True)
    if archive.returncode:
        raise Broken(
            f"commit {commit} is not in this repository's history (git: {archive.stderr.decode().strip()})."
            " In a shallow clone, fetch it first: git fetch --unshallow"
        )
    subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
    return folder


def launcher(processes: int) -> list[str]:
    world = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)] if processes > 1 else []
    return [sys.executable, *world]


def start_words(clip: Path, sets: dict[str, Any]) -> list[str]:
    words = ["train", "--preset", "demo", "--data", str(clip), *HEADLESS]
    return [*words, *(word for key, value in sets.items() for word in ("--set", f"{key}={value}"))]


def resume_words(folder: Path) -> list[str]:
    return ["train", "--resume", run_folder(folder).name, *HEADLESS]


def run_folder(folder: Path) -> Path:
    """The only run in the folder."""
    (database,) = (folder / "runs").glob("*/run.db")
    return database.parent


def killed_copy(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}-killed")


def _clean_environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "VSRPP_"))} | {
        "MLFLOW_DISABLE_TELEMETRY": "true"
    }


def _kill(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _kill_all(folder: Path) -> None:
    """Kill every process of the runs in `folder`: ranks and delivery have their own process groups."""
    for pid in _processes_of(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _wait_for_the_rest(folder: Path) -> None:
    """Wait for the delivery process that outlives a killed run. Raises Broken if it does not end."""
    deadline = time.monotonic() + LINGER_S
    while rest := _processes_of(folder):
        if time.monotonic() > deadline:
            raise Broken(f"processes {rest} of {folder.name} still run after {LINGER_S:g} s")
        time.sleep(0.1)


def _processes_of(folder: Path) -> list[int]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            theirs = process.environ().get(FOLDER_VARIABLE)
            if theirs and Path(theirs).is_relative_to(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found
