"""The result of a delivery; `vsrpp.control.backlog` counts what is pending, also for the panel and the command line."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from vsrpp.control.backlog import ARTIFACT_EVENTS, ARTIFACTS, MLFLOW, TENSORBOARD, Backlog, backlog, count, open_marks

__all__ = [
    "ARTIFACTS",
    "ARTIFACT_EVENTS",
    "MLFLOW",
    "TENSORBOARD",
    "Backlog",
    "Report",
    "backlog",
    "count",
    "open_marks",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a delivery ended."""

    delivered: bool
    """Nothing is pending."""
    rows_left: int
    artifacts_left: int
    why: str = ""
    """One line for a person; "" if everything was uploaded."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
