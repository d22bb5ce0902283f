"""Resolves a training request into a run config, a live config and the checkpoint to start from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vsrpp import config
from vsrpp.checkpoints.documents import checkpoint_live_config, checkpoint_run_config, read_manifest
from vsrpp.config import messages as config_messages
from vsrpp.config.text import show
from vsrpp.control.numbers import LIMITS
from vsrpp.data import find_all, with_absolute_paths
from vsrpp.launch import messages
from vsrpp.launch.checkpoint_source import checkpoint_folder
from vsrpp.launch.request import TrainRequest
from vsrpp.paths import CheckpointPaths
from vsrpp.plugins import naming, trust
from vsrpp.plugins import record as plugin_record

_NOT_INHERITED = (
    "revision",
    "preset",
    "max_hours",
    "pretrained",
    "pretrained_partial",
    "signing_key",
    "controller_version",
)
"""Keys that a run does not inherit from the checkpoint it starts from: the budget belonged to the other run, the weights
come from the checkpoint, the key is that of whoever started the other run, and a new run takes the newest controller."""
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
        manifest = read_manifest(folder)
        return cls(folder=folder, lineage={"run_id": manifest["run_id"], "step": manifest["step"], "source": name})


def resolve(
    request: TrainRequest, source: StartSource | None, say: Callable[[str], None] = lambda _: None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(run config, live config), each overriding the one before: source, preset, file, --set and other options.

    Imports the plug-ins that are named, and those of the source, after everything that can be checked without them.
    Raises Refused or NotFound.
    """
    file = config.config_file(request.config) if request.config else None
    parent = {**inherited(source), "device": "auto"} if source is not None else None
    values = config.assigned_values(None, file, _settings(request), parent=parent)
    if source is not None:
        _check_weights(values)
    plugins, names = _plugins(request, source, file, values, say)
    if plugins:
        values = naming.renamed({**values, **_settings(request, {"plugins": plugins})}, names)
    run_config, live_config = config.resolve(None, None, values, plugins=plugins)
    for key in _PATHS:
        run_config[key] = with_absolute_paths(run_config.get(key))
    return run_config, live_config


def _plugins(
    request: TrainRequest, source: StartSource | None, file: Path | None, values: dict[str, Any], say: Callable[[str], None]
) -> tuple[list[dict[str, Any]], dict[str, str]]:  # fmt: skip
    """The record of the plug-ins, loaded, and the values of the keys that name one."""
    trust.allow(request.trust_code)
    kept = _reopened(source, say) if source is not None else []
    provided = {entry["name"] for record in kept for entry in record["provides"]}
    names = [naming.by_option(text) for text in (*config.plugins_in(file), *request.plugins)]
    names += [one for one in naming.named_in(values) if one.text not in provided]
    if not names:
        return kept, {}
    problems = config.check_known(values)
    if problems:
        raise config.refused(problems)
    folders = [*([file.resolve().parent] if file is not None else []), Path.cwd()]
    loaded, named = naming.load(names, folders)
    sources = {record["source"] for record in loaded}
    return [record for record in kept if record["source"] not in sources] + loaded, named


def _reopened(source: StartSource, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """The plug-ins of the checkpoint that a run starts from."""
    run_config = checkpoint_run_config(source.folder)
    if not run_config.get("plugins"):
        return []
    texts = plugin_record.read(source.folder.root)
    return plugin_record.reopen(run_config, texts, source.folder.root, say=say, current=True)


def inherited(source: StartSource) -> dict[str, Any]:
    """What a run takes over from the checkpoint it starts from: both configs, apart from what belongs to the other run."""
    run_config, live = checkpoint_run_config(source.folder), checkpoint_live_config(source.folder)
    known = config.parameters(run_config)
    run_config.setdefault("network_version", 1)  # what the weights of an older run were trained for
    return {key: value for key, value in {**run_config, **live}.items() if key in known and key not in _NOT_INHERITED}


def _settings(request: TrainRequest, run_config: dict[str, Any] | None = None) -> dict[str, Any]:
    """The values of --set and of the options that set one parameter. Raises Refused for a key with two values."""
    options = {"preset": request.preset, "data": request.data, "max_steps": request.max_steps}
    limits = [f"{key}={getattr(request, key)}" for key in LIMITS if getattr(request, key) is not None]
    single = {key: value for key, value in options.items() if value is not None} | config.parse_assignments(limits)
    values = config.parse_assignments(request.settings, run_config)
    for key, value in single.items():
        if key in values and not config.same(values[key], value):
            raise config_messages.SET_TWICE(key=key, first=show(values[key]), second=show(value))
        values[key] = value
    return values


def _check_weights(values: dict[str, Any]) -> None:
    """Raises Refused for weights named beside the checkpoint that a run starts from."""
    for key in ("pretrained", "pretrained_partial"):
        if values.get(key):
            raise messages.PRETRAINED_AND_FROM(key=key, value=show(values[key]))


def on_resume(request: TrainRequest, run_config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(limits, edit of the live config) that a resume of the run with this run config brings. Raises Refused.

    Limits are `max_hours` and `cost_per_hour`, where None removes one; no other startup parameter can change.
    """
    values = _settings(replace(request, preset=None, data=None), run_config)
    limits = {key: values.pop(key) for key in LIMITS if key in values}
    fixed = [f"--set {key}" for key in values if key in config.startup_parameters(run_config)]
    if fixed:
        raise messages.FIXED_ON_RESUME(options=", ".join(fixed), run=request.resume)
    checked = config.resolve(None, None, limits)[0]
    return {key: checked[key] for key in limits}, values


def check_data(run_config: dict[str, Any]) -> None:
    """Check the data paths before anything is started. Raises Refused or NotFound."""
    find_all(run_config)
