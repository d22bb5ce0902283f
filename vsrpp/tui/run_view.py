"""What the pages draw from: the run's view with the courses of some metrics beside it. No file, no database, no widget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from vsrpp.control import RunView
from vsrpp.tui.drawing import Value


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RunSnapshot(RunView):
    """One run as it is shown."""

    trends: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    """The recent course of some metrics on the present line, oldest first."""
    curves: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    """The whole course of some metrics; read only while the page of charts is shown."""
    left_behind: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    """What turns left behind of the same metrics, each as long as its curve: None where there is nothing of it."""

    def __repr__(self) -> str:
        """Short: a traceback would spend minutes on all that is in it."""
        return f"<{self.run_id} at step {self.step}>"

    @classmethod
    def of(cls, view: RunView, **courses: Mapping[str, Sequence[Value]]) -> RunSnapshot:
        """The view with `trends`, `curves` and `left_behind`; named by its folder, which is what one types."""
        known: dict[str, Any] = {part.name: getattr(view, part.name) for part in fields(RunView)}
        return cls(**{**known, "run_id": view.root.name, **courses})
