"""`vsrpp sync`: upload pending records to the sinks, in the foreground, and set the run's end state."""

from __future__ import annotations

import os
import time
from pathlib import Path

from vsrpp.control import process_alive, run_config_of
from vsrpp.control.backlog import sink_state
from vsrpp.paths import RunPaths
from vsrpp.store import RunReader
from vsrpp.tracking import environment, messages
from vsrpp.tracking.backlog import Report
from vsrpp.tracking.connection import Connection, Target
from vsrpp.tracking.deliver import RunDelivery

PATIENCE_S = 5.0
CREDENTIALS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")


def sync(run_dir: Path, uri: str, *, timeout_s: float = 24 * 3600.0, patience_s: float = PATIENCE_S) -> Report:
    """Upload everything that is pending to the server at `uri`, then the end state.

    Works on any machine that has the run folder. A run that ended without a final event is marked dead; one that is
    still training is uploaded as far as it is and keeps its state. Rows rejected earlier are sent once more. Gives up
    once the server has been failing for `patience_s`, or after `timeout_s`.
    Raises NotFound if `run_dir` is not a run folder, Refused while another process uploads the run.
    """
    run_dir = run_dir.resolve()
    if not RunPaths(run_dir).run_db.is_file():
        raise messages.NOT_A_RUN_FOLDER(folder=run_dir)
    with RunReader(RunPaths(run_dir).run_db) as reader:
        name, created = run_config_of(reader).get("name"), reader.meta("created")
    started_ms = round(created * 1000) if created else None
    experiment, experiment_id = environment.experiment()
    connection = Connection(
        Target(
            uri=uri, run_name=name or run_dir.name, experiment=experiment, experiment_id=experiment_id,
            started_ms=started_ms,
        )
    )  # fmt: skip
    delivery = RunDelivery(run_dir, connection, tensorboard=RunPaths(run_dir).tensorboard.is_dir())
    try:
        if not delivery.lock.take():
            raise messages.BEING_UPLOADED(run=run_dir.name, holder=delivery.lock.holder())
        live = process_alive(delivery.reader.state().get("process", {}))
        state = delivery.final_state()
        if state or not live:
            delivery.end(state or "dead")
        delivery.retry_set_aside()
        why = delivery.drain(deadline=time.time() + timeout_s, patience_s=patience_s)
        denied = bool(why) and sink_state(delivery.marks)["class"] == "auth"
        return delivery.report(f"{why} ({credentials_hint()})" if denied else why)
    finally:
        delivery.close()


def credentials_hint() -> str:
    """What to do if the server denies access; the run's record contains neither user nor password."""
    missing = [name for name in CREDENTIALS if not os.environ.get(name)]
    if missing and not os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return f"the record contains no password: set {' and '.join(CREDENTIALS)} and sync again"
    return f"{' and '.join(CREDENTIALS)} are not accepted there, or may not write to this run"
