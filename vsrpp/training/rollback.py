"""Rollback: all ranks adopt an earlier state under a new revision and branch."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

from vsrpp.checkpoints.files import load_checkpoint
from vsrpp.checkpoints.snapshot import Snapshot
from vsrpp.control import CONFIRMED
from vsrpp.errors import because
from vsrpp.paths import RunPaths
from vsrpp.store import Command, Event
from vsrpp.training import messages
from vsrpp.training.checkpoint_manager import CheckpointManager
from vsrpp.training.context import RunContext
from vsrpp.training.live_config import LiveConfig, judging
from vsrpp.training.non_finite import ORIGIN, Return
from vsrpp.training.recorder import RunRecorder
from vsrpp.training.restore_points import rollback_target
from vsrpp.training.state import check_restores
from vsrpp.training.turn import Turn


class Rollback:
    """Moves all ranks to an earlier state; the record is kept and continues. Used on rank 0 only."""

    def __init__(
        self, run: RunContext, paths: RunPaths, recorder: RunRecorder, live_config: LiveConfig,
        checkpoints: CheckpointManager,
    ) -> None:  # fmt: skip
        self._run = run
        self._paths = paths
        self._recorder = recorder
        self._live_config = live_config
        self._checkpoints = checkpoints

    def to_checkpoint(self, command: Command) -> Generator[Turn, None, Event]:
        """Roll back to a checkpoint of this run.

        Raises VsrppError if there is no such checkpoint, or if the run would end there and nobody confirmed that.
        """
        self._checkpoints.collect(wait=True)
        with judging():
            folder = rollback_target(self._paths, self._recorder.writer, command.payload)
        snapshot, manifest = load_checkpoint(folder)
        check_restores(snapshot, self._run.run_config, folder)
        if snapshot.live["max_steps"] <= snapshot.step and command.payload.get(CONFIRMED) is not True:
            raise messages.ROLLBACK_ENDS_RUN(
                run=self._paths.run_id, step=snapshot.step, max_steps=snapshot.live["max_steps"]
            )
        changes = [
            {"key": key, "old": old, "new": snapshot.live[key]}
            for key, old in self._live_config.live.items()
            if key in snapshot.live and snapshot.live[key] != old
        ]
        event = yield from self.turn_back(
            "rolled_back", snapshot, int(manifest["chain"]["seq"]), changes, origin=command.origin, author=command.author,
            reason=command.reason,
            data={"command": command.uid, "path": str(folder.root.relative_to(self._paths.root))},
        )  # fmt: skip
        self._note(event, snapshot.step)
        return event

    def by_itself(self, target: Return) -> Iterator[Turn]:
        """Too many non-finite steps in a row: return to a good state at a lower rate."""
        why = target.because
        event = yield from self.turn_back(
            "rolled_back", target.snapshot, target.to_seq, target.changes, origin=ORIGIN, author=None,
            reason=why["message"],
            data={"path": target.path, "return": target.number, **because(why["reason_code"], why["fields"])},
        )  # fmt: skip
        self._note(event, target.snapshot.step if target.path else None)

    def turn_back(
        self, type: str, snapshot: Snapshot, to_seq: int, changes: list[dict[str, Any]], *, data: dict[str, Any],
        origin: str | None, author: str | None, reason: str | None,
    ) -> Generator[Turn, None, Event]:  # fmt: skip
        """Record the rollback, then let every rank adopt the earlier state under the next revision and branch."""
        recorder = self._recorder
        event = recorder.emit(
            type, branch=recorder.branch + 1, revision=recorder.revision + 1, origin=origin, author=author,
            reason=reason,
            data={**data, "from_step": self._run.state.step, "to_step": snapshot.step, "to_seq": to_seq,
                  "from_branch": recorder.branch, "changes": changes},
        )  # fmt: skip
        assert event is not None
        self._live_config.changed(event)
        yield Turn(live=self._live_config.live, go_back_to=snapshot)
        recorder.branch = event.branch
        self._run.scored_at = None
        return event

    def _note(self, event: Event, at_checkpoint: int | None) -> None:
        self._checkpoints.went_back(at_checkpoint)
        self._recorder.row({"events/rollback": 1.0, "run/branch": float(event.branch)})
