"""The decisions of rank 0 between two steps, as broadcast to every rank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from vsrpp.checkpoints.snapshot import Snapshot
from vsrpp.data.unreadable import BadFrames


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One decision at a step boundary; the last one at a boundary says how far to continue, or how to end."""

    live: dict[str, Any]
    """The live config from here on."""
    asked_quality: tuple[float, float] | None = None
    """(quality, sharpness) of a validation requested at this boundary; the controller sees it at the next step."""
    go_back_to: Snapshot | None = None
    """Adopt this state, including its data position."""
    bad_frames: BadFrames | None = None
    """The frames on record as unreadable have changed: discard what was loaded ahead."""
    validate: Literal["on record", "unrecorded"] | None = None
    """Score the EMA weights now: with pictures and rows, or only to judge a probation."""
    steps_until: int | None = None
    """Train up to this step, then meet again; None also for a single process, which checks after every step."""
    stop: str | None = None
    """The run ends here: `finished`, `stopped`, `SIGTERM` (stopped by it, SIGHUP or SIGUSR1, to be restarted) or `replayed`."""

    @property
    def is_last(self) -> bool:
        return self.steps_until is not None or self.stop is not None
