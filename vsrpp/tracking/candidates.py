"""The checkpoints of a run that can be restored, wherever they lie: in the run folder or on the tracking server."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vsrpp.control.best import PSNR_Y, score
from vsrpp.control.checkpoint_ref import CheckpointRef
from vsrpp.control.lineage import Lineage, LineageSegment

LINE_TAG = "vsrpp.line"
"""The segments of the run's present line, on its MLflow run: which of its checkpoints a rollback left behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One checkpoint that could be restored."""

    step: int
    branch: int
    fetch: Callable[[Path], str | None]
    """Put its files into a new folder; returns the manifest's SHA-256 kept elsewhere, if one is."""
    revision: int | None = None
    on_line: bool = True
    """Whether it leads to the run's present state."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """What its validation gave."""
    model_id: str | None = None
    """MLflow's ID of its logged model, if it is on the server."""

    def value(self, key: str) -> float | None:
        return score(self.metrics, key)


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateList:
    """The checkpoints of a run in one place."""

    run_id: str
    candidates: list[Candidate]
    best_by: str = PSNR_Y
    """The metric that `best` means for this run."""

    def choose(self, ref: CheckpointRef) -> Candidate:
        """The checkpoint meant. Raises NotFound, naming the nearest."""
        chosen: Candidate = ref.choose(self.candidates, run=self.run_id, best_by=self.best_by)
        return chosen


def line_tag(line: Lineage) -> str:
    """The present line as `LINE_TAG` holds it: [[branch, from_step, to_step or null], …]."""
    return json.dumps([[piece.branch, piece.from_step, piece.to_step] for piece in line.segments])


def read_line_tag(text: str | None) -> Lineage | None:
    """The line of `LINE_TAG`; None on a run from before it, or where somebody wrote something else."""
    try:
        pieces = json.loads(text or "")
        segments = [
            LineageSegment(branch=int(b), from_step=int(f), to_step=None if t is None else int(t)) for b, f, t in pieces
        ]
    except (ValueError, TypeError):
        return None
    return Lineage(keep_events=False, segments=segments)
