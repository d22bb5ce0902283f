"""The MLflow run that a training run is uploaded to: found or created, never created twice."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vsrpp.config import format_value
from vsrpp.safe_text import redact_text
from vsrpp.tracking import environment, messages
from vsrpp.tracking.failures import SinkMissing, classify

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, RunTag

log = logging.getLogger("vsrpp.delivery")
RUN_ID_TAG = "vsrpp.run_id"
SESSION_TAG = "vsrpp.session"
"""Identifies the `vsrpp train` that created the run, so that it is found even if the server's response was lost."""
METRICS_PER_BATCH = 1000
PARAMS_PER_BATCH = 100
TAG_CHARACTERS = 8000
PARAM_CHARACTERS = 6000


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Server, experiment and run to upload to, as given to `vsrpp train`."""

    uri: str
    mlflow_run_id: str | None = None
    run_name: str | None = None
    experiment: str = "vsrpp"
    session: str = ""
    started_ms: int | None = None
    """When the run began, in ms since 1970, if it is created after its training; None: now."""


class Connection:
    """A client and the run it writes to. Every method may raise any error of the MLflow client."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.client: MlflowClient
        self.run_id = ""
        """The MLflow run ID; "" until `open` has succeeded."""
        self.experiment_id = ""
        self.made_here = False

    def connect(self) -> None:
        """Import mlflow and open the store; creating a new SQLite database takes about seven seconds."""
        if hasattr(self, "client"):
            return
        address = environment.address(self.target.uri)
        environment.prepare(address)
        from mlflow import MlflowClient

        environment.quicken_database_errors()
        environment.wait_for_uploads()
        self.client = MlflowClient(tracking_uri=address)

    def open(self, vsrpp_run_id: str | None = None, *, known: str | None = None, may_make: bool = True) -> bool:
        """Confirm the run or create it; False only if it does not exist and `may_make` is off.

        Tried in order: the ID recorded in this run folder (`known`), the ID given at the start, the run tagged with our
        run ID, a run created by this session whose response was lost, a new run.
        """
        self.connect()
        for candidate in (known, self.target.mlflow_run_id):
            if candidate and self._confirm(candidate):
                return True
        if vsrpp_run_id and self._find(RUN_ID_TAG, vsrpp_run_id):
            return True
        if self.target.session and self._find(SESSION_TAG, self.target.session):
            return True
        if not may_make:
            return False
        experiment_id = self._experiment(make=True)
        tags = {SESSION_TAG: self.target.session, "vsrpp.kind": "train"}
        if vsrpp_run_id:
            tags[RUN_ID_TAG] = vsrpp_run_id
        run = self.client.create_run(
            str(experiment_id), start_time=self.target.started_ms, run_name=self.target.run_name, tags=tags
        )
        self.run_id, self.experiment_id, self.made_here = run.info.run_id, run.info.experiment_id, True
        return True

    def discard(self) -> None:
        """Delete a run that was created for a training that never started."""
        if self.made_here:
            self.client.delete_run(self.run_id)

    def set_running(self) -> None:
        """Set the status of a resumed run back to running."""
        if self.client.get_run(self.run_id).info.status != "RUNNING":
            self.client.update_run(self.run_id, status="RUNNING")

    def _confirm(self, run_id: str) -> bool:
        from mlflow.exceptions import MlflowException

        try:
            run = self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return False
            raise
        self._require_active(run)
        self.run_id, self.experiment_id = run.info.run_id, run.info.experiment_id
        return True

    def _find(self, tag: str, value: str) -> bool:
        runs = find_runs(self.client, f"tags.`{tag}` = '{value}'")
        if not runs:
            return False
        self.run_id, self.experiment_id = runs[0].info.run_id, runs[0].info.experiment_id
        return True

    def _experiment(self, *, make: bool) -> str | None:
        from mlflow.exceptions import MlflowException

        name = self.target.experiment
        experiment = self.client.get_experiment_by_name(name)
        if experiment is None and make:
            root = environment.sqlite_artifact_root(self.target.uri)
            place = str(root / "".join(c if c.isalnum() or c in "-_." else "_" for c in name)) if root else None
            try:
                return self.client.create_experiment(name, artifact_location=place)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                experiment = self.client.get_experiment_by_name(name)  # created concurrently
        if experiment is not None and experiment.lifecycle_stage != "active":
            raise SinkMissing(messages.EXPERIMENT_DELETED.filled(name=name))
        return experiment.experiment_id if experiment is not None else None

    @staticmethod
    def _require_active(run: Any) -> None:
        if run.info.lifecycle_stage != "active":
            raise SinkMissing(messages.RUN_DELETED.filled(run=run.info.run_id))

    # ---- writing; rejected rows are isolated
    def log(
        self, *, metrics: Sequence[Metric] = (), params: Sequence[Param] = (), tags: Sequence[RunTag] = (),
    ) -> list[tuple[Any, str]]:  # fmt: skip
        """Write one batch; returns the rows that the server rejects, each with the reason. All others are written.

        One rejected param fails its whole batch, so a failed batch is split in half until the row is isolated.
        """
        try:
            self.client.log_batch(self.run_id, metrics=metrics, params=params, tags=tags)
            return []
        except Exception as error:
            failure = classify(error)
            if not failure.of_the_row:
                raise
            rows = [*metrics, *params, *tags]
            if len(rows) == 1:
                self._confirm_here()
                return [(rows[0], failure.message)]
        refused: list[tuple[Any, str]] = []
        for half in _halves(metrics):
            refused += self.log(metrics=half)
        for half in _halves(params):
            refused += self.log(params=half)
        for half in _halves(tags):
            refused += self.log(tags=half)
        return refused

    def _confirm_here(self) -> None:
        """Rule out that the row was rejected because the run is missing or deleted."""
        self._require_active(self.client.get_run(self.run_id))


def clean(text: str) -> str:
    """Text without secret addresses that every database behind a server accepts: PostgreSQL rejects NUL."""
    return redact_text(text).replace("\0", "\ufffd")


def param_text(value: Any) -> str:
    """A value as a param or tag: strings unchanged, anything else as JSON, cut at MLflow's limit."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return clean(text)[:PARAM_CHARACTERS]


def config_text(key: str, value: Any) -> str:
    """The value of `run/KEY` or `config/KEY` as a param; the plug-ins in short, because their record is long."""
    return param_text(format_value("plugins", value) if key == "run/plugins" else value)


def _halves(rows: Sequence[Any]) -> list[Sequence[Any]]:
    middle = (len(rows) + 1) // 2
    return [half for half in (rows[:middle], rows[middle:]) if half]


def find_runs(client: MlflowClient, filter_string: str, limit: int = 1000) -> list[Any]:
    """Runs of any experiment, newest first."""
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs: list[Any] = []
    token = None
    while experiments:
        page = client.search_runs(experiments, filter_string, max_results=min(limit, 1000), page_token=token)
        runs += page
        token = page.token
        if not token or len(runs) >= limit:
            break
    return runs
