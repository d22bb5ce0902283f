"""What rank 0 decides between two steps, in the one form in which every rank hears it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from vsrpp.checkpoints.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One decision at a step boundary; a boundary is a few of them, and the last says how far to go on, or how to end."""

    live: dict[str, Any]
    """The live config in force from here on."""
    asked_quality: tuple[float, float] | None = None
    """(quality, sharpness) of a validation asked for at this boundary: the controller sees it with the next step."""
    go_back_to: Snapshot | None = None
    """Take on this state, data position included."""
    validate: Literal["on record", "unrecorded"] | None = None
    """Score the EMA weights now, with pictures and rows, or for the judgement of a probation alone."""
    steps_until: int | None = None
    """Make steps up to this one, then meet again; None also where there is only one process, which always looks."""
    stop: str | None = None
    """The run ends here: `finished`, `stopped`, `SIGTERM` (stopped, to be started again) or `replayed`."""

    @property
    def is_last(self) -> bool:
        return self.steps_until is not None or self.stop is not None
