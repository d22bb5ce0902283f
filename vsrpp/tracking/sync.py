"""`vsrpp sync`: deliver what the sinks have not got yet, in the foreground, and set the run's end state."""

from __future__ import annotations

import os
import time
from pathlib import Path

from vsrpp.control import process_alive, run_config_of
from vsrpp.errors import NotFound, Refused
from vsrpp.paths import RunPaths
from vsrpp.store import RunReader
from vsrpp.tracking.backlog import Report
from vsrpp.tracking.connection import Connection, Target
from vsrpp.tracking.deliver import RunDelivery

PATIENCE_S = 5.0
CREDENTIALS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")


def sync(run_dir: Path, uri: str, *, timeout_s: float = 24 * 3600.0, patience_s: float = PATIENCE_S) -> Report:
    """Deliver everything that is missing to the server at `uri`, then the end state.

    Works on any machine that has the run folder. A run that ended without a final event is marked dead; one that still
    trains is delivered as far as it is and stays as it was. What the server refused before is tried once more. Gives up
    once the server has been silent for `patience_s`.
    Raises NotFound without a record there, Refused while another process delivers the run.
    """
    run_dir = run_dir.resolve()
    if not RunPaths(run_dir).run_db.is_file():
        raise NotFound(f"{run_dir} is no run folder (no run.db in it).")
    with RunReader(RunPaths(run_dir).run_db) as reader:
        name, created = run_config_of(reader).get("name"), reader.meta("created")
    started_ms = round(created * 1000) if created else None
    connection = Connection(Target(uri=uri, run_name=name or run_dir.name, started_ms=started_ms))
    delivery = RunDelivery(run_dir, connection, tensorboard=RunPaths(run_dir).tensorboard.is_dir())
    try:
        if not delivery.lock.take():
            holder = delivery.lock.holder()
            raise Refused(f"{run_dir.name} is being delivered by process {holder}; nothing to do here until it ends.")
        live = process_alive(delivery.reader.state().get("process", {}))
        state = delivery.final_state()
        if state or not live:
            delivery.end(state or "dead")
        delivery.retry_set_aside()
        why = delivery.drain(deadline=time.time() + timeout_s, patience_s=patience_s)
        return delivery.report(f"{why} ({credentials_hint()})" if why.startswith("auth") else why)
    finally:
        delivery.close()


def credentials_hint() -> str:
    """What to do about a server that does not let us in: the record of a run holds no password."""
    missing = [name for name in CREDENTIALS if not os.environ.get(name)]
    if missing and not os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return f"the record keeps no password: set {' and '.join(CREDENTIALS)} and sync again"
    return f"what {' and '.join(CREDENTIALS)} say is not taken there, or may not write this run"
