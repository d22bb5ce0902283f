"""Which checkpoint going back means: only those on the line that leads to the present state can be gone back to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vsrpp import config, control
from vsrpp.checkpoints.files import load_checkpoint, read_manifest
from vsrpp.checkpoints.snapshot import Snapshot
from vsrpp.errors import NotFound, VsrppError
from vsrpp.paths import CheckpointPaths, RunPaths
from vsrpp.store import RunReader

LOWERED = ("max_lr", "min_lr")
"""What a run that goes back by itself halves, as far as the ranges let it."""


def rollback_target(paths: RunPaths, record: RunReader, payload: dict[str, Any], *, at_step: int) -> CheckpointPaths:
    """The folder of `{"step": N | "best"}` or `{"revision": R}`. Raises NotFound naming the nearest."""
    steps = _steps_on_the_line(paths, record)
    if not steps:
        raise NotFound(f"no checkpoint yet to go back to. Still at step {at_step}.")
    if payload.get("revision") is not None:
        wanted = _whole(payload["revision"])
        found = [s for s in steps if (control.manifest_of(paths, s) or {}).get("revision") == wanted]
        if not found:
            raise NotFound(f"no checkpoint was made at revision {wanted}; there are those of the steps {steps}.")
        return paths.checkpoint(found[-1])
    if payload.get("step") == "best":
        best = control.best_checkpoint(paths, record)
        if best is None or best["step"] not in steps:
            raise NotFound("no checkpoint that has been validated is here.")
        return paths.checkpoint(best["step"])
    wanted = _whole(payload.get("step"))
    if wanted not in steps:
        nearest = min(steps, key=lambda step: abs(step - wanted))
        raise NotFound(f"no checkpoint at step {wanted}; the nearest is {nearest}.")
    return paths.checkpoint(wanted)


def newest_good(paths: RunPaths, record: RunReader, *, before_step: int) -> tuple[Snapshot, dict[str, Any]] | None:
    """(state, manifest) of the newest checkpoint before `before_step` from which training went on well; None without one.

    `before_step` is the last step with a finite loss and gradient: where none followed, the checkpoint itself may be
    what is wrong. One that is damaged or holds a weight that is not finite is passed over.
    """
    for step in reversed(_steps_on_the_line(paths, record)):
        if step >= before_step:
            continue
        try:
            snapshot, manifest = load_checkpoint(paths.checkpoint(step))
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


def _steps_on_the_line(paths: RunPaths, record: RunReader) -> list[int]:
    line = control.lineage(record.events())
    return [
        step
        for step in control.checkpoint_steps(paths)
        if line.holds(int(read_manifest(paths.checkpoint(step))["branch"]), step)
    ]


def _whole(value: Any) -> int:
    """A step or a revision as somebody sent it. Raises NotFound for anything but a number of one."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 20:
        return int(value)
    if type(value) is not int or abs(value) >= 10**18:
        raise NotFound("no checkpoint is named: give a step, `best`, or a revision.")
    return value
