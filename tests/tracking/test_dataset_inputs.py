"""The MLflow run lists its training and validation data once, however often it is uploaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.made_runs import MadeRun
from tests.support.servers import the_run
from vsrpp.store import Marks
from vsrpp.tracking.backlog import MLFLOW
from vsrpp.tracking.dataset_inputs import dataset_inputs
from vsrpp.tracking.sync import sync

TRAINING = {
    "context": "training", "name": "bikes.mp4", "source": "/data/bikes.mp4", "digest": "ab" * 32, "clips": 1,
    "frames": 225, "samples": 223, "sample_unit": "windows", "size": "640×272", "scale": 4,
}  # fmt: skip
VALIDATION = {**TRAINING, "context": "validation", "digest": "cd" * 32, "frames": 25, "samples": 25}


def inputs(uri: str, run_id: str) -> list[tuple[str, str, str]]:
    logged = the_run(uri, run_id).inputs.dataset_inputs
    return sorted((i.tags[0].value, i.dataset.name, i.dataset.digest) for i in logged)


def test_training_and_validation_are_inputs_and_a_second_delivery_adds_none(uri: str, runs: Path) -> None:
    run = MadeRun(runs / "data1", "data1").start(datasets=[TRAINING, VALIDATION]).train(20).end()
    wanted = [("training", "bikes.mp4", "ab" * 18), ("validation", "bikes.mp4", "cd" * 18)]
    assert sync(run.root, uri).delivered
    assert inputs(uri, "data1") == wanted
    marks = Marks(run.paths.delivery_db)
    marks.reset(MLFLOW)
    marks.close()
    assert sync(run.root, uri).delivered
    assert inputs(uri, "data1") == wanted


def test_mlflow_reads_them_as_datasets_with_source_and_schema(uri: str, runs: Path) -> None:
    run = MadeRun(runs / "data2", "data2").start(datasets=[TRAINING]).train(20).end()
    assert sync(run.root, uri).delivered
    import mlflow
    from mlflow.data.schema import TensorDatasetSchema

    (logged,) = the_run(uri, "data2").inputs.dataset_inputs
    assert mlflow.data.get_source(logged.dataset).uri == "/data/bikes.mp4"
    assert TensorDatasetSchema.from_dict(json.loads(logged.dataset.schema)).features.input_names() == ["lr"]
    assert json.loads(logged.dataset.profile)["num_rows"] == 223


def test_without_any_word_of_data_there_is_none() -> None:
    assert dataset_inputs({}) == []


def test_the_same_frames_have_the_same_digest_wherever_they_lie(tmp_path: Path) -> None:
    import shutil

    from tests.support.made_runs import png
    from vsrpp.data import datasets, open_data

    config: dict[str, Any] = {
        "val_data": None, "val_fraction": 0.2, "scale": 2, "num_frames": 2, "crop_size": 16, "seed": 0,
    }  # fmt: skip
    here = tmp_path / "here" / "clip"
    here.mkdir(parents=True)
    for number in range(10):
        (here / f"{number:04d}.png").write_bytes(png(32, 24))
    shutil.copytree(here, tmp_path / "there" / "other")
    found = []
    for folder in (here, tmp_path / "there" / "other"):
        run_config = {**config, "data": str(folder)}
        found.append(datasets(open_data(run_config, cache_dir=tmp_path / "cache"), run_config))
    assert [row["context"] for row in found[0]] == ["training", "validation"]
    assert [row["digest"] for row in found[0]] == [row["digest"] for row in found[1]]
    assert found[0][0]["digest"] != found[0][1]["digest"]
    assert [row["name"] for row in found[1]] == ["other", "other"]
    assert found[0][0]["samples"] == found[0][0]["frames"] - 1
