"""Saves frames as PNG files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Frame = NDArray[np.uint8]


class FolderWriter:
    """Saves frames as PNG files, named like the input's frames or numbered."""

    def __init__(self, folder: Path, names: tuple[str, ...] = ()) -> None:
        self._folder, self._names, self._written = folder, names, 0
        folder.mkdir(parents=True)

    def write(self, frame: Frame) -> None:
        name = self._names[self._written] if self._names else f"{self._written:08d}"
        Image.fromarray(frame).save(self._folder / f"{name}.png", compress_level=3)
        self._written += 1

    def finish(self) -> None:
        """Nothing to do; every frame is already written."""

    def close(self) -> None:
        """Nothing to close."""
