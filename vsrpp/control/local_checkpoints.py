"""The checkpoints in a run folder, with their entries in the record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vsrpp import manifest as manifests
from vsrpp.control.best import metrics_of, score
from vsrpp.control.lineage import Lineage
from vsrpp.paths import CheckpointPaths, RunPaths, checkpoint_step


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCheckpoint:
    """A complete checkpoint on disk."""

    folder: Path
    step: int
    branch: int
    revision: int | None
    on_line: bool
    """Whether the run's current state descends from it."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""

    def value(self, key: str) -> float | None:
        return score(self.metrics, key)


def local_checkpoints(paths: RunPaths, line: Lineage) -> list[LocalCheckpoint]:
    """All complete checkpoints of a run folder by step and branch, including abandoned ones.

    If a step was saved again on a later branch, its older files are kept under `step_…_b<branch>`.
    """
    checkpoints = []
    for folder in paths.checkpoints.iterdir() if paths.checkpoints.is_dir() else ():
        manifest = _manifest(folder)
        if manifest is None:
            continue
        step, branch = int(manifest["step"]), int(manifest.get("branch", 0))
        revision = manifest.get("revision")
        checkpoints.append(
            LocalCheckpoint(
                folder=folder, step=step, branch=branch, revision=None if revision is None else int(revision),
                on_line=line.holds(branch, step), metrics=metrics_of(line, branch, step, manifest.get("metrics")),
                reason=str(manifest.get("reason") or ""),
            )
        )  # fmt: skip
    return sorted(checkpoints, key=lambda checkpoint: (checkpoint.step, checkpoint.branch))


def _manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a checkpoint folder; None for another folder or an unreadable manifest."""
    if checkpoint_step(folder.with_name(folder.name.split("_b", 1)[0])) is None:
        return None
    try:
        return manifests.read(CheckpointPaths(folder))
    except (OSError, ValueError):
        return None
