"""Repeats recorded events after a resume and in a replay, at the steps at which they happened."""

from __future__ import annotations

from collections.abc import Iterator

from vsrpp.control import ConfigHistory, Lineage
from vsrpp.control.lineage import TURNS
from vsrpp.store import Event
from vsrpp.training.recorder import RunRecorder
from vsrpp.training.state import TrainingState


class ReplayCursor:
    """The steering events of the line after the start state. `over` once the end of the record is reached."""

    def __init__(
        self, line: Lineage, base_seq: int, history: ConfigHistory, recorder: RunRecorder, state: TrainingState, *,
        replay: bool = False,
    ) -> None:  # fmt: skip
        """A resume does not write recorded events again; a `replay` writes its own record."""
        self._ahead = line.steering(base_seq)
        self._decided = {e.data.get("command") for e in line.events if e.type == "config_confirmed"}
        self._last_step = line.last_step()
        self._history = history
        self._recorder = recorder
        self._state = state
        if not replay:
            recorder.walk_again(event for event in line.events if event.seq > base_seq)

    @property
    def over(self) -> bool:
        return not self._ahead and self._state.step >= self._last_step

    def next_step(self) -> int:
        """The next step at which a recorded event acts, or at which the record ends."""
        return _acts_at(self._ahead[0]) if self._ahead else self._last_step

    def due(self) -> Iterator[Event]:
        """Events that act at the current step, in order; pass each one that changes the config to `take`.

        A requested validation acts by being returned: the controller sees its metrics at the next step.
        """
        while self._ahead and _acts_at(self._ahead[0]) <= self._state.step:
            event = self._ahead.pop(0)
            if event.type == "validated":
                self._state.asked_quality = (event.data["quality"], event.data["sharpness"])
            yield event

    def undecided(self, event: Event) -> bool:
        """Whether this is an edit on probation that a kill left without a verdict."""
        return bool(event.data.get("probation")) and event.data.get("command") not in self._decided

    def seen(self, head: tuple[int, str]) -> tuple[int, str]:
        """(sequence number, hash) of the newest event in the current state; `head` at the end of the record."""
        if not self._ahead:
            return head
        before = next(self._recorder.writer.events(after_seq=self._ahead[0].seq - 2, limit=1))
        return before.seq, before.hash

    def end(self) -> None:
        """Stop repeating: the run departs from the record here."""
        self._ahead, self._last_step = [], 0

    def take(self, event: Event) -> None:
        """Apply a recorded config change again."""
        self._history.walk(event)
        self._recorder.revision = event.revision
        if event.type in TURNS:
            self._recorder.branch = event.branch


def _acts_at(event: Event) -> int:
    """The step at which an event acts; for a rollback, the step it returned to."""
    return int(event.data["to_step"]) if event.type in TURNS else event.step
