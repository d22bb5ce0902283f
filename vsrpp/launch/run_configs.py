"""Resolves a training request into a run config, a live config and the checkpoint to start from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vsrpp import config
from vsrpp.control.numbers import LIMITS
from vsrpp.data import find_all, with_absolute_paths
from vsrpp.launch.checkpoint_source import checkpoint_folder
from vsrpp.launch.request import TrainRequest
from vsrpp.paths import CheckpointPaths

_NOT_INHERITED = ("revision", "preset", "max_hours", "pretrained", "pretrained_partial")
"""Keys that a run does not inherit from the checkpoint it starts from: the budget belonged to the other run, and the weights
come from the checkpoint."""
_PATHS = ("data", "val_data", "perceptual_weights", "pretrained")


@dataclass(frozen=True, slots=True, kw_only=True)
class StartSource:
    """The checkpoint that a new run starts from."""

    folder: CheckpointPaths
    lineage: dict[str, Any]
    """Run, step, and the name the user gave."""

    @classmethod
    def of(cls, name: str, runs: Path) -> StartSource:
        """The checkpoint `--from` names, on disk or downloaded from the tracking server. Raises NotFound or Refused."""
        folder = checkpoint_folder(name, runs)
        manifest = json.loads(folder.manifest.read_text(encoding="utf-8"))
        return cls(folder=folder, lineage={"run_id": manifest["run_id"], "step": manifest["step"], "source": name})


def resolve(request: TrainRequest, source: StartSource | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """(run config, live config), each overriding the one before: source or preset, file, --set, other options.

    Raises Refused or NotFound.
    """
    settings = config.parse_assignments(request.settings)
    overrides = {"data": request.data, "max_steps": request.max_steps, **limits(request)}
    file = config.config_file(request.config) if request.config else None
    if source is not None:
        settings = {**_inherited(source), "device": "auto", **settings}
    run_config, live_config = config.resolve(request.preset, file, settings, **overrides)
    for key in _PATHS:
        run_config[key] = with_absolute_paths(run_config.get(key))
    return run_config, live_config


def _inherited(source: StartSource) -> dict[str, Any]:
    import yaml

    run_config = yaml.safe_load(source.folder.run_config.read_text(encoding="utf-8"))
    live = json.loads(source.folder.runtime_config.read_text(encoding="utf-8"))
    known = config.parameters()
    return {key: value for key, value in {**run_config, **live}.items() if key in known and key not in _NOT_INHERITED}


def limits(request: TrainRequest) -> dict[str, Any]:
    """max_hours and cost_per_hour if given, validated; `none` removes a limit. Raises Refused."""
    given = {key: getattr(request, key) for key in LIMITS}
    values = config.parse_assignments(f"{key}={value}" for key, value in given.items() if value is not None)
    return {key: value for key, value in config.resolve(None, None, values)[0].items() if key in values}


def check_data(run_config: dict[str, Any]) -> None:
    """Check the data paths before anything is started. Raises Refused or NotFound."""
    find_all(run_config)
