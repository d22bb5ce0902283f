"""Exported files in MLflow: an artifact of the run with its report, a line on the checkpoint's model, and a model of their own.

MLflow has a flavour for ONNX files. For TorchScript and torch.export it would serialise a network itself, so those files
are artifacts alone.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vsrpp.tracking import logged_model, remote

FOLDER = "exports"
TAG = "vsrpp.export"
"""`vsrpp.export.FORM` on the checkpoint's model; `vsrpp.export_of` on an exported model."""
MODEL_TYPE = "vsrpp-export"


def log_export(run_id: str, step: int, branch: int, uri: str, report: Mapping[str, Any]) -> dict[str, Any]:
    """Upload the file of a report; returns {mlflow_run_id, artifact, model_id}, the last None unless MLflow has its flavour.

    Raises NotFound if the run is not on the server, VsrppError if the server cannot be used.
    """
    with remote.reaching(uri) as client:
        run = remote.find_run(client, run_id, uri)
        file = Path(report["path"])
        place = f"{FOLDER}/step_{step:07d}"
        client.log_artifact(run.info.run_id, str(file), place)
        client.log_dict(run.info.run_id, dict(report), f"{place}/{file.name}.json")
        where = f" AND tags.`{logged_model.STEP_TAG}` = '{step}' AND tags.`{logged_model.BRANCH_TAG}` = '{branch}'"
        for model in logged_model.search(client, [run.info.experiment_id], run_id, where)[:1]:
            client.set_logged_model_tags(model.model_id, {f"{TAG}.{report['form']}": _line(report, place)})
        model_id = _log_onnx(client, run, file, report) if report["form"] == "onnx" else None
    return {"mlflow_run_id": run.info.run_id, "artifact": f"{place}/{file.name}", "model_id": model_id}


def _log_onnx(client: Any, run: Any, file: Path, report: Mapping[str, Any]) -> str:
    """A logged model of the flavour ONNX, which `mlflow.onnx.load_model` and `mlflow.pyfunc` load."""
    import mlflow.onnx
    import numpy as np
    import onnx
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    schemas = [
        Schema([TensorSpec(np.dtype("float32"), tuple(d if isinstance(d, int) else -1 for d in shape), name=name)])
        for name, shape in report["tensors"].items()
    ]
    model = client.create_logged_model(
        run.info.experiment_id, name=f"step_{report['step']:07d}_onnx", source_run_id=run.info.run_id,
        tags={f"{TAG}_of": report["run_id"], f"{TAG}_step": str(report["step"])}, model_type=MODEL_TYPE,
        params={key: json.dumps(report[key]) for key in ("network", "scale", "frames", "windowed", "fp16", "opset")},
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="vsrpp-") as scratch:
        mlflow.onnx.save_model(
            onnx.load(file), f"{scratch}/model", signature=ModelSignature(inputs=schemas[0], outputs=schemas[1]),
            pip_requirements=[f"{name}=={report['versions'][name]}" for name in ("onnx", "onnxruntime")],
            save_as_external_data=False,
        )  # fmt: skip
        client.log_model_artifacts(model.model_id, f"{scratch}/model")
    client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, report["step"])])
    client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    return str(model.model_id)


def _line(report: Mapping[str, Any], place: str) -> str:
    """For the page of the checkpoint's model."""
    form = f"{'windows of ' if report['windowed'] else ''}{report['frames']} frames, " if report["frames"] else ""
    precision = "fp16" if report["fp16"] else "fp32"
    return (
        f"{place}/{Path(report['path']).name}: {form}{precision}, differs by up to {report['max_abs_difference']:.1e}"
    )
