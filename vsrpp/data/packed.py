"""Reads the frames of packed clips."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vsrpp.data import messages

Frame = NDArray[np.uint8]


def iter_raw(folder: Path) -> Iterator[Frame]:
    """Every frame of a packed clip as (H, W, 3) uint8. Raises Refused if the clip is incomplete."""
    yield from np.memmap(folder / "gt.bin", np.uint8, "r", shape=raw_shape(folder)).view(np.ndarray)


def raw_shape(folder: Path) -> tuple[int, int, int, int]:
    """(T, H, W, 3) of a packed clip's gt.bin. Raises Refused if meta.json is unreadable or the file's size differs."""
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        shape = (int(meta["frames"]), int(meta["source_height"]), int(meta["source_width"]), 3)
        complete = (folder / "gt.bin").stat().st_size == int(np.prod(shape))
    except (OSError, ValueError, KeyError, TypeError):
        complete = False
    if not complete:
        raise messages.PACK_INCOMPLETE(path=folder)
    return shape
