"""When losses or gradients stay not finite: how long a run waits, where it goes back to, and when it gives up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vsrpp.checkpoints.snapshot import Snapshot
from vsrpp.training import messages
from vsrpp.training.restore_points import lowered, newest_good
from vsrpp.training.start import Prepared
from vsrpp.training.state import TrainingState

ORIGIN = "non_finite"
"""Of the `rolled_back` events by which a run went back by itself."""
RETURNS = 3
"""Of runs from before `non_finite_returns`."""


@dataclass(frozen=True, slots=True)
class Return:
    """One going back."""

    snapshot: Snapshot
    to_seq: int
    """The newest event that state had seen."""
    path: str | None
    """The checkpoint, relative to the run folder; None for the weights drawn from the seed."""
    changes: list[dict[str, Any]]
    number: int
    """Which return of this run it is, from 1."""
    why: str


def find_return(run: Prepared, state: TrainingState, live: Mapping[str, Any]) -> Return:
    """Where the run goes back to. Raises VsrppError where it stops instead: too many returns, or nothing to go back to.

    Without a good checkpoint that is the start, if the run began with weights from its seed. A replay never goes back
    by itself: the steps that led to a return of the original are not walked again.
    """
    why = (
        f"{state.skipped_in_a_row} steps in a row had a loss or gradient that is not finite (last at step {state.step})"
    )
    done = sum(event.origin == ORIGIN for event in run.writer.events(types=("rolled_back",)))
    if run.replay or done >= int(run.run_config.get("non_finite_returns", RETURNS)):
        before = f" after {done} returns to a good state" if done else ""
        raise messages.NON_FINITE_STOP(why=why, before=before, advice=_advice(run, live))
    found = newest_good(run.paths, run.writer, before_step=state.step - state.skipped_in_a_row)
    if found is not None:
        snapshot, manifest = found
        path: str | None = str(run.paths.checkpoint(snapshot.step).root.relative_to(run.paths.root))
        to_seq = int(manifest["chain"]["seq"])
    else:
        snapshot, to_seq = _start(run, why, live)
        path = None
    return Return(snapshot, to_seq, path, lowered(live, snapshot.live), done + 1, why)


def _start(run: Prepared, why: str, live: Mapping[str, Any]) -> tuple[Snapshot, int]:
    event = next(run.writer.events(types=("started",)))
    if event.data.get("parent"):
        raise messages.NO_GOOD_CHECKPOINT(why=why, advice=_advice(run, live))
    return TrainingState(run.run_config, run.device).capture(event.data["config"]), event.seq


def _advice(run: Prepared, live: Mapping[str, Any]) -> str:
    return (
        "Look at the data, or go on from a good checkpoint with a lower rate: vsrpp train --from"
        f" {run.paths.run_id}@best --set max_lr={live['max_lr'] / 2:.2e}"
    )
