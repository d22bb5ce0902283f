"""Which checkpoint going back means: only those on the line that leads to the present state can be gone back to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vsrpp import config, control
from vsrpp.checkpoints.files import load_checkpoint
from vsrpp.checkpoints.snapshot import Snapshot
from vsrpp.control import CheckpointRef, LocalCheckpoint
from vsrpp.errors import VsrppError
from vsrpp.paths import CheckpointPaths, RunPaths
from vsrpp.store import RunReader

LOWERED = ("max_lr", "min_lr")
"""What a run that goes back by itself halves, as far as the ranges let it."""


def rollback_target(paths: RunPaths, record: RunReader, payload: dict[str, Any]) -> CheckpointPaths:
    """The folder of `{"step": N | "best" | …}` or `{"revision": R}`. Raises Refused, or NotFound naming the nearest."""
    ref, best_by = CheckpointRef.of_payload(payload), control.best_key(control.run_config_of(record))
    chosen = ref.choose(_on_the_line(paths, record), run=paths.run_id, best_by=best_by)
    return CheckpointPaths(chosen.folder)


def newest_good(paths: RunPaths, record: RunReader, *, before_step: int) -> tuple[Snapshot, dict[str, Any]] | None:
    """(state, manifest) of the newest checkpoint before `before_step` from which training went on well; None without one.

    `before_step` is the last step with a finite loss and gradient: where none followed, the checkpoint itself may be
    what is wrong. One that is damaged or holds a weight that is not finite is passed over.
    """
    for saved in reversed(_on_the_line(paths, record)):
        if saved.step >= before_step:
            continue
        try:
            snapshot, manifest = load_checkpoint(CheckpointPaths(saved.folder))
        except VsrppError:
            continue
        if not snapshot.rest["skipped_in_a_row"] and all(bool(w.isfinite().all()) for w in snapshot.model.values()):
            return snapshot, manifest
    return None


def lowered(live: Mapping[str, Any], earlier: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The changes {key, old, new} from `live` to the `earlier` config with half the lower of both configs' rates.

    A rate that is at the end of its range already is among them where it is not the earlier one: whoever walks the
    record again comes from there.
    """
    wanted = {**live, **{key: value for key, value in earlier.items() if key in live}}
    ranges = config.live_parameters()
    for key in LOWERED:
        wanted[key] = max(min(live[key], wanted[key]) / 2, float(ranges[key].minimum or 0.0))
    return [
        {"key": key, "old": live[key], "new": new}
        for key, new in wanted.items()
        if new != live[key] or new != earlier.get(key, new)
    ]


def _on_the_line(paths: RunPaths, record: RunReader) -> list[LocalCheckpoint]:
    line = control.line_of(record)
    return [saved for saved in control.local_checkpoints(paths, line) if saved.on_line]
