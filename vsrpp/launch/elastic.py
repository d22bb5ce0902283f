"""Which run a world has begun: a world that torchrun starts again goes on with that run, instead of beginning another.

Rank 0 notes its run in a file that the next rank 0 finds: VSRPP_ELASTIC_FILE from `vsrpp train --devices`, or, under a
plain `torchrun`, a file named after the torchrun process, which outlives its ranks.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

FILE = "VSRPP_ELASTIC_FILE"


def begun() -> Path | None:
    """The run folder that this world began before it was started again; None for a first start."""
    note = _note()
    if note is None:
        return None
    if os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0":
        if _leads():
            note.unlink(missing_ok=True)  # of an older torchrun that happened to have the same process number
        return None
    try:
        return Path(note.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def remember(run: Path) -> None:
    """Note the run that this world trains; does nothing where nobody starts worlds again."""
    note = _note()
    if note is None or not _leads():
        return
    note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = note.with_name(f"{note.name}.{os.getpid()}")
    partial.write_text(str(run), encoding="utf-8")
    partial.replace(note)


def _leads() -> bool:
    return os.environ.get("RANK", "0") == "0"


def _note() -> Path | None:
    explicit = os.environ.get(FILE)
    if explicit:
        return Path(explicit)
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    return Path(tempfile.gettempdir()) / f"vsrpp-{os.getuid()}" / f"elastic-{os.getppid()}"
