"""Uses a checkout of BasicSR from scripts that compare with it; no part of it is in this project."""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vsrpp.resize import resize_u8

OPTIONAL = (
    "torchvision", "torchvision.utils", "torchvision.models", "torchvision.transforms",
    "torchvision.transforms.functional", "lmdb",
)  # fmt: skip
"""What BasicSR imports beyond what video training calls; torchvision has no CPU build for the newest torch."""


class Absent(types.ModuleType):
    """Stands in for a module that is not installed: it can be imported from, and every name in it is None."""

    __version__ = "absent"
    __path__: ClassVar[list[str]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None


def importable(checkout: Path, without_init: Iterable[str] = ("basicsr",)) -> list[str]:
    """Make `basicsr` importable; returns the names of the modules that a stand-in replaces.

    without_init: packages that are entered without their __init__, which imports all that they have.
    """
    replaced = []
    for name in OPTIONAL:
        try:
            importlib.import_module(name)
        except ImportError:
            sys.modules[name] = Absent(name)
            replaced.append(name)
    for name in without_init:
        package = types.ModuleType(name)
        package.__path__ = [str(checkout / name.replace(".", "/"))]
        sys.modules[name] = package
    sys.modules["basicsr.version"] = Absent("basicsr.version")  # written by its setup.py
    return replaced


def write_reds(root: Path, clips: dict[str, NDArray[np.uint8]], scale: int) -> None:
    """Write clips (T, H, W, 3) in REDS's layout, as PNG, with small frames by the MATLAB-compatible bicubic."""
    for name, frames in clips.items():
        for place, images in (
            ("train_sharp", frames),
            (f"train_sharp_bicubic/X{scale}", resize_u8(frames, 1 / scale)),
        ):
            (root / place / name).mkdir(parents=True)
            for number, image in enumerate(images):
                Image.fromarray(image).save(root / place / name / f"{number:08d}.png")
