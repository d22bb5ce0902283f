"""Every path the project uses: inside run folders, of the schemas, and the default locations of runs, caches and state."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_STEP_FOLDER = re.compile(r"^step_(\d{7,})$")


@dataclass(frozen=True, slots=True)
class RunPaths:
    """The files of one run folder. Does not access the disk."""

    root: Path

    @property
    def run_id(self) -> str:
        return self.root.name

    @property
    def run_db(self) -> Path:
        return self.root / "run.db"

    @property
    def inbox_db(self) -> Path:
        return self.root / "inbox.db"

    @property
    def delivery_db(self) -> Path:
        return self.root / "delivery.db"

    @property
    def databases(self) -> tuple[Path, ...]:
        return self.run_db, self.inbox_db, self.delivery_db

    @property
    def trainer_state(self) -> Path:
        """The trainer's state while run.db cannot be written."""
        return self.root / "trainer_state"

    @property
    def run_config(self) -> Path:
        return self.root / "run_config.yaml"

    @property
    def runtime_config(self) -> Path:
        return self.root / "runtime_config.json"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        return self.root / "tensorboard"

    @property
    def images(self) -> Path:
        return self.root / "images"

    @property
    def validations(self) -> Path:
        """The figures of each frame of the validations."""
        return self.root / "validations"

    def frame_figures(self, step: int, branch: int) -> Path:
        return self.validations / f"step_{step:07d}_branch_{branch}.json"

    @property
    def deliver_log(self) -> Path:
        """The log of the delivery process, for people; never parsed."""
        return self.root / "delivery.log"

    def checkpoint(self, step: int) -> CheckpointPaths:
        return CheckpointPaths(self.checkpoints / f"step_{step:07d}")


@dataclass(frozen=True, slots=True)
class CheckpointPaths:
    """The files of one checkpoint folder."""

    root: Path

    @property
    def model(self) -> Path:
        return self.root / "model.safetensors"

    @property
    def model_ema(self) -> Path:
        return self.root / "model_ema.safetensors"

    @property
    def training_state(self) -> Path:
        return self.root / "training_state.pt"

    @property
    def runtime_config(self) -> Path:
        return self.root / "runtime_config.json"

    @property
    def run_config(self) -> Path:
        return self.root / "run_config.yaml"

    @property
    def manifest(self) -> Path:
        return self.root / "manifest.json"


def set_aside_dir(runs: Path) -> Path:
    """Where a damaged run folder is moved to when the run is rebuilt; no run is looked for in there."""
    return runs / ".damaged"


def checkpoint_step(folder: Path) -> int | None:
    """The step in a checkpoint folder's name, or None if the name is not a checkpoint's."""
    match = _STEP_FOLDER.match(folder.name)
    return int(match.group(1)) if match else None


def runs_dir(explicit: str | os.PathLike[str] | None = None) -> Path:
    """The absolute folder of runs: `--run-dir`, else VSRPP_RUNS, else ./runs."""
    chosen = explicit or os.environ.get("VSRPP_RUNS") or "runs"
    return Path(chosen).expanduser().resolve()


def tracking_uri(runs: Path) -> str:
    """The tracking URI: MLFLOW_TRACKING_URI, else a SQLite file next to the folder of runs."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{runs.parent / 'mlflow.db'}"


def cache_dir() -> Path:
    """The folder of the decode cache: VSRPP_CACHE, else `vsrpp` in the user's cache folder."""
    explicit = os.environ.get("VSRPP_CACHE")
    if explicit:
        return Path(explicit).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "vsrpp"


def state_dir() -> Path:
    """The account's own state, such as the key to its panels: `vsrpp` in XDG_STATE_HOME, else in ~/.local/state.

    For an account without a home (a number in a container) it is a place where nothing can be kept.
    """
    explicit = os.environ.get("XDG_STATE_HOME")
    if explicit:
        return Path(explicit) / "vsrpp"
    try:
        home = Path.home()
    except RuntimeError:
        home = Path(os.devnull)
    return home / ".local" / "state" / "vsrpp"


def _package_or_checkout(name: str) -> Path:
    """A folder inside the installed package, or next to it in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / name
    return inside if inside.is_dir() else package.parent / name


def schema_file(name: str) -> Path:
    return _package_or_checkout("schemas") / name


def ui_dir() -> Path:
    return _package_or_checkout("ui")


def recipes_dir() -> Path:
    """The folder of recipes: configs of published trainings, YAML files that `--config` accepts by name."""
    return _package_or_checkout("recipes")
