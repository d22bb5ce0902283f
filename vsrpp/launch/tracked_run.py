"""What a training has to do with its run on the tracking server, beside the delivery process: ID, news, what is left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from vsrpp import control
from vsrpp.errors import NotFound
from vsrpp.paths import RunPaths
from vsrpp.store import Marks
from vsrpp.tracking import Delivery, Report
from vsrpp.tracking.environment import without_password


def found_or_rebuilt(name: str, runs: Path, uri: str, say: Callable[[str], None]) -> RunPaths:
    """The run folder; rebuilt from the tracking server where it is not on this host. Raises NotFound."""
    try:
        return control.find_run(name, runs)
    except NotFound as not_here:
        from vsrpp.tracking.rebuild import rebuild

        try:
            rebuilt = rebuild(name, uri, runs)
        except NotFound as not_there:
            raise NotFound(f"{not_here} {not_there}") from None
    say(rebuilt.summary)
    return rebuilt.paths


def run_id(delivery: Delivery, uri: str, say: Callable[[str], None]) -> str | None:
    """The MLflow run's ID, which names the run; None if the server cannot be had, and training starts all the same."""
    assigned = delivery.run_id()
    if assigned is None:
        say(
            f"⚠️  The tracking server at {without_password(uri)} cannot be reached ({delivery.why})."
            " Training starts; it gets everything later."
        )
    return assigned


def mlflow_run_id(folder: RunPaths) -> str | None:
    """The MLflow run that this run was delivered to; the run's own ID where nothing else is known."""
    try:
        marks = Marks(folder.delivery_db, readonly=True)
    except NotFound:
        return folder.run_id
    try:
        fact = marks.fact("mlflow_run")
        return fact["run_id"] if isinstance(fact, dict) else folder.run_id
    finally:
        marks.close()


def news(delivery: Delivery) -> list[tuple[str, dict[str, Any]]]:
    """What delivery has to put on record: events of its own, and its end if it has died."""
    events = [(item.type, dict(item.data)) for item in delivery.news()]
    trouble = delivery.check()
    return [*events, ("face_failed", {"face": "delivery", "error": trouble})] if trouble else events


def report_lines(report: Report, run: RunPaths) -> list[str]:
    """What a person should know of a delivery that has ended; nothing if all is delivered."""
    if not report.delivered:
        left = f"{report.rows_left} rows, {report.artifacts_left} artifacts"
        return [f"⚠️  Not delivered yet: {left} ({report.why}). Later: vsrpp sync {run.root}"]
    return [f"⚠️  Delivered, but: {report.why}"] if report.why else []
