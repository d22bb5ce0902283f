"""The checkpoints of a run that can be restored, from the run folder or the tracking server."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vsrpp.control.best import BestRule, score
from vsrpp.control.checkpoint_ref import CheckpointRef
from vsrpp.control.lineage import Lineage, LineageSegment

LINE_TAG = "vsrpp.line"
"""Tag on the MLflow run: the segments of its current line. Checkpoints off the line were abandoned by a rollback."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One restorable checkpoint."""

    step: int
    branch: int
    fetch: Callable[[Path], str | None]
    """Copies or downloads the files into a new folder; returns the manifest's SHA-256 if it is recorded elsewhere."""
    revision: int | None = None
    on_line: bool = True
    """Whether the run's current state descends from it."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Its validation results."""
    model_id: str | None = None
    """MLflow's ID of its logged model, if it is on the server."""

    def value(self, key: str) -> float | None:
        return score(self.metrics, key)


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateList:
    """The checkpoints of a run in one location."""

    run_id: str
    candidates: list[Candidate]
    best_by: BestRule = field(default_factory=BestRule)
    """The metric that `best` refers to for this run."""

    def choose(self, ref: CheckpointRef) -> Candidate:
        """The checkpoint that `ref` names. Raises NotFound, naming the nearest."""
        chosen: Candidate = ref.choose(self.candidates, run=self.run_id, best_by=self.best_by)
        return chosen


def line_tag(line: Lineage) -> str:
    """The run's current line as the text of `LINE_TAG`: [[branch, from_step, to_step or null], …]."""
    return json.dumps([[piece.branch, piece.from_step, piece.to_step] for piece in line.segments])


def read_line_tag(text: str | None) -> Lineage | None:
    """Parse the text of `LINE_TAG`; None if it is missing (older runs) or not valid."""
    try:
        pieces = json.loads(text or "")
        segments = [
            LineageSegment(branch=int(b), from_step=int(f), to_step=None if t is None else int(t)) for b, f, t in pieces
        ]
    except (ValueError, TypeError):
        return None
    return Lineage(keep_events=False, segments=segments)
