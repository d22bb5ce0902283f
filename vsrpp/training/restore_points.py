"""Which checkpoint a rollback uses: only those on the line to the current state are eligible."""

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
"""Rates that an automatic return halves, within their ranges."""


def rollback_target(paths: RunPaths, record: RunReader, payload: dict[str, Any]) -> CheckpointPaths:
    """The checkpoint folder for `{"step": N | "best" | …}` or `{"revision": R}`.

    Raises Refused for an invalid payload, NotFound naming the nearest checkpoint.
    """
    ref, best_by = CheckpointRef.of_payload(payload), control.BestRule.of(control.run_config_of(record))
    chosen = ref.choose(_on_the_line(paths, record), run=paths.run_id, best_by=best_by)
    return CheckpointPaths(chosen.folder)


def newest_good(paths: RunPaths, record: RunReader, *, before_step: int) -> tuple[Snapshot, dict[str, Any]] | None:
    """(state, manifest) of the newest checkpoint before `before_step` with good steps after it; None without one.

    `before_step` is the last step with a finite loss and gradient: if no such step followed, the checkpoint itself may
    be the cause. Damaged checkpoints, and those with a non-finite weight, are skipped.
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


def lowered(live: Mapping[str, Any], earlier: Mapping[str, Any], step: int) -> list[dict[str, Any]]:
    """Changes {key, old, new} from `live` to the `earlier` config, with rates of half the lower one of both configs.

    `max_steps` stays as it is in `live` if the run would otherwise end at `step`, where it returns to. A rate that is
    already at its lower limit is listed if it differs from the earlier one, because a replay of the record starts from
    there.
    """
    wanted = {**live, **{key: value for key, value in earlier.items() if key in live}}
    if wanted["max_steps"] <= step:
        wanted["max_steps"] = live["max_steps"]
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
