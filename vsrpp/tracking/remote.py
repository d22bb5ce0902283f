"""Reads runs and their checkpoints from a tracking server. Imports mlflow only when called."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vsrpp.control.best import PSNR_Y, BestRule
from vsrpp.errors import VsrppError
from vsrpp.safe_text import redact
from vsrpp.tracking import environment, logged_model, messages
from vsrpp.tracking.candidates import LINE_TAG, Candidate, CandidateList, read_line_tag
from vsrpp.tracking.connection import RUN_ID_TAG, find_runs
from vsrpp.tracking.environment import address
from vsrpp.tracking.failures import classify


@contextlib.contextmanager
def reaching(uri: str) -> Iterator[Any]:
    """A client of the server at `uri`. MLflow's errors become a VsrppError with a one-line sentence."""
    database = environment.sqlite_file(uri)
    if database is not None and not database.is_file():  # opening it would create it, in seven seconds
        raise messages.NO_DATABASE(path=database)
    environment.prepare(address(uri))
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    environment.quicken_database_errors()
    try:
        yield MlflowClient(tracking_uri=address(uri))
    except VsrppError:
        raise
    except (MlflowException, OSError) as error:
        failure = classify(error)
        raise messages.SERVER_UNUSABLE(
            server=redact(uri, path=True), kind=failure.kind, cause=failure.message
        ) from error


def find_run(client: Any, run: str, uri: str) -> Any:
    """The MLflow run for our run ID, MLflow's, or a unique prefix of ours. Raises NotFound; Refused if ambiguous."""
    from mlflow.exceptions import MlflowException

    if not run or not all(letter.isalnum() or letter in "-_" for letter in run):
        raise messages.NO_RUN_ON_SERVER(run=run, server=redact(uri, path=True))
    runs = find_runs(client, f"tags.`{RUN_ID_TAG}` = '{run}'")
    if runs:
        return runs[0]
    with contextlib.suppress(MlflowException):  # not a valid ID, or no such run
        return client.get_run(run)
    matches = find_runs(client, f"tags.`{RUN_ID_TAG}` LIKE '{run}%'", limit=5)
    if len(matches) > 1:
        ids = ", ".join(match.data.tags[RUN_ID_TAG] for match in matches[:4])
        raise messages.PREFIX_OF_SEVERAL(run=run, ids=ids)
    if not matches:
        raise messages.NO_RUN_ON_SERVER(run=run, server=redact(uri, path=True))
    return matches[0]


def candidates(run: str, uri: str) -> CandidateList:
    """A run's uploaded checkpoints. Raises NotFound, Refused, or VsrppError if the server cannot be used."""
    with reaching(uri) as client:
        mlflow_run = find_run(client, run, uri)
        run_id = mlflow_run.data.tags.get(RUN_ID_TAG, mlflow_run.info.run_id)
        models = logged_model.search(client, [mlflow_run.info.experiment_id], run_id)
        ready = [model for model in models if str(getattr(model.status, "value", model.status)) == "READY"]
        tags = mlflow_run.data.tags
        key = tags.get("vsrpp.best_key") or mlflow_run.data.params.get("run/keep_best_by") or PSNR_Y
        best_by = BestRule.by(key, lower=tags.get("vsrpp.best_is") == "lowest")
        on_line = _on_line(tags, ready)
        return CandidateList(
            run_id=run_id, candidates=[_candidate(model, uri, on_line) for model in ready], best_by=best_by
        )


def _place_of(model: Any) -> tuple[int, int]:
    """(branch, step) of a logged model."""
    return int(model.tags.get(logged_model.BRANCH_TAG, 0)), int(model.tags[logged_model.STEP_TAG])


def _on_line(tags: Mapping[str, str], models: Sequence[Any]) -> Callable[[int, int], bool]:
    """Whether a (branch, step) lies on the run's current line.

    Runs uploaded before `LINE_TAG` existed name only the steps of the best and the newest checkpoint of their line.
    """
    line = read_line_tag(tags.get(LINE_TAG))
    if line is not None:
        return line.holds
    named = {int(tags[tag]) for tag in ("vsrpp.best_step", "vsrpp.checkpoint_step") if tag in tags}
    newest = {step: branch for branch, step in sorted(map(_place_of, models))}
    return lambda branch, step: not named or (step in named and newest[step] == branch)


def _candidate(model: Any, uri: str, on_line: Callable[[int, int], bool]) -> Candidate:
    branch, step = _place_of(model)
    tagged = model.tags.get(logged_model.PSNR_TAG)
    metrics = {metric.key: metric.value for metric in model.metrics or []}
    if tagged and PSNR_Y not in metrics:
        metrics[PSNR_Y] = float(tagged)
    revision = model.tags.get(logged_model.REVISION_TAG)
    return Candidate(
        step=step, branch=branch, revision=None if revision is None else int(revision), on_line=on_line(branch, step),
        metrics=metrics, fetch=downloader(model, uri), model_id=str(model.model_id),
    )  # fmt: skip


def downloader(model: Any, uri: str) -> Callable[[Path], str | None]:
    def download(target: Path) -> str | None:
        with reaching(uri), tempfile.TemporaryDirectory(prefix=f"{target.name}-", dir=target.parent) as folder:
            import mlflow

            place = f"{model.artifact_location}/{logged_model.CHECKPOINT_ARTIFACT}"
            downloaded = mlflow.artifacts.download_artifacts(
                artifact_uri=place, dst_path=folder, tracking_uri=address(uri)
            )
            shutil.move(downloaded, target)
        tag: str | None = model.tags.get(logged_model.MANIFEST_TAG)
        return tag

    return download
