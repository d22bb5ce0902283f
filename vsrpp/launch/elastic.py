"""Remembers the run that a group of ranks trains, so that a restart by torchrun continues it instead of starting another.

Rank 0 writes the path of its run to a file that the next rank 0 reads: VSRPP_ELASTIC_FILE under `vsrpp train --devices`;
under plain `torchrun`, a file named after the torchrun process, which outlives its ranks.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

FILE = "VSRPP_ELASTIC_FILE"


def begun() -> Path | None:
    """The run folder that these ranks trained before torchrun restarted them; None on the first start."""
    note = _note()
    if note is None:
        return None
    if os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0":
        if _leads():
            note.unlink(missing_ok=True)  # from an earlier torchrun process with the same PID
        return None
    try:
        return Path(note.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def remember(run: Path) -> None:
    """Record the run that these ranks train. Does nothing if the ranks are not restarted by torchrun."""
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
