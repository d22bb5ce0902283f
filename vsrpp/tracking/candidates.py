"""The checkpoints of a run that can be restored, wherever they lie: in the run folder or on the tracking server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One checkpoint that could be restored."""

    step: int
    branch: int
    score: float | None
    """PSNR-Y, None without a validation at its step."""
    fetch: Callable[[Path], str | None]
    """Put its files into a new folder; returns the manifest's SHA-256 kept elsewhere, if one is."""
    model_id: str | None = None
    """MLflow's ID of its logged model, of one that is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateList:
    """The checkpoints of a run in one place."""

    run_id: str
    candidates: list[Candidate]
    best: int | None
    """Step of the present line's best checkpoint (a rollback leaves others behind), where the place knows it."""
    latest: int | None
    """Step of that line's newest."""
