"""Reads the index of a packed copy: its clips, and the scale and degradation it was packed with."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from vsrpp.data import messages
from vsrpp.data.degradation_table import identity_of
from vsrpp.data.readers import Source

INDEX = "vsrpp-pack.json"
VERSION = 1
FILES = ("gt.bin", "lr.bin", "meta.json")


def read_index(root: Path) -> dict[str, Any]:
    """The index of a packed copy. Raises Refused if it is not readable or has an unsupported version."""
    file = root / INDEX
    try:
        index = json.loads(file.read_text(encoding="utf-8"))
        version = index["version"]
    except (OSError, ValueError, KeyError, TypeError):
        raise messages.UNREADABLE_INDEX(file=file) from None
    if version != VERSION:
        raise messages.PACK_VERSION(path=root, version=version, readable=VERSION)
    assert isinstance(index, dict)
    return index


def packed_sources(root: Path, scale: int, degradation: str) -> list[Source]:
    """The clips of a packed copy. Raises Refused if the copy is incomplete or changed.

    If it was packed with this scale and degradation, its small frames are used (kind `packed`). Otherwise only its ground
    truth is used (kind `raw`) and small frames are generated from it.
    """
    index = read_index(root)
    same_settings = (index["scale"], index["degradation"]) == (scale, identity_of(degradation))
    return [_source(root, row, same_settings, degradation) for row in index["clips"]]


def _source(root: Path, row: dict[str, Any], same_settings: bool, degradation: str) -> Source:
    folder = root / row["folder"]
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise messages.PACK_FILE_MISSING(file=folder / missing[0], root=root)
    meta = (folder / FILES[-1]).read_bytes()
    if hashlib.sha256(meta).hexdigest() != row["sha256"]:
        raise messages.PACK_CHANGED(file=folder / FILES[-1])
    return Source(
        name=row["name"],
        kind="packed" if same_settings else "raw",
        path=folder,
        files=tuple(folder / name for name in FILES),
        split=row["split"],
        degradation=row["degradation"] if same_settings else degradation,
        scored=tuple(row["scored"]),
        mirrors=row["mirrors"],
        reader_version=json.loads(meta).get("reader_version", 1),
    )
