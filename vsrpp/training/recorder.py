"""The trainer's pen: events and metric rows, and what is already on record when a resume walks the same steps again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from vsrpp.control import process_identity
from vsrpp.store import Event, RunWriter
from vsrpp.training.live_config import Throttle

_ONCE_A_STEP = frozenset(
    {
        "plateau_detected",
        "plateau_cleared",
        "safety_reset",
        "phase_changed",
        "validated",
        "checkpoint_saved",
        "non_finite",
    }
)
"""Events that follow from the record: on a resume they happen again, and are not written a second time."""


class Recorder:
    """Appends events and rows at the present step, branch and revision."""

    def __init__(
        self, writer: RunWriter, on_event: Callable[[Event], None], watch: Callable[[], list[tuple[str, dict[str, Any]]]]
    ) -> None:  # fmt: skip
        """`watch` gives (type, data) of what happened outside the loop; it is asked once a second and must not wait."""
        self.writer = writer
        self.step = 0
        self.branch = 0
        self.revision = 0
        self._watch = watch
        self._on_event = on_event
        self._known: set[tuple[str, int, int, str]] = set()
        self._process = process_identity()
        self._heartbeat = Throttle(0.5)
        self._faces_look = Throttle(1.0)

    def walk_again(self, events: Iterable[Event]) -> None:
        """These events are on record and will happen again: do not write them twice."""
        self._known = {_identity(event.type, event.step, event.branch, event.data) for event in events}

    def emit(
        self, type: str, *, step: int | None = None, branch: int | None = None, revision: int | None = None,
        origin: str | None = None, author: str | None = None, reason: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> Event | None:  # fmt: skip
        """Append an event and tell the faces; None if it is on record from before a restart."""
        step = self.step if step is None else step
        branch = self.branch if branch is None else branch
        if type in _ONCE_A_STEP and _identity(type, step, branch, data or {}) in self._known:
            return None
        event = self.writer.append(
            type, step=step, branch=branch, revision=self.revision if revision is None else revision, origin=origin,
            author=author, reason=reason, data=data,
        )  # fmt: skip
        self.revision = event.revision
        self._on_event(event)
        return event

    def row(self, values: Mapping[str, float], *, replace: bool = False) -> None:
        """Write metrics at the present step; what is there already stays, or with `replace` gives way if it differs."""
        self.writer.record(self.step, self.branch, values, replace=replace)

    def say_state(self, state: Mapping[str, Any], *, now: bool = False) -> None:
        """Refresh what `status` reads, twice a second at most unless `now`."""
        if self._heartbeat.due() or now:
            self.writer.set_state(
                {**state, "step": self.step, "branch": self.branch, "revision": self.revision, "process": self._process}
            )

    def look_at_faces(self) -> None:
        """Put on record what the faces and sinks say of themselves: a server lost, a face that could not start."""
        if self._faces_look.due():
            for type, data in self._watch():
                self.emit(type, data=data)


def _identity(type: str, step: int, branch: int, data: Mapping[str, Any]) -> tuple[str, int, int, str]:
    return (type, step, branch, str(data.get("phase", "")) if type == "phase_changed" else "")
