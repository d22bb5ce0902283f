"""The code that goes into every logged model, so that it upscales where VSR++ is not installed.

The networks and the two rooms they know travel under a package name of their own, made from their contents: beside an
installed `vsrpp`, of whatever version, nothing is shadowed and nothing is mistaken for it, and models of two versions
load into one process.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
FOLDER = "code"
"""MLflow's name for the folder that it puts before `sys.path` when the model is loaded."""
UPSCALER = "upscaler.py"
CARRIED = (
    "errors.py", "resize.py", "models/*.py", "inference/__init__.py", "inference/chunks.py", "inference/tiles.py",
)  # fmt: skip
_IMPORT = re.compile(r"^(\s*(?:from|import)\s+)vsrpp\b", re.MULTILINE)


@cache
def bundle() -> dict[str, str]:
    """{path inside the model: text}: `upscaler.py`, and the package it imports under `code/`."""
    files = {path.relative_to(PACKAGE).as_posix(): path for pattern in CARRIED for path in PACKAGE.glob(pattern)}
    texts = {name: path.read_text(encoding="utf-8") for name, path in sorted(files.items())}
    upscaler = Path(__file__).with_name(UPSCALER).read_text(encoding="utf-8")
    package = f"vsrpp_model_{hashlib.sha256(repr((texts, upscaler)).encode()).hexdigest()[:12]}"
    texts = {f"{FOLDER}/{package}/{name}": _renamed(text, package) for name, text in texts.items()}
    texts[f"{FOLDER}/{package}/__init__.py"] = '"""The networks of VSR++, as they were when this model was logged."""\n'
    return {**texts, UPSCALER: _renamed(upscaler, package)}


def _renamed(text: str, package: str) -> str:
    return _IMPORT.sub(rf"\g<1>{package}", text)
