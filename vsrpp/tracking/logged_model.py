"""A checkpoint as a logged model in MLflow: its files, its config as params, and a pyfunc that upscales frames."""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from vsrpp import manifest as manifests
from vsrpp.control.best import PSNR_Y, score
from vsrpp.paths import CheckpointPaths, RunPaths
from vsrpp.store import Event
from vsrpp.tracking import model_code
from vsrpp.tracking.connection import RUN_ID_TAG, Connection, config_text
from vsrpp.tracking.pages import all_pages

log = logging.getLogger("vsrpp.delivery")
CHECKPOINT_ARTIFACT = "artifacts/checkpoint"
"""Folder of the checkpoint's files inside the logged model."""
BRANCH_TAG, STEP_TAG, REVISION_TAG = "vsrpp.branch", "vsrpp.step", "vsrpp.revision"
PSNR_TAG, MANIFEST_TAG = "vsrpp.psnr_y", "vsrpp.manifest_sha256"
PACKAGES = ("torch", "safetensors", "numpy", "PyYAML", "mlflow")
MAX_PARAM_CHARACTERS = 500
UPSCALE_PARAMS = {"chunk_frames": 16, "overlap": 8, "tile": 256}
"""The window of `vsrpp upscale`, as the model's signature states it."""


def folder_of(paths: RunPaths, event: Event) -> CheckpointPaths | None:
    """The checkpoint's folder, even if a later branch saved the same step; None if it no longer exists."""
    named = paths.root / str(event.data.get("path") or paths.checkpoint(event.step).root.relative_to(paths.root))
    for folder in (CheckpointPaths(named), CheckpointPaths(named.with_name(f"{named.name}_b{event.branch}"))):
        try:
            manifest = manifests.read(folder)
        except (OSError, ValueError):
            continue
        if (manifest.get("step"), manifest.get("branch", 0)) == (event.step, event.branch):
            return folder
    return None


def upload(
    connection: Connection, folder: CheckpointPaths, event: Event, *, run_id: str, run_config: dict[str, Any]
) -> tuple[Any, int]:
    """Create the logged model (or reuse an unfinished one), upload, finalize. Returns (the model, size in bytes).

    Idempotent: the model is found by its tags, and its files are overwritten with the same bytes.
    """
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus

    client = connection.client
    model = find_one(connection, run_id, event.step, event.branch)
    if model is None:
        model = client.create_logged_model(
            connection.experiment_id,
            name=f"step_{event.step:07d}" + (f"_b{event.branch}" if event.branch else ""),
            source_run_id=connection.run_id,
            tags=_tags(run_id, event, folder),
            params=_params(event, folder, run_config),
            model_type="vsrpp",
        )
    if model.status != LoggedModelStatus.READY:
        with tempfile.TemporaryDirectory(prefix="vsrpp-") as scratch:
            _write_skeleton(Path(scratch), model.model_id, connection.run_id)
            client.log_model_artifacts(model.model_id, scratch)
        client.log_model_artifacts(model.model_id, str(folder.root), CHECKPOINT_ARTIFACT)
        client.log_outputs(connection.run_id, [LoggedModelOutput(model.model_id, event.step)])  # lists it with the run
        client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    return model, sum(path.stat().st_size for path in folder.root.iterdir() if path.is_file())


def find_one(connection: Connection, run_id: str, step: int, branch: int) -> Any | None:
    """The model of one checkpoint. If lost responses led to duplicates, the oldest is kept and the others deleted."""
    conditions = f" AND tags.`{STEP_TAG}` = '{step}' AND tags.`{BRANCH_TAG}` = '{branch}'"
    models = search(connection.client, [connection.experiment_id], run_id, conditions)
    models.sort(key=lambda model: (model.creation_timestamp, model.model_id))
    for surplus in models[1:]:
        log.warning("logged model %s is a duplicate; deleted", surplus.model_id)
        connection.client.delete_logged_model(surplus.model_id)
    return models[0] if models else None


def search(client: Any, experiment_ids: list[str], run_id: str, extra: str = "") -> list[Any]:
    """All logged models of a run, by our run ID."""
    return all_pages(
        client.search_logged_models, experiment_ids, filter_string=f"tags.`{RUN_ID_TAG}` = '{run_id}'{extra}"
    )


def _tags(run_id: str, event: Event, folder: CheckpointPaths) -> dict[str, str]:
    tags = {
        RUN_ID_TAG: run_id,
        STEP_TAG: str(event.step),
        BRANCH_TAG: str(event.branch),
        REVISION_TAG: str(event.data.get("revision", event.revision)),
        "vsrpp.reason": str(event.data.get("reason") or ""),
        MANIFEST_TAG: hashlib.sha256(folder.manifest.read_bytes()).hexdigest(),
    }
    psnr_y = score(event.data.get("metrics"), PSNR_Y)
    return tags if psnr_y is None else {**tags, PSNR_TAG: repr(psnr_y)}


def _params(event: Event, folder: CheckpointPaths, run_config: dict[str, Any]) -> dict[str, str]:
    """The config that produced the checkpoint, for the model table of MLflow's UI."""
    live = json.loads(folder.runtime_config.read_text(encoding="utf-8"))
    live.pop("revision", None)
    values = {f"config/{key}": value for key, value in live.items()}
    values |= {f"run/{key}": value for key, value in run_config.items()}
    values |= {"step": event.step, "branch": event.branch, "revision": event.data.get("revision", event.revision)}
    return {key: config_text(key, value)[:MAX_PARAM_CHARACTERS] for key, value in values.items()}


def _write_skeleton(target: Path, model_id: str, mlflow_run_id: str) -> None:
    """Write the files that turn a folder of weights into a model: MLmodel, pyfunc code, requirements, signature."""
    import yaml

    for name, content in skeleton().items():
        if name == "MLmodel":
            spec = yaml.safe_load(content)
            spec |= {"model_id": model_id, "run_id": mlflow_run_id}
            content = yaml.safe_dump(spec, sort_keys=False).encode()
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


@cache
def skeleton() -> dict[str, bytes]:
    """The files that all checkpoints share, except for two IDs in MLmodel. Takes 0.8 s once; imports no torch."""
    import warnings

    import mlflow
    import numpy as np
    import yaml
    from mlflow.models import ModelSignature
    from mlflow.types import ParamSchema, ParamSpec, Schema, TensorSpec

    frames = Schema([TensorSpec(np.dtype("uint8"), (-1, -1, -1, 3))])
    params = ParamSchema([ParamSpec(name, "long", default) for name, default in UPSCALE_PARAMS.items()])
    requirements = [f"{name}=={metadata.version(name).split('+')[0]}" for name in PACKAGES]
    with tempfile.TemporaryDirectory(prefix="vsrpp-") as parent, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        target, upscaler = Path(parent) / "model", Path(parent) / model_code.UPSCALER
        upscaler.write_text(model_code.bundle()[model_code.UPSCALER], encoding="utf-8")
        mlflow.pyfunc.save_model(
            str(target),
            python_model=str(upscaler),
            signature=ModelSignature(inputs=frames, outputs=frames, params=params),
            pip_requirements=requirements,
        )
        files = {path.name: path.read_bytes() for path in target.iterdir() if path.is_file()}
    spec = yaml.safe_load(files["MLmodel"])
    flavor = spec["flavors"]["python_function"]
    flavor["model_code_path"] = model_code.UPSCALER  # not a path on this machine
    flavor["code"] = model_code.FOLDER
    flavor["artifacts"] = {"checkpoint": {"path": CHECKPOINT_ARTIFACT, "uri": CHECKPOINT_ARTIFACT}}
    files["MLmodel"] = yaml.safe_dump(spec, sort_keys=False).encode()
    return files | {name: text.encode() for name, text in model_code.bundle().items()}
