"""The table of runs on this host; a damaged run folder gets its own row and does not affect the others."""

from __future__ import annotations

import sqlite3
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vsrpp.control import messages
from vsrpp.control.best import BestCheckpoint
from vsrpp.control.edits import run_config_of
from vsrpp.control.runs import ENDED_STATES, local_runs, newer_store, run_state
from vsrpp.control.views import best_of
from vsrpp.documents import BestDocument, RemarkDocument, RunState
from vsrpp.errors import VsrppError, because
from vsrpp.paths import RunPaths
from vsrpp.store import RunReader

UNREADABLE: RunState = "unreadable"
"""The state of a run whose record cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A summary of one run."""

    run_id: str
    name: str | None = None
    state: RunState = UNREADABLE
    step: int = 0
    best: BestDocument | None = None
    """The best checkpoint."""
    started: float | None = None
    """Seconds since 1970."""
    run_dir: str
    """Absolute path."""
    error: str | None = None
    """Why the record cannot be read, and the way out; None for a healthy run."""
    because: dict[str, Any] | None = None
    """{reason_code, fields} of the error."""
    newer_store: RemarkDocument | None = None
    """What to say about a record that a newer VSR++ writes."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def runs(folder: Path) -> list[RunRow]:
    """The runs of this host: live ones first, then newest first; unreadable ones last.

    A folder with an empty record is a run about to start and is omitted.
    """
    rows = [row for paths in local_runs(folder) if (row := _row(paths)) is not None]
    return sorted(rows, key=lambda row: (row.error is not None, row.state in ENDED_STATES))


def _row(paths: RunPaths) -> RunRow | None:
    run_dir = str(paths.root.resolve())
    try:
        with RunReader(paths.run_db) as reader:
            if reader.meta("run_id") is None:
                return None
            trainer = reader.state()
            return RunRow(
                run_id=reader.run_id, name=run_config_of(reader).get("name"), state=run_state(reader, trainer),
                step=int(trainer.get("step", 0)), best=_document(best_of(reader)), started=reader.meta("created"),
                run_dir=run_dir, newer_store=newer_store(reader),
            )  # fmt: skip
    except (VsrppError, sqlite3.Error, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, sqlite3.OperationalError) and _empty(paths):
            return None
        if not isinstance(error, VsrppError):
            what = f"{type(error).__name__}: {error}"
            error = messages.RECORD_NOT_UNDERSTOOD(path=str(paths.run_db), why=what, folder=run_dir)
        told = because(error.reason_code, error.fields)
        return RunRow(run_id=paths.run_id, run_dir=run_dir, error=str(error), **told)


def _empty(paths: RunPaths) -> bool:
    try:
        return paths.run_db.stat().st_size == 0
    except OSError:
        return False


def _document(best: BestCheckpoint | None) -> BestDocument | None:
    return best.to_json() if best else None
