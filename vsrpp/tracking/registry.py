"""Checkpoints by MLflow model address, and the model registry: which checkpoint a name and alias refer to."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vsrpp.control.best import PSNR_Y
from vsrpp.control.checkpoint_ref import CheckpointRef
from vsrpp.errors import ProofFailed
from vsrpp.safe_text import redact
from vsrpp.tracking import logged_model, messages, remote, restore
from vsrpp.tracking.candidates import Candidate
from vsrpp.tracking.connection import RUN_ID_TAG
from vsrpp.tracking.pages import all_pages
from vsrpp.tracking.restore import RestoredCheckpoint

SCHEME = "models:/"
DEFAULT_NAME = "vsrpp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """The result of moving an alias to a checkpoint."""

    run_id: str
    step: int
    name: str
    version: int
    alias: str
    model_id: str
    uri: str
    """`models:/NAME@ALIAS`: accepted by `--from`, and by MLflow itself."""
    previous_version: int | None
    """The version the alias pointed to before; None if the alias is new."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def fetch(address: str, out: Path, uri: str) -> RestoredCheckpoint:
    """Download a checkpoint by its MLflow model address into the new folder `out`.

    `address`: `models:/m-…`, `models:/NAME@ALIAS` or `models:/NAME/VERSION`.
    Raises Refused for other addresses, NotFound if there is no such VSR++ checkpoint, ProofFailed if it was modified.
    """
    with remote.reaching(uri) as client:
        model = _model(client, _model_id(client, address, uri), address, uri)
    step = int(model.tags[logged_model.STEP_TAG])
    chosen = Candidate(step=step, branch=0, fetch=remote.downloader(model, uri))
    return restore.place(chosen, out, model.tags[RUN_ID_TAG], "mlflow")


def promote(run: str, ref: CheckpointRef | int | str, *, alias: str, name: str = DEFAULT_NAME, uri: str) -> Promotion:
    """Register an uploaded checkpoint of a run under `name`, unless it is registered, and point the alias to it.

    `ref` is a `CheckpointRef` or its text. The uploaded files are downloaded and verified first. Raises NotFound if the
    run or checkpoint is not on the server (naming the nearest), Refused for a name or alias that MLflow rejects,
    ProofFailed if a file was changed after the upload.
    """
    uploaded = remote.candidates(run, uri)
    chosen = uploaded.choose(ref if isinstance(ref, CheckpointRef) else CheckpointRef.parse(ref))
    assert chosen.model_id is not None
    _verify(chosen, uploaded.run_id)
    from mlflow.exceptions import MlflowException

    with remote.reaching(uri) as client:
        try:
            previous_version = _version_of(client, name, alias)
            version = _registered(client, name, chosen.model_id) or _register(client, name, uploaded.run_id, chosen)
            client.set_registered_model_alias(name, alias, str(version))
        except MlflowException as error:
            if error.error_code == "INVALID_PARAMETER_VALUE":
                cause = " ".join(str(error.message).split())
                raise messages.ALIAS_REJECTED(name=name, alias=alias, cause=cause) from None
            raise
    return Promotion(
        run_id=uploaded.run_id, step=chosen.step, name=name, version=version, alias=alias, model_id=chosen.model_id,
        uri=f"{SCHEME}{name}@{alias}", previous_version=previous_version,
    )  # fmt: skip


def _verify(chosen: Candidate, run_id: str) -> None:
    """Raises ProofFailed, with the run ID and step among its fields, if an uploaded file does not match its manifest."""
    with tempfile.TemporaryDirectory(prefix="vsrpp-promote-") as folder:
        try:
            restore.place(chosen, Path(folder) / "checkpoint", run_id, "mlflow", holds=messages.ALIAS_NOT_MOVED)
        except ProofFailed as error:
            error.fields |= {"run_id": run_id, "step": chosen.step}
            raise


def _register(client: Any, name: str, run_id: str, chosen: Candidate) -> int:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    model = client.get_logged_model(chosen.model_id)
    tags = {RUN_ID_TAG: run_id, logged_model.STEP_TAG: str(chosen.step), logged_model.BRANCH_TAG: str(chosen.branch)}
    psnr_y = chosen.value(PSNR_Y)
    if psnr_y is not None:
        tags[logged_model.PSNR_TAG] = repr(psnr_y)
    version = client.create_model_version(
        name, source=f"{SCHEME}{chosen.model_id}", run_id=model.source_run_id, tags=tags, model_id=chosen.model_id,
        description=f"VSR++ run {run_id}, step {chosen.step}",
    )  # fmt: skip
    return int(version.version)


def _registered(client: Any, name: str, model_id: str) -> int | None:
    """The version under which a checkpoint is already registered, so that promoting twice creates only one."""
    versions = all_pages(client.search_model_versions, f"name = '{name}'")
    same = [int(version.version) for version in versions if _of_version(version) == model_id]
    return max(same, default=None)


def _version_of(client: Any, name: str, alias: str) -> int | None:
    from mlflow.exceptions import MlflowException

    try:
        return int(client.get_model_version_by_alias(name, alias).version)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):  # the name or the alias is new
            return None
        raise


def _of_version(version: Any) -> str | None:
    """The logged model behind a registered version."""
    source = str(version.source or "")
    return version.model_id or (source.removeprefix(SCHEME) if source.startswith(f"{SCHEME}m-") else None)


def _model_id(client: Any, address: str, uri: str) -> str:
    from mlflow.exceptions import MlflowException

    rest = address.removeprefix(SCHEME).strip("/")
    name, at, alias = rest.partition("@")
    if not at:
        name, slash, number = rest.partition("/")
        if not slash and rest.startswith("m-"):
            return rest
        if not number.isdigit():
            raise messages.MODEL_ADDRESS(address=address)
    try:
        version = client.get_model_version_by_alias(name, alias) if at else client.get_model_version(name, number)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise messages.NO_MODEL(address=address, server=redact(uri, path=True)) from None
        raise
    model_id = _of_version(version)
    if model_id is None:
        raise messages.REGISTERED_FROM_ELSEWHERE(address=address, source=version.source)
    return model_id


def _model(client: Any, model_id: str, address: str, uri: str) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        model = client.get_logged_model(model_id)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise messages.NO_MODEL(address=address, server=redact(uri, path=True)) from None
        raise
    if logged_model.STEP_TAG not in model.tags or RUN_ID_TAG not in model.tags:
        raise messages.NOT_OUR_MODEL(address=address)
    return model
