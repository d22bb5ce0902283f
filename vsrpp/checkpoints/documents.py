"""The small files of a checkpoint, checked when read: manifest, run config, live config. Imports no torch."""

from __future__ import annotations

import json
from typing import Any

from vsrpp import manifest as manifests
from vsrpp.checkpoints import messages
from vsrpp.paths import CheckpointPaths
from vsrpp.smallfiles import read_small


def read_manifest(folder: CheckpointPaths) -> dict[str, Any]:
    """A checkpoint's manifest. Raises NotFound if the folder contains no checkpoint, ProofFailed if it is damaged."""
    try:
        manifest = manifests.read(folder)
    except FileNotFoundError:
        raise messages.NO_CHECKPOINT(folder=folder.root, manifest=folder.manifest.name) from None
    except OSError as error:
        raise messages.UNREADABLE_MANIFEST(file=folder.manifest, cause=one_line(error)) from None
    except ValueError as error:
        raise messages.NOT_A_MANIFEST(file=folder.manifest, cause=error) from None
    if not manifest.get("run_id"):
        raise messages.NOT_A_MANIFEST(file=folder.manifest, cause="it has no run_id")
    return manifest


def checkpoint_run_config(folder: CheckpointPaths) -> dict[str, Any]:
    """The run config in a checkpoint. Raises Refused for anything that is not one."""
    import yaml

    try:
        loaded = yaml.safe_load(read_small(folder.run_config))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or getattr(error, "reason", None) or "not valid YAML"
        place = f" (line {mark.line + 1})" if mark else ""
        raise messages.NOT_LOADED(folder=folder.root, cause=f"{folder.run_config.name}: {what}{place}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(folder, folder.run_config.name, error) from None
    return _object(folder, folder.run_config.name, loaded)


def checkpoint_live_config(folder: CheckpointPaths) -> dict[str, Any]:
    """The live config in a checkpoint, without its revision. Raises Refused for anything that is not one."""
    try:
        loaded = json.loads(read_small(folder.runtime_config))
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(folder, folder.runtime_config.name, error) from None
    live = _object(folder, folder.runtime_config.name, loaded)
    live.pop("revision", None)
    return live


def one_line(error: Exception) -> str:
    """What an error of a damaged file says, in one line of at most 200 characters."""
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    said = error.strerror if isinstance(error, OSError) and error.strerror else " ".join(str(error).split())
    named = f"it has no {said}" if isinstance(error, KeyError) else said
    return (named or type(error).__name__)[:200].rstrip(".")


def _object(folder: CheckpointPaths, name: str, loaded: Any) -> dict[str, Any]:
    if not isinstance(loaded, dict) or not all(isinstance(key, str) for key in loaded):
        kind = "is empty" if loaded is None else f"contains a {type(loaded).__name__}, not keys with values"
        what = f"{name} {kind}"
        raise messages.NOT_LOADED(folder=folder.root, cause=what)
    return loaded


def _unreadable(folder: CheckpointPaths, name: str, error: Exception) -> Exception:
    return messages.NOT_LOADED(folder=folder.root, cause=f"{name}: {one_line(error)}")
