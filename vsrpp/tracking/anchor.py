"""The head of a run's chain as the tracking server has it: the one anchor that is not on the trainer's disk."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from vsrpp import paths
from vsrpp.errors import VsrppError
from vsrpp.paths import RunPaths
from vsrpp.safe_text import redact
from vsrpp.store import from_marks
from vsrpp.tracking import environment, messages, remote
from vsrpp.tracking.environment import address
from vsrpp.tracking.failures import classify
from vsrpp.tracking.record import anchor_of

TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveredRun:
    """Where a run was uploaded."""

    mlflow_run_id: str
    uri: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerHead:
    """What the tracking server answered."""

    seq: int = 0
    """0 if it has no head of this run."""
    hash: str = ""
    why: str = ""
    """Why there is none."""


def delivered(run: RunPaths) -> DeliveredRun | None:
    """Where a run was uploaded, by its own marks; None if it never was, or if they cannot be read."""
    fact = from_marks(run.delivery_db, lambda marks: marks.fact("mlflow_run"), None)
    if not isinstance(fact, dict) or not fact.get("run_id") or not fact.get("uri"):
        return None
    given = paths.tracking_uri(run.root.parent)  # the record has the address without its password
    uri = given if redact(given, path=True) == redact(str(fact["uri"]), path=True) else str(fact["uri"])
    return DeliveredRun(mlflow_run_id=str(fact["run_id"]), uri=uri)


def server_head(run: DeliveredRun, *, timeout_s: float = TIMEOUT_S) -> ServerHead:
    """Ask the server for the newest head that was uploaded; takes `timeout_s` at most, after the import of mlflow."""
    database = environment.sqlite_file(run.uri)
    if database is not None and not database.is_file():
        return ServerHead(why=messages.NO_DATABASE.sentence(path=database))
    environment.prepare(address(run.uri), timeout_s=timeout_s)
    import mlflow  # noqa: F401 - the time below is the server's

    answers: list[ServerHead] = []
    thread = threading.Thread(target=lambda: answers.append(_ask(run)), name="anchor", daemon=True)
    thread.start()
    thread.join(timeout_s)
    return answers[0] if answers else ServerHead(why=f"no answer within {timeout_s:g} s")


def _ask(run: DeliveredRun) -> ServerHead:
    try:
        with remote.reaching(run.uri) as client:
            anchors = anchor_of(client.get_run(run.mlflow_run_id).data.tags)
    except VsrppError as error:
        return ServerHead(why=str(error))
    except Exception as error:  # noqa: BLE001 - whatever the client stumbles over, the record can be checked without it
        return ServerHead(why=classify(error).message)
    if not anchors:
        return ServerHead(why=f"MLflow run {run.mlflow_run_id} has no vsrpp.chain_head")
    _, seq, hash = anchors[0]
    return ServerHead(seq=seq, hash=hash)
