"""What falls due at which step: pure functions of the step and the live config, so that every rank knows it by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vsrpp.training.state import TrainingState

PATIENCE = 10
"""Steps that may be skipped in a row, of runs from before `non_finite_patience`."""


def row_due(step: int, live: Mapping[str, Any]) -> bool:
    """Whether a row of figures is written after `step`."""
    return step % live["log_every"] == 0 or step == live["max_steps"]


def validation_due(step: int, live: Mapping[str, Any]) -> bool:
    """Whether there is a validation after `step`."""
    return step % live["validate_every"] == 0 or step == live["max_steps"]


def next_turn(step: int, live: Mapping[str, Any], control_interval: int, also: Iterable[int | None] = ()) -> int:
    """The next step at which all ranks meet: rank 0 looks for commands there, and nowhere in between.

    At multiples of `control_interval`, at every validation, at the last step, and at the steps `also`.
    """
    regular = [(step // every + 1) * every for every in (control_interval, int(live["validate_every"]))]
    return min(other for other in (*regular, int(live["max_steps"]), *also) if other is not None and other > step)


def out_of_patience(state: TrainingState, run_config: Mapping[str, Any]) -> bool:
    """Whether so many steps in a row were skipped that the run is to go back."""
    return state.skipped_in_a_row >= int(run_config.get("non_finite_patience", PATIENCE))
