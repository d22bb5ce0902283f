"""Figures of `vsrpp evaluate` in MLflow: metrics of the checkpoint's logged model, with the data they were measured on."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any

from vsrpp.tracking import logged_model, messages, remote

PREFIX = "eval/"
"""`eval/DATA/MEASURE`. They are no rows of the run's record."""
FOLDER = "evaluations"
"""The artifact folder for the whole documents, with the figures of each clip and frame."""
WEIGHTS_TAG = "vsrpp.eval_weights"


def log_evaluation(
    run_id: str,
    step: int,
    branch: int,
    uri: str,
    figures: Mapping[str, Mapping[str, Any]],
    contents: Mapping[str, str],
    document: Mapping[str, Any],
) -> str:
    """Log the figures of each data set to the model of a checkpoint, and the document to its run; returns the model's ID.

    figures, contents: data set -> its measures, and the hashes of its clips.

    Raises NotFound if the checkpoint is not on the server, VsrppError if the server cannot be used.
    """
    with remote.reaching(uri) as client:
        run = remote.find_run(client, run_id, uri)
        place = f" AND tags.`{logged_model.STEP_TAG}` = '{step}' AND tags.`{logged_model.BRANCH_TAG}` = '{branch}'"
        models = logged_model.search(client, [run.info.experiment_id], run_id, place)
        if not models:
            raise messages.NO_MODEL_TO_LOG_TO(run=run_id, step=step)
        model_id = str(models[0].model_id)
        now_ms = int(time.time() * 1000)
        for name, row in figures.items():
            digest = hashlib.sha256(f"{row['degradation']} {row['frames']} {contents[name]}".encode()).hexdigest()[:8]
            for measure, value in row.items():
                if isinstance(value, float):
                    client.log_metric(
                        run.info.run_id, f"{PREFIX}{name}/{measure}", value, timestamp=now_ms, step=step,
                        dataset_name=name, dataset_digest=digest, model_id=model_id,
                    )  # fmt: skip
            if row.get("weights"):
                client.set_logged_model_tags(model_id, {WEIGHTS_TAG: json.dumps(row["weights"])})
        client.log_dict(run.info.run_id, dict(document), f"{FOLDER}/step_{step:07d}_{'_'.join(figures)}.json")
    return model_id
