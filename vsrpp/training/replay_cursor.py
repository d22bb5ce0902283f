"""Walking along the record again: after a resume, and in a replay, what was done then is done at the same step now."""

from __future__ import annotations

from collections.abc import Iterator

from vsrpp.control import ConfigHistory, Lineage
from vsrpp.control.lineage import TURNS
from vsrpp.store import Event
from vsrpp.training.recorder import RunRecorder
from vsrpp.training.state import TrainingState


class ReplayCursor:
    """The steering events of the line after the state training starts from. `over` once the record's end is reached."""

    def __init__(
        self, line: Lineage, base_seq: int, history: ConfigHistory, recorder: RunRecorder, state: TrainingState, *,
        replay: bool = False,
    ) -> None:  # fmt: skip
        """A resume does not write again what is on record; a `replay` has a record of its own."""
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
        """The step at which something acts again, or at which the record ends."""
        return _acts_at(self._ahead[0]) if self._ahead else self._last_step

    def due(self) -> Iterator[Event]:
        """The events that act at the present step, in order; give each that changes the config to `take`.

        A requested validation has acted when it is given: the controller sees its figures with the next step.
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
        """(sequence number, hash) of the newest event that the present state has seen; `head` once nothing is ahead."""
        if not self._ahead:
            return head
        before = next(self._recorder.writer.events(after_seq=self._ahead[0].seq - 2, limit=1))
        return before.seq, before.hash

    def end(self) -> None:
        """The run goes another way than the record from here."""
        self._ahead, self._last_step = [], 0

    def take(self, event: Event) -> None:
        """Let a recorded change of the config act again."""
        self._history.walk(event)
        self._recorder.revision = event.revision
        if event.type in TURNS:
            self._recorder.branch = event.branch


def _acts_at(event: Event) -> int:
    """A turn acts at the step it went back to."""
    return int(event.data["to_step"]) if event.type in TURNS else event.step
