"""Repeated non-finite losses or gradients: when a run returns to a checkpoint, which one, and when it gives up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vsrpp.checkpoints.snapshot import Snapshot
from vsrpp.documents import RemarkDocument
from vsrpp.training import messages
from vsrpp.training.prepared import Prepared
from vsrpp.training.restore_points import lowered, newest_good
from vsrpp.training.state import TrainingState

ORIGIN = "non_finite"
"""Origin of the `rolled_back` events of an automatic return."""
RETURNS = 3
"""For runs older than `non_finite_returns`."""


@dataclass(frozen=True, slots=True)
class Return:
    """One automatic return to an earlier state."""

    snapshot: Snapshot
    to_seq: int
    """The newest event before that state was saved."""
    path: str | None
    """The checkpoint, relative to the run folder; None for the initial weights from the seed."""
    changes: list[dict[str, Any]]
    number: int
    """Number of this return within the run, from 1."""
    because: RemarkDocument


def find_return(run: Prepared, state: TrainingState, live: Mapping[str, Any]) -> Return:
    """The state to return to. Raises VsrppError if the run must stop: too many returns, or no state to return to.

    Without a good checkpoint that is the start, if the run began with weights from its seed. A replay never returns
    on its own: it does not repeat the steps that led to a return of the original.
    """
    skipped = {"count": state.skipped_in_a_row, "step": state.step}
    fields = {**skipped, "run": run.paths.run_id, "max_lr": f"{live['max_lr'] / 2:.2e}"}
    done = sum(event.origin == ORIGIN for event in run.writer.events(types=("rolled_back",)))
    if run.replay or done >= int(run.run_config.get("non_finite_returns", RETURNS)):
        if done:
            raise messages.NON_FINITE_AGAIN(returns=done, **fields)
        raise messages.NON_FINITE_STOP(**fields)
    good = newest_good(run.paths, run.writer, before_step=state.step - state.skipped_in_a_row)
    if good is not None:
        snapshot, manifest = good
        path: str | None = str(run.paths.checkpoint(snapshot.step).root.relative_to(run.paths.root))
        to_seq = int(manifest["chain"]["seq"])
    else:
        snapshot, to_seq = _start(run, fields)
        path = None
    changes = lowered(live, snapshot.live, snapshot.step)
    return Return(snapshot, to_seq, path, changes, done + 1, messages.RETURNED.filled(**skipped))


def _start(run: Prepared, fields: Mapping[str, Any]) -> tuple[Snapshot, int]:
    event = next(run.writer.events(types=("started",)))
    if event.data.get("parent"):
        raise messages.NO_GOOD_CHECKPOINT(**fields)
    return TrainingState(run.run_config, run.device).capture(event.data["config"]), event.seq
