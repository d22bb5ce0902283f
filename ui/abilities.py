"""What `control` and the command line can do at this moment: no button is shown for what nobody answers."""

from __future__ import annotations

import importlib.util
import inspect
from functools import cache

from vsrpp import control, paths

VERBS = ("train", "runs", "status", "config", "set", "history", "restore", "replay", "promote", "compare", "rollback")


@cache
def probation() -> bool:
    """Whether an edit may be applied on probation."""
    return "probation" in inspect.signature(control.apply).parameters


@cache
def verbs() -> tuple[str, ...]:
    """The commands of `vsrpp` that are there, read from its command line's own table of modules."""
    folder = paths.ui_dir().parent / "vsrpp" / "cli"
    spec = importlib.util.find_spec("vsrpp.cli")
    if spec is not None and spec.origin is not None:
        from pathlib import Path

        folder = Path(spec.origin).parent
    sources = "\n".join(file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.py")))
    return tuple(verb for verb in VERBS if f'"{verb}"' in sources)
