"""Data that has another path than on record: where its parts are now, and whether it is still the same."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vsrpp.data import messages
from vsrpp.data.block import with_absolute_paths
from vsrpp.data.dataset import Data
from vsrpp.data.identity import datasets

KEYS = ("data", "val_data")
"""The keys of a run config that hold paths of data."""
_PATHS = ("path", "lq", "train", "val")
"""The keys inside a block of data that hold paths, or what holds them."""
_SAMPLE = "sample"
_MOST_DIGESTS = 256


def moved(run_config: Mapping[str, Any], path: str) -> dict[str, Any]:
    """`data` and `val_data` of a run config, for data that is now at `path`.

    If the config has several paths, `path` stands for the folder that holds all of them, or for the training data alone if
    the others are where they were. Raises NotFound if a part is in neither place.
    """
    new = str(with_absolute_paths(path))
    old = list(dict.fromkeys(_paths([run_config.get(key) for key in KEYS])))
    candidates = [{old[0]: new}] if len(old) == 1 or isinstance(run_config["data"], str) else []
    if len(old) > 1:
        base = os.path.commonpath([each for each in old if each != _SAMPLE])
        candidates.insert(0, {each: str(Path(new, os.path.relpath(each, base))) for each in old if each != _SAMPLE})
    now = next((paths for paths in candidates if all(_exists(paths.get(each, each)) for each in old)), None)
    if now is None:
        gone = next(place for each in old if not _exists(place := candidates[0].get(each, each)))
        raise messages.PART_NOT_MOVED(path=new, missing=gone)
    return {key: _replaced(run_config.get(key), now) for key in KEYS}


def _paths(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [path for key, item in value.items() if key in _PATHS for path in _paths(item)]
    return [path for item in value for path in _paths(item)] if isinstance(value, list) else []


def _replaced(value: Any, now: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return now.get(value, value)
    if isinstance(value, Mapping):
        return {key: _replaced(item, now) if key in _PATHS else item for key, item in value.items()}
    return [_replaced(item, now) for item in value] if isinstance(value, list) else value


def _exists(path: str) -> bool:
    return path == _SAMPLE or Path(path).exists()


def clip_digests(data: Data) -> dict[str, Any]:
    """For the record, to name the first clip that differs: the number of clips and a short hash of each.

    Of more than 256 clips, a hash is of several in a row.
    """
    size = _block_size(len(data.clips))
    blocks = [data.clips[first : first + size] for first in range(0, len(data.clips), size)]
    digests = [hashlib.sha256("".join(clip.identity for clip in block).encode()).hexdigest()[:8] for block in blocks]
    return {"count": len(data.clips), "digests": digests}


def difference(started: Mapping[str, Any], data: Data, run_config: Mapping[str, Any]) -> str | None:
    """How data differs from that of a run, by the data of its `started` event; None if training on it is the same."""
    then, now = started.get("datasets") or [], datasets(data, run_config)
    same_use = all(a[key] == b[key] for a, b in zip(then, now, strict=False) for key in ("digest", "samples"))
    if started.get("data_fingerprint") == data.fingerprint and same_use:
        return None
    recorded, here = started.get("data_clips"), clip_digests(data)
    if recorded is not None and recorded["count"] != here["count"]:
        return f"it has {here['count']} clips, the run's data {recorded['count']}"
    if recorded is not None and recorded["digests"] != here["digests"]:
        size = _block_size(here["count"])
        first = next(n for n, (a, b) in enumerate(zip(recorded["digests"], here["digests"], strict=True)) if a != b)
        block = data.clips[first * size : (first + 1) * size]
        return f"clip {block[0].name}{f', or one of the {len(block) - 1} after it,' if block[1:] else ''} differs"
    for a, b in zip(then, now, strict=False):
        for unit in ("clips", "frames"):
            if a[unit] != b[unit]:
                return f"it has {b[unit]} {unit} for {b['context']}, the run's data {a[unit]}"
    return "other frames of it train and validate" if same_use is False and recorded else "its files differ"


def _block_size(clips: int) -> int:
    return -(-clips // _MOST_DIGESTS) or 1
