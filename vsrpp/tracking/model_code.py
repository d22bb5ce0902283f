"""The code packaged with every logged model, so that it works where VSR++ is not installed.

The networks and the packages they import get a package name derived from their contents. So they do not conflict with
an installed `vsrpp` of any version, and models of two versions can be loaded into one process.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
FOLDER = "code"
"""MLflow's folder that is put first on `sys.path` when the model is loaded."""
UPSCALER = "upscaler.py"
CARRIED = (
    "documents.py", "errors.py", "frame_schedule.py", "resize.py", "safe_text.py", "models/*.py", "plugins/__init__.py",
    "plugins/declare.py", "plugins/importer.py", "plugins/messages.py", "plugins/registry.py", "plugins/source.py",
    "inference/__init__.py", "inference/chunks.py", "inference/tiles.py", "inference/window.py",
)  # fmt: skip
_IMPORT = re.compile(r"^(\s*(?:from|import)\s+)vsrpp\b", re.MULTILINE)


@cache
def bundle() -> dict[str, str]:
    """{path inside the model: text}: `upscaler.py`, and the package it imports, under `code/`."""
    files = {path.relative_to(PACKAGE).as_posix(): path for pattern in CARRIED for path in PACKAGE.glob(pattern)}
    texts = {name: path.read_text(encoding="utf-8") for name, path in sorted(files.items())}
    upscaler = Path(__file__).with_name(UPSCALER).read_text(encoding="utf-8")
    package = f"vsrpp_model_{hashlib.sha256(repr((texts, upscaler)).encode()).hexdigest()[:12]}"
    texts = {f"{FOLDER}/{package}/{name}": _renamed(text, package) for name, text in texts.items()}
    texts[f"{FOLDER}/{package}/__init__.py"] = '"""The networks of VSR++, as they were when this model was logged."""\n'
    return {**texts, UPSCALER: _renamed(upscaler, package)}


def _renamed(text: str, package: str) -> str:
    return _IMPORT.sub(rf"\g<1>{package}", text)
