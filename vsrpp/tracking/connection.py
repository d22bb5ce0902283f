"""The MLflow run that a training run is uploaded to: found or created, never created twice."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from vsrpp.config import format_value
from vsrpp.safe_text import redact_text
from vsrpp.tracking import environment, messages
from vsrpp.tracking.failures import SinkMissing, classify
from vsrpp.tracking.pages import all_pages

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, RunTag

log = logging.getLogger("vsrpp.delivery")
RUN_ID_TAG = "vsrpp.run_id"
CHAIN_SEQ_TAG, CHAIN_HEAD_TAG = "vsrpp.chain_seq", "vsrpp.chain_head"
"""How many events the timeline there has, and the hash of the last one."""
SESSION_TAG = "vsrpp.session"
"""Identifies the `vsrpp train` that created the run, so that it is found even if the server's response was lost."""
METRICS_PER_BATCH = 1000
PARAMS_PER_BATCH = 100
EXPERIMENTS_PER_SEARCH = 500
TAG_CHARACTERS = 8000
PARAM_CHARACTERS = 6000


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Server, experiment and run to upload to, as given to `vsrpp train`."""

    uri: str
    mlflow_run_id: str | None = None
    is_ours: bool = True
    """Whether `mlflow_run_id` is known to be this training's; if not, it is used only if nothing was written to it."""
    run_name: str | None = None
    experiment: str | None = None
    """Name; None: that of `experiment_id`, or else `vsrpp`."""
    experiment_id: str | None = None
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
        self.tags: dict[str, str] = {}
        """Of the run, as they were when it was confirmed; empty for a new one."""
        self.made_here = False
        self.passed_over = ""
        """A given run that holds something else, so that it is not used."""

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

        Tried in order: the ID recorded in this run folder (`known`), the ID given at the start if that run is ours or
        unused, the run tagged with our run ID, a run created by this session whose response was lost, a new run. If the
        given run holds something else, a new one is made even if `may_make` is off.
        """
        self.connect()
        if known and self._confirm(known):
            return True
        given = self.target.mlflow_run_id
        if given and self._confirm(given):
            if self.target.is_ours or self._is_free(vsrpp_run_id):
                return True
            self.passed_over, self.run_id, self.experiment_id, self.tags = given, "", "", {}
            may_make = True
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
        self._use(run)
        return True

    def _is_free(self, vsrpp_run_id: str | None) -> bool:
        """Whether the confirmed run is this training's, or was only created, as by `mlflow run`."""
        run = self.client.get_run(self.run_id)
        owner = run.data.tags.get(RUN_ID_TAG)
        if owner is not None or SESSION_TAG in run.data.tags:
            return owner == (vsrpp_run_id or "") or run.data.tags.get(SESSION_TAG) == self.target.session
        entered = "mlflow.project.entryPoint" in run.data.tags  # `mlflow run` records the parameters itself
        return run.info.status in ("RUNNING", "SCHEDULED") and not run.data.metrics and (entered or not run.data.params)

    def _find(self, tag: str, value: str) -> bool:
        first = None
        with suppress(SinkMissing):
            first = self._experiment(make=False)
        runs = find_runs(self.client, f"tags.`{tag}` = '{value}'", 1, first=first)
        if not runs:
            return False
        self._use(runs[0])
        return True

    def _use(self, run: Any) -> None:
        self.run_id, self.experiment_id, self.tags = run.info.run_id, run.info.experiment_id, dict(run.data.tags)

    def _experiment(self, *, make: bool) -> str | None:
        from mlflow.exceptions import MlflowException

        if self.target.experiment is None and self.target.experiment_id is not None:
            experiment = self._experiment_by_id(self.target.experiment_id)
            name = experiment.name
        else:
            name = self.target.experiment or "vsrpp"
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

    def _experiment_by_id(self, experiment_id: str) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_experiment(experiment_id)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise SinkMissing(messages.NO_EXPERIMENT.filled(id=experiment_id)) from None
            raise

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


def find_runs(
    client: MlflowClient, filter_string: str, limit: int | None = None, *, first: str | None = None
) -> list[Any]:  # fmt: skip
    """Runs of any experiment, newest first; at most `limit`. first: the ID of the experiment that is asked before others."""
    search = partial(all_pages, client.search_runs, filter_string=filter_string, limit=limit)
    if limit is not None:
        search = partial(search, max_results=min(limit, 1000))
    if first is not None and limit is not None and len(found := search([first])) == limit:
        return found
    experiments = [experiment.experiment_id for experiment in all_pages(client.search_experiments)]
    runs: list[Any] = []
    for start in range(0, len(experiments), EXPERIMENTS_PER_SEARCH):
        runs += search(experiments[start : start + EXPERIMENTS_PER_SEARCH])
    return sorted(runs, key=lambda run: run.info.start_time or 0, reverse=True)[:limit]
