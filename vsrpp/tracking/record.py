"""A run's record read from the tracking server alone: events from the timeline, rows from the metric histories."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vsrpp.control.checkpoint_ref import CheckpointRef
from vsrpp.control.lineage import TURNS, turned_to
from vsrpp.paths import CheckpointPaths
from vsrpp.store import Event, verify_chain
from vsrpp.tracking import evaluated, messages, remote, restore
from vsrpp.tracking.connection import CHAIN_HEAD_TAG, CHAIN_SEQ_TAG, RUN_ID_TAG
from vsrpp.tracking.report import TIMELINE

BRANCH_KEY = "run/branch"
SIGNATURES = "signatures.json"
"""Artifact beside the timeline, only of signed runs: {sequence number: signature in hex}."""
LARGEST = 1.7976931348623157e308
"""MLflow's stores replace infinity with the largest double."""


@dataclass(frozen=True, slots=True)
class ServerRow:
    """One value from the server, with the branch that produced it."""

    key: str
    branch: int
    step: int
    time_ms: int
    value: float


def fetch(
    run: str, uri: str, start_folder: Path, keys: tuple[str, ...] = ("",)
) -> tuple[str, list[Event], dict[tuple[int, int, str], float], CheckpointPaths | None]:
    """(run ID, events, {(branch, step, key): value}, the checkpoint it was started from) of a run, without its folder.

    `keys`: prefixes of the wanted metrics. If the run continued another one, its start checkpoint is downloaded into
    `start_folder`. Raises NotFound without such a run, timeline or start; ProofFailed if the event chain is broken.
    """
    with remote.reaching(uri) as client:
        mlflow_run = remote.find_run(client, run, uri)
        events = events_of(client, mlflow_run)
        rows = {(row.branch, row.step, row.key): row.value for row in rows_of(client, mlflow_run, events, keys)}
    run_id = mlflow_run.data.tags[RUN_ID_TAG]
    start = None
    if events[0].data.get("parent"):
        chosen = remote.candidates(mlflow_run.info.run_id, uri).choose(CheckpointRef.parse(events[0].step))
        start = CheckpointPaths(restore.place(chosen, start_folder, run_id, "mlflow").path)
    return run_id, events, rows, start


def events_of(client: Any, run: Any) -> list[Event]:
    """All uploaded events, oldest first, with their chain verified. Raises NotFound, ProofFailed."""
    run_id = run.data.tags.get(RUN_ID_TAG)
    with tempfile.TemporaryDirectory(prefix="vsrpp-record-") as folder:
        text = None
        if run_id is not None and TIMELINE in {file.path for file in client.list_artifacts(run.info.run_id)}:
            text = Path(client.download_artifacts(run.info.run_id, TIMELINE, folder)).read_text(encoding="utf-8")
    if not text:
        raise messages.NO_TIMELINE(mlflow_run=run.info.run_id, file=TIMELINE)
    try:
        events = [Event(**json.loads(line)) for line in text.split("\n") if line]
    except (ValueError, TypeError) as error:
        raise messages.TIMELINE_UNREADABLE(file=TIMELINE, run=run_id, cause=error) from None
    verdict = verify_chain(events, run_id, anchor_of(run.data.tags))
    if not verdict.ok:
        raise messages.RECORD_BROKEN(run=run_id, why=verdict.why)
    return events


def write_signatures(signatures: Mapping[int, bytes], folder: Path) -> None:
    """Write the signatures of a signed run's events beside its timeline."""
    if signatures:
        text = json.dumps({str(seq): signature.hex() for seq, signature in signatures.items()})
        (folder / SIGNATURES).write_text(text, encoding="utf-8")


def signatures_of(client: Any, run: Any) -> dict[int, bytes]:
    """The uploaded signatures of its events; {} if there are none, or none that can be read."""
    if SIGNATURES not in {file.path for file in client.list_artifacts(run.info.run_id)}:
        return {}
    with tempfile.TemporaryDirectory(prefix="vsrpp-record-") as folder, contextlib.suppress(ValueError, AttributeError):
        text = Path(client.download_artifacts(run.info.run_id, SIGNATURES, folder)).read_text(encoding="utf-8")
        return {int(seq): bytes.fromhex(signature) for seq, signature in json.loads(text).items()}
    return {}


def rows_of(client: Any, run: Any, events: list[Event], keys: tuple[str, ...] = ("",)) -> Iterator[ServerRow]:
    """The rows of metrics whose names start with one of `keys`; per metric, oldest first."""
    branches = _Branches(events, client.get_metric_history(run.info.run_id, BRANCH_KEY))
    for key in sorted(run.data.metrics):
        if not key.startswith(keys) or key.startswith(evaluated.PREFIX):
            continue
        history = client.get_metric_history(run.info.run_id, key)
        for metric in sorted(history, key=lambda metric: (metric.timestamp, metric.step)):
            branch = branches.of(metric.step, metric.timestamp)
            yield ServerRow(key, branch, metric.step, metric.timestamp, _unclamped(metric.value))


class _Branches:
    """Finds the branch of a row, because MLflow keeps only step and time.

    A training row has a branch row at the same step and time. Any other row is placed by its time.
    """

    def __init__(self, events: Iterable[Event], beside: Iterable[Any]) -> None:
        self._beside = {(metric.step, metric.timestamp): int(metric.value) for metric in beside}
        self._turns = [event for event in events if event.type in TURNS][::-1]

    def of(self, step: int, time_ms: int) -> int:
        branch = self._beside.get((step, time_ms))
        if branch is not None:
            return branch
        return next((turn.branch for turn in self._turns if _after(turn, step, time_ms)), 0)


def _after(turn: Event, step: int, time_ms: int) -> bool:
    """Whether a row was made after a branch change; within the same millisecond, a row of the old step came before."""
    turned_ms, to_step = round(turn.time * 1000), turned_to(turn)
    if step < to_step:
        return False
    left = step == turn.data.get("from_step") and step > to_step
    return time_ms > turned_ms or (time_ms == turned_ms and not left)


def anchor_of(tags: dict[str, str]) -> list[tuple[str, int, str]]:
    with contextlib.suppress(KeyError, ValueError):
        return [("the MLflow run", int(tags[CHAIN_SEQ_TAG]), tags[CHAIN_HEAD_TAG])]
    return []


def _unclamped(value: float) -> float:
    return float("inf") * value if abs(value) >= LARGEST else value
