"""An exported file in MLflow: an artifact with its report, a tag on the checkpoint's model, a model of its own for ONNX."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.made_runs import MadeRun, made_run
from tests.support.servers import client_of, models_of
from vsrpp.tracking.exported import log_export
from vsrpp.tracking.sync import sync


@pytest.fixture
def run(runs: Path, uri: str) -> MadeRun:
    made = made_run(runs)
    assert sync(made.paths.root, uri).delivered
    return made


def report(file: Path, run: MadeRun, form: str) -> dict[str, Any]:
    shape = ["N", 7, 3, "h", "w"]
    return {
        "path": str(file), "form": form, "run_id": run.run_id, "step": 200, "network": "vsrpp", "scale": 2, "frames": 7,
        "windowed": False, "fp16": True, "opset": 18, "max_abs_difference": 1.5e-3,
        "tensors": {"frames": shape, "upscaled": shape}, "versions": {"onnx": "1.23.2", "onnxruntime": "1.32.0"},
    }  # fmt: skip


def test_a_file_is_an_artifact_with_its_report_and_a_line_on_the_checkpoint_s_model(
    run: MadeRun, uri: str, tmp_path: Path
) -> None:
    file = tmp_path / "net.pt"
    file.write_bytes(b"network")
    said = report(file, run, "torchscript")
    logged = log_export(run.run_id, 200, 0, uri, said)
    assert logged["artifact"] == "exports/step_0000200/net.pt" and logged["model_id"] is None
    client = client_of(uri)
    kept = client.download_artifacts(logged["mlflow_run_id"], "exports/step_0000200", str(tmp_path))
    assert (Path(kept) / "net.pt").read_bytes() == b"network"
    assert json.loads((Path(kept) / "net.pt.json").read_text(encoding="utf-8")) == said
    (model,) = [one for one in models_of(uri, run.run_id) if one.tags["vsrpp.step"] == "200"]
    line = "exports/step_0000200/net.pt: 7 frames, fp16, differs by up to 1.5e-03"
    assert client.get_logged_model(model.model_id).tags["vsrpp.export.torchscript"] == line


@pytest.mark.slow
def test_an_onnx_file_is_a_model_of_mlflow_s_flavour_and_no_checkpoint_of_the_run(
    run: MadeRun, uri: str, tmp_path: Path
) -> None:
    onnx = pytest.importorskip("onnx", reason="the extra [export] is missing")
    import mlflow.onnx

    helper, values = (
        onnx.helper,
        [
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", 7, 3, "h", "w"])
            for name in ("frames", "upscaled")
        ],
    )
    node = helper.make_node("Identity", ["frames"], ["upscaled"])
    graph = helper.make_graph([node], "net", values[:1], values[1:])
    file = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), file)
    before = [model.model_id for model in models_of(uri, run.run_id)]
    logged = log_export(run.run_id, 200, 0, uri, report(file, run, "onnx"))
    assert [model.model_id for model in models_of(uri, run.run_id)] == before
    mlflow.set_tracking_uri(uri)
    loaded = mlflow.onnx.load_model(f"models:/{logged['model_id']}")
    assert loaded.graph.input[0].name == "frames"
