"""Which action is due at which step: pure functions of step and live config, with the same answer on every rank."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vsrpp.training.state import TrainingState

PATIENCE = 10
"""Steps that may be skipped in a row, for runs older than `non_finite_patience`."""


def row_due(step: int, live: Mapping[str, Any]) -> bool:
    """Whether a row of metrics is written after `step`."""
    return step % live["log_every"] == 0 or step == live["max_steps"]


def validation_due(step: int, live: Mapping[str, Any]) -> bool:
    """Whether a validation is due after `step`."""
    return step % live["validate_every"] == 0 or step == live["max_steps"]


def next_turn(step: int, live: Mapping[str, Any], control_interval: int, also: Iterable[int | None] = ()) -> int:
    """The next step at which all ranks meet; only there does rank 0 handle commands.

    These are multiples of `control_interval`, steps with a validation, the last step, and the steps in `also`.
    """
    regular = [(step // every + 1) * every for every in (control_interval, int(live["validate_every"]))]
    return min(other for other in (*regular, int(live["max_steps"]), *also) if other is not None and other > step)


def out_of_patience(state: TrainingState, run_config: Mapping[str, Any]) -> bool:
    """Whether so many steps in a row were skipped that the run must return to an earlier checkpoint."""
    return state.skipped_in_a_row >= int(run_config.get("non_finite_patience", PATIENCE))
