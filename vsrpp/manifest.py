"""A checkpoint's manifest: where the checkpoint belongs, and which files it consists of. Imports no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vsrpp.paths import CheckpointPaths
from vsrpp.smallfiles import read_small

FORMAT = 1
NUMBERS = ("step", "branch", "revision")


def parse(text: bytes) -> dict[str, Any]:
    """The manifest in this JSON text. Raises ValueError, saying what is wrong.

    Only `step` is required, because old checkpoints lack some of the rest; what is there has its type.
    """
    try:
        manifest = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(manifest, dict):
        raise ValueError(f"it is a {type(manifest).__name__}, not an object")
    if manifest.get("step") is None:
        raise ValueError("it has no step")
    for key in NUMBERS:
        if not isinstance(manifest.get(key, 0), int | None) or isinstance(manifest.get(key), bool):
            raise ValueError(f"its {key} is not a whole number")
    if not isinstance(manifest.get("run_id", ""), str):
        raise ValueError("its run_id is not a text")
    for key in ("chain", "files", "metrics", "versions"):
        if not isinstance(manifest.get(key, {}), dict):
            raise ValueError(f"its {key} is not an object")
    chain = manifest.get("chain", {"seq": 0, "hash": ""})
    if not isinstance(chain.get("seq"), int) or not isinstance(chain.get("hash"), str):
        raise ValueError("its chain is not a number and a hash")
    return manifest


def read(folder: CheckpointPaths) -> dict[str, Any]:
    """The manifest in a checkpoint folder. Raises OSError, or ValueError saying what is wrong."""
    return parse(read_small(folder.manifest))


def files_of(manifest: dict[str, Any], folder: CheckpointPaths) -> dict[str, str]:
    """{name: SHA-256} of a checkpoint's files. Raises ValueError unless it names every file that a checkpoint needs."""
    files = manifest.get("files")
    if not isinstance(files, dict):
        raise ValueError("it lists no files")
    for name, about in files.items():
        if Path(name).name != name or name in ("", ".", ".."):
            raise ValueError(f"it lists {name!r}, which is not a file of the folder")
        if not isinstance(about, dict) or not isinstance(about.get("sha256"), str):
            raise ValueError(f"it has no SHA-256 of {name}")
    needed = (folder.model, folder.model_ema, folder.training_state, folder.runtime_config, folder.run_config)
    missing = [path.name for path in needed if path.name not in files]
    if missing:
        raise ValueError(f"it does not list {', '.join(missing)}")
    return {name: about["sha256"] for name, about in files.items()}
