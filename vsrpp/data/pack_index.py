"""The index of a packed copy: which clips it holds, what was packed, and how its files are read back."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from vsrpp.data.sources import Source
from vsrpp.errors import Refused

INDEX = "vsrpp-pack.json"
VERSION = 1
FILES = ("gt.bin", "lr.bin", "meta.json")


def read_index(root: Path) -> dict[str, Any]:
    """The index of a packed copy. Raises Refused where it is none, or of a version this one does not read."""
    file = root / INDEX
    try:
        index = json.loads(file.read_text(encoding="utf-8"))
        version = index["version"]
    except (OSError, ValueError, KeyError, TypeError):
        raise Refused(f"{file} refused: no index of a packed copy can be read from it; pack again") from None
    if version != VERSION:
        raise Refused(f"{root} refused: packed in version {version}, this reads version {VERSION}; pack again")
    assert isinstance(index, dict)
    return index


def packed_sources(root: Path, scale: int, degradation: str) -> list[Source]:
    """The clips of a packed copy.

    Packed at this scale with this degradation they are read as they lie (kind `packed`); else their ground truth alone
    counts (kind `raw`), and small frames are made of it as of any clip.
    """
    index = read_index(root)
    as_it_lies = (index["scale"], index["degradation"]) == (scale, degradation)
    return [_source(root, row, as_it_lies, degradation) for row in index["clips"]]


def _source(root: Path, row: dict[str, Any], as_it_lies: bool, degradation: str) -> Source:
    folder = root / row["folder"]
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise Refused(f"{folder / missing[0]} is missing: the packed copy {root} is not whole; pack again")
    if hashlib.sha256((folder / FILES[-1]).read_bytes()).hexdigest() != row["sha256"]:
        raise Refused(f"{folder / FILES[-1]} refused: it is not what was packed; pack again")
    return Source(
        name=row["name"],
        kind="packed" if as_it_lies else "raw",
        path=folder,
        files=tuple(folder / name for name in FILES),
        split=row["split"],
        degradation=row["degradation"] if as_it_lies else degradation,
        scored=tuple(row["scored"]),
        mirrors=row["mirrors"],
    )
