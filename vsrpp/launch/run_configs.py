"""Resolves a training request into a run config, a live config and the checkpoint to start from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vsrpp import config
from vsrpp.checkpoints.documents import checkpoint_live_config, checkpoint_run_config, read_manifest
from vsrpp.config import messages as config_messages
from vsrpp.control.numbers import LIMITS
from vsrpp.data import find_all, with_absolute_paths
from vsrpp.launch.checkpoint_source import checkpoint_folder
from vsrpp.launch.request import TrainRequest
from vsrpp.paths import CheckpointPaths
from vsrpp.plugins import naming, trust
from vsrpp.plugins import record as plugin_record

_NOT_INHERITED = ("revision", "preset", "max_hours", "pretrained", "pretrained_partial", "signing_key")
"""Keys that a run does not inherit from the checkpoint it starts from: the budget belonged to the other run, the weights
come from the checkpoint, and the key is that of whoever started the other run."""
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
    """(run config, live config), each overriding the one before: source or preset, file, --set, other options.

    Imports the plug-ins that are named, and those of the source, after everything that can be checked without them.
    Raises Refused or NotFound.
    """
    overrides = {"data": request.data, "max_steps": request.max_steps, **limits(request)}
    file = config.config_file(request.config) if request.config else None
    inherited = {**_inherited(source), "device": "auto"} if source is not None else {}
    settings = {**inherited, **config.parse_assignments(request.settings)}
    values = config.assigned_values(request.preset, file, settings, **overrides)
    plugins, names = _plugins(request, source, file, values, say)
    if plugins:
        typed = config.parse_assignments(request.settings, {"plugins": plugins})
        values = naming.renamed({**values, **typed}, names)
        values |= {key: value for key, value in overrides.items() if value is not None}
    run_config, live_config = config.resolve(request.preset, None, values, plugins=plugins)
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
        causes = [config.refusal([problem]) for problem in problems]
        raise config_messages.CONFIG_REFUSED(why=config.refusal(problems), causes=causes)
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


def _inherited(source: StartSource) -> dict[str, Any]:
    run_config, live = checkpoint_run_config(source.folder), checkpoint_live_config(source.folder)
    known = config.parameters(run_config)
    return {key: value for key, value in {**run_config, **live}.items() if key in known and key not in _NOT_INHERITED}


def limits(request: TrainRequest) -> dict[str, Any]:
    """max_hours and cost_per_hour if given, validated; `none` removes a limit. Raises Refused."""
    given = {key: getattr(request, key) for key in LIMITS}
    values = config.parse_assignments(f"{key}={value}" for key, value in given.items() if value is not None)
    return {key: value for key, value in config.resolve(None, None, values)[0].items() if key in values}


def check_data(run_config: dict[str, Any]) -> None:
    """Check the data paths before anything is started. Raises Refused or NotFound."""
    find_all(run_config)
