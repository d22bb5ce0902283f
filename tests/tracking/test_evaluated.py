"""`evaluate --log` puts its figures on the model of the checkpoint, and leaves the record of the run as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.made_runs import MadeRun, made_run
from tests.support.reasons import raises
from tests.support.servers import client_of, models_of
from vsrpp.tracking import messages, record, remote
from vsrpp.tracking.evaluated import WEIGHTS_TAG, log_evaluation
from vsrpp.tracking.sync import sync

FIGURES = {
    "vid4": {
        "psnr_y": 27.5, "ssim_y": 0.84, "tdiff_y": None, "frames": 171, "degradation": "bd", "clips": [{"name": "city"}],
        "weights": {"lpips": [{"file": "alex.pth", "sha256": "ab"}]},
    }
}  # fmt: skip


@pytest.fixture
def run(runs: Path, uri: str) -> MadeRun:
    made = made_run(runs)
    assert sync(made.paths.root, uri).delivered
    return made


def test_the_model_has_the_figures_with_their_data_and_the_run_the_whole_document(
    run: MadeRun, uri: str, tmp_path: Path
) -> None:
    client = client_of(uri)
    with remote.reaching(uri) as reached:
        mlflow_run = remote.find_run(reached, run.run_id, uri)
        before = repr(list(record.rows_of(reached, mlflow_run, record.events_of(reached, mlflow_run))))
    document = {"clips": [{"per_frame": {"psnr_y": [27.0, 28.0]}}]}
    model_id = log_evaluation(run.run_id, 200, 0, uri, FIGURES, {"vid4": "c0ffee"}, document)
    assert model_id == models_of(uri, run.run_id)[1].model_id
    model = client.get_logged_model(model_id)
    logged = {metric.key: metric for metric in model.metrics or [] if metric.key.startswith("eval/")}
    assert {key: metric.value for key, metric in logged.items()} == {"eval/vid4/psnr_y": 27.5, "eval/vid4/ssim_y": 0.84}
    assert {(metric.step, metric.dataset_name, len(metric.dataset_digest)) for metric in logged.values()} == {
        (200, "vid4", 8)
    }
    assert json.loads(model.tags[WEIGHTS_TAG]) == FIGURES["vid4"]["weights"]
    kept = client.download_artifacts(mlflow_run.info.run_id, "evaluations/step_0000200_vid4.json", str(tmp_path))
    assert json.loads(Path(kept).read_text()) == document
    with remote.reaching(uri) as reached:
        again = remote.find_run(reached, run.run_id, uri)
        assert repr(list(record.rows_of(reached, again, record.events_of(reached, again)))) == before


def test_a_checkpoint_that_is_not_there_has_no_model_to_log_to(run: MadeRun, uri: str) -> None:
    with raises(messages.NO_MODEL_TO_LOG_TO, step=150):
        log_evaluation(run.run_id, 150, 0, uri, FIGURES, {"vid4": ""}, {})
