"""A run's training and validation data, as dataset inputs of its MLflow run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

DIGEST_CHARACTERS = 36
NAME_CHARACTERS = 500


def dataset_inputs(started: Mapping[str, Any]) -> list[Any]:
    """MLflow's entities for the data of the `started` event, tagged with their context.

    MLflow identifies a dataset by name and digest, and an input by dataset and run: logging them again adds nothing.
    """
    return [_input(row) for row in started.get("datasets") or []]


def _input(row: Mapping[str, Any]) -> Any:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    profile = {
        key: row[key] for key in ("clips", "frames", "samples", "sample_unit", "size") if row.get(key) is not None
    }
    dataset = Dataset(
        name=str(row["name"])[:NAME_CHARACTERS],
        digest=str(row["digest"])[:DIGEST_CHARACTERS],
        source_type="local",
        source=json.dumps({"uri": str(row["source"])}),
        schema=json.dumps(_schema()),
        profile=json.dumps({"num_rows": row.get("samples"), "num_elements": row.get("frames"), **profile}),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", str(row["context"]))])


def _schema() -> dict[str, Any]:
    """The tensor schema in MLflow's format: frames as stored, low resolution as input, ground truth as target."""
    frames = {"type": "tensor", "tensor-spec": {"dtype": "uint8", "shape": [-1, -1, -1, 3]}}
    return {"mlflow_tensorspec": {"features": json.dumps([{"name": "lr", **frames}]),
                                  "targets": json.dumps([{"name": "gt", **frames}])}}  # fmt: skip
