"""Connects a training to its run on the tracking server: its ID, delivery events, and what is still to be uploaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from vsrpp import control
from vsrpp.errors import NotFound, because
from vsrpp.launch import messages
from vsrpp.paths import RunPaths
from vsrpp.safe_text import redact, safe
from vsrpp.store import from_marks
from vsrpp.tracking import Delivery, Report


def found_or_rebuilt(name: str, runs: Path, uri: str, say: Callable[[str], None]) -> RunPaths:
    """The run folder, rebuilt from the tracking server if it is not on this host. Raises NotFound."""
    try:
        return control.find_run(name, runs)
    except NotFound as not_here:
        from vsrpp.tracking.rebuild import rebuild

        try:
            rebuilt = rebuild(name, uri, runs)
        except NotFound as not_there:
            raise messages.NEITHER_HERE_NOR_THERE(here=not_here, there=not_there) from None
    say(rebuilt.summary)
    return rebuilt.paths


def run_id(delivery: Delivery, uri: str, say: Callable[[str], None]) -> str | None:
    """The MLflow run's ID, which names the run; None if the server cannot be reached, in which case training starts anyway."""
    assigned = delivery.run_id()
    if assigned is None:
        say(
            f"⚠️  The tracking server at {redact(uri, path=True)} cannot be reached ({delivery.why})."
            " Training starts; everything is uploaded later."
        )
    if delivery.passed_over:
        say(
            f"⚠️  MLflow run {safe(delivery.passed_over)} (MLFLOW_RUN_ID) holds another training: this one gets its own run."
        )
    return assigned


def mlflow_run_id(folder: RunPaths) -> str | None:
    """The MLflow run that this run is uploaded to; the run's own ID if nothing else is recorded."""
    fact = from_marks(folder.delivery_db, lambda marks: marks.fact("mlflow_run"), None)
    return fact["run_id"] if isinstance(fact, dict) else folder.run_id


def news(delivery: Delivery) -> list[tuple[str, dict[str, Any]]]:
    """Events of the delivery process to record, including its death."""
    events = [(item.type, dict(item.data)) for item in delivery.news()]
    trouble = delivery.check()
    if trouble is None:
        return events
    data = {"error": trouble["message"], **because(trouble["reason_code"], trouble["fields"])}
    return [*events, ("face_failed", {"face": "delivery", **data})]


def report_lines(report: Report, run: RunPaths) -> list[str]:
    """Warnings about an upload that has ended; empty if everything was uploaded."""
    if not report.delivered:
        pending = f"{report.rows_left} rows, {report.artifacts_left} artifacts"
        return [f"⚠️  Not uploaded yet: {pending} ({report.why}). To upload them: vsrpp sync {run.root}"]
    return [f"⚠️  Uploaded, but: {report.why}"] if report.why else []
