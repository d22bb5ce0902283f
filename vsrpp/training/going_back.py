"""Which checkpoint a rollback means: only those on the line that leads to the present state can be gone back to."""

from __future__ import annotations

from typing import Any

from vsrpp import control
from vsrpp.errors import NotFound
from vsrpp.paths import CheckpointPaths, RunPaths
from vsrpp.store import RunReader
from vsrpp.training.checkpoint import read_manifest


def rollback_target(paths: RunPaths, record: RunReader, payload: dict[str, Any], *, at_step: int) -> CheckpointPaths:
    """The folder of `{"step": N | "best"}` or `{"revision": R}`. Raises NotFound naming the nearest."""
    line = control.lineage(record.events())
    steps = [
        step
        for step in control.checkpoint_steps(paths)
        if line.holds(int(read_manifest(paths.checkpoint(step))["branch"]), step)
    ]
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


def _whole(value: Any) -> int:
    """A step or a revision as somebody sent it. Raises NotFound for anything but a number of one."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 20:
        return int(value)
    if type(value) is not int or abs(value) >= 10**18:
        raise NotFound("no checkpoint is named: give a step, `best`, or a revision.")
    return value
