"""What a run will come to, from its configs and a few measured figures: hours, disk, upload, and what is odd about it.

Pure arithmetic over what `vsrpp.training.dry_run` measures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

RECORD_BYTES_PER_VALUE = 150
"""Of one metric value: 64 in run.db, the rest in the event files (measured on a run of 4500 steps)."""
PICTURE_COPIES = 2
"""A validation's pictures lie in images/ and in the event files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What three steps, one validation and one checkpoint took."""

    step_s: float
    """Seconds of one step after the first, waiting for data included."""
    data_wait_s: float
    """Of these, waiting for data."""
    validation_s: float
    checkpoint_wait_s: float
    """Training waits so long for one; it is written in the background."""
    checkpoint_bytes: int
    picture_bytes: int
    """Of one validation's pictures."""
    values_per_row: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Of the whole run, from its first step to max_steps."""

    steps: int
    validations: int
    checkpoints: tuple[int, int]
    """At least and at most: a best validation is a checkpoint, too."""
    hours: float
    step_hours: float
    validation_hours: float
    checkpoint_hours: float
    kept_checkpoints: int
    disk_bytes: int
    """What the run folder grows to: the checkpoints kept, pictures, record."""
    upload_bytes: int
    """At most, over the whole run: every checkpoint and picture."""


def forecast(measured: Measured, run_config: Mapping[str, Any], live: Mapping[str, Any], start: int = 0) -> Forecast:
    """`start`: the step the run begins at, above 0 when it begins from a checkpoint."""
    last, every, each = int(live["max_steps"]), int(live["checkpoint_every"]), int(live["validate_every"])
    steps, due, validations = last - start, occasions(start, last, every), occasions(start, last, each)
    at_most = due + occasions(start, last, each, end=False) - occasions(start, last, math.lcm(every, each), end=False)
    at_most -= last % every != 0 and last % each == 0
    hours = [
        seconds / 3600
        for seconds in (
            steps * measured.step_s,
            validations * measured.validation_s,
            at_most * measured.checkpoint_wait_s,
        )
    ]
    kept = min(at_most, checkpoints_kept(run_config, last)) + (start > 0)
    rows = occasions(start, last, int(live["log_every"]))
    pictures = validations * measured.picture_bytes
    record = rows * measured.values_per_row * RECORD_BYTES_PER_VALUE
    uploads = run_config["checkpoint_upload"] == "mlflow"
    return Forecast(
        steps=steps, validations=validations, checkpoints=(due, at_most), hours=sum(hours), step_hours=hours[0],
        validation_hours=hours[1], checkpoint_hours=hours[2], kept_checkpoints=kept,
        disk_bytes=kept * measured.checkpoint_bytes + PICTURE_COPIES * pictures + record,
        upload_bytes=pictures + uploads * at_most * measured.checkpoint_bytes,
    )  # fmt: skip


def occasions(start: int, last: int, every: int, *, end: bool = True) -> int:
    """How often something is done after `start`: at every multiple of `every`, and with `end` at the last step."""
    return last // every - start // every + (end and last % every != 0)


def checkpoints_kept(run_config: Mapping[str, Any], last: int) -> int:
    """The last ones, the best one, every `keep_every`-th, and one in the making."""
    every = int(run_config["keep_every"])
    return int(run_config["keep_last"]) + 2 + (last // every if every else 0)


def oddities(run_config: Mapping[str, Any], live: Mapping[str, Any], *, cores: int, start: int = 0) -> list[str]:
    """What a run would do that its owner hardly means; one line each."""
    steps = int(live["max_steps"]) - start
    found = [
        f"{key} = {live[key]} is more than the {steps} steps there are: {so}"
        for key, so in (
            ("validate_every", "the only validation is at the last step."),
            ("checkpoint_every", "a run that is killed has no checkpoint but those of best validations."),
            ("log_every", "the only row is at the last step."),
            ("plateau_patience", "no plateau can be found."),
        )
        if live[key] > steps
    ]
    if run_config["warmup_steps"] >= live["max_steps"]:
        found.append(
            f"warmup_steps = {run_config['warmup_steps']} and max_steps = {live['max_steps']}: the rate never reaches max_lr."
        )
    if run_config["num_workers"] > cores:
        found.append(
            f"num_workers = {run_config['num_workers']} on {cores} CPU cores: they take turns, and each holds memory."
        )
    if (run_config["torch_threads"] or 0) > cores:
        found.append(f"torch_threads = {run_config['torch_threads']} on {cores} CPU cores: they wait for each other.")
    return found + _flow_oddities(run_config, int(live["max_steps"]))


def _flow_oddities(run_config: Mapping[str, Any], last: int) -> list[str]:
    frozen = int(run_config["flow_freeze_steps"])
    if run_config["network"] != "basicvsr" or frozen == 0:
        return []
    if not run_config["pretrained"]:
        line = f"flow_freeze_steps = {frozen} without pretrained: the flow network stays as it was drawn for so long."
        return [line + " Name its weights (pretrained=FILE), or set flow_freeze_steps=0."]
    return [f"flow_freeze_steps = {frozen}: the flow network never learns in {last} steps."] if frozen >= last else []
