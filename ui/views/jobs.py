"""What was started from the runs page, and the buttons that start it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..jobs import JobView
from ..markup import Piece, piece
from ..verbs import TRAININGS


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """A button that asks first, showing the command it runs."""

    verb: str
    run_id: str
    step: int | None
    line: str
    """The command, to be copied instead."""
    sure: str
    """The question."""
    warning: str = ""


def jobs(views: Sequence[JobView]) -> Piece | None:
    """Newest first: command, state, what came of it, last lines. Nothing where nothing was started."""
    return piece("jobs", jobs=views, trainings=TRAININGS) if views else None
