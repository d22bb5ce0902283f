"""What a run will need, computed from its configs and a few measurements: hours, disk, upload, and likely mistakes.

Pure arithmetic on the measurements of `vsrpp.training.dry_run`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vsrpp import schedule
from vsrpp.formats import counted

RECORD_BYTES_PER_VALUE = 150
"""Bytes per metric value: 64 in run.db, the rest in the event files (measured on a run of 4500 steps)."""
NEARLY_MIN = 0.01
"""Fraction of the way from min_lr to max_lr below which a schedule counts as having reached min_lr."""
PICTURE_COPIES = 2
"""A validation's pictures are stored in images/ and in the event files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Measurements of three steps, one validation and one checkpoint."""

    step_s: float
    """Seconds per step after the first, including waiting for data."""
    data_wait_s: float
    """The part of `step_s` spent waiting for data."""
    validation_s: float
    checkpoint_wait_s: float
    """How long training waits for a checkpoint, which is written in the background."""
    checkpoint_bytes: int
    picture_bytes: int
    """Size of one validation's pictures."""
    values_per_row: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """For the whole run, from its first step to max_steps."""

    steps: int
    validations: int
    checkpoints: tuple[int, int]
    """Minimum and maximum: the best validations also save a checkpoint."""
    hours: float
    step_hours: float
    validation_hours: float
    checkpoint_hours: float
    kept_checkpoints: int
    disk_bytes: int
    """Final size of the run folder: kept checkpoints, pictures, record."""
    upload_bytes: int
    """Maximum over the whole run: every checkpoint and picture."""


def forecast(measured: Measured, run_config: Mapping[str, Any], live: Mapping[str, Any], start: int = 0) -> Forecast:
    """The forecast for a run that starts at step `start`, above 0 if it starts from a checkpoint."""
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
    """How often an action is due after `start`: at multiples of `every`, and with `end` also at the last step."""
    return last // every - start // every + (end and last % every != 0)


def checkpoints_kept(run_config: Mapping[str, Any], last: int) -> int:
    """Maximum number on disk: the last ones, the best one, every `keep_every`-th, and one being written."""
    every = int(run_config["keep_every"])
    return int(run_config["keep_last"]) + 2 + (last // every if every else 0)


def oddities(run_config: Mapping[str, Any], live: Mapping[str, Any], *, cores: int, start: int = 0) -> list[str]:
    """Settings that are probably a mistake, one line each."""
    steps = int(live["max_steps"]) - start
    lines = [
        f"{key} = {live[key]} is more than the run's {counted(steps, 'step')}: {effect}"
        for key, effect in (
            ("validate_every", "the only validation will be at the last step."),
            ("checkpoint_every", "if killed, the run only has the checkpoints of its best validations."),
            ("log_every", "the only row will be at the last step."),
            ("plateau_patience", "no plateau can be detected."),
        )
        if live[key] > steps
    ]
    lines += schedule_oddities(run_config, live)
    if run_config["num_workers"] > cores:
        lines.append(
            f"num_workers = {run_config['num_workers']} on {cores} CPU cores: workers compete, and each needs memory."
        )
    if (run_config["torch_threads"] or 0) > cores:
        lines.append(f"torch_threads = {run_config['torch_threads']} on {cores} CPU cores: threads compete.")
    return lines + _flow_oddities(run_config, int(live["max_steps"]))


def schedule_oddities(run_config: Mapping[str, Any], live: Mapping[str, Any]) -> list[str]:
    """Settings of the learning-rate schedule that are probably a mistake, one line each."""
    name, last, warmup = schedule.name_of(run_config), int(live["max_steps"]), int(run_config["warmup_steps"])
    lines = [
        f"{key} = {run_config[key]} has no effect with lr_schedule = {name}."
        for key in schedule.without_effect(run_config)
    ]
    if warmup >= last:
        lines.append(f"warmup_steps = {warmup} and max_steps = {last}: the rate never reaches max_lr.")
    elif name == "multi_step" and schedule.fraction(warmup, last, run_config) < 1:
        lines.append(
            f"lr_milestones = {run_config['lr_milestones']}: the first one is in the warm-up of {counted(warmup, 'step')},"
            " so the rate never reaches max_lr."
        )
    elif name == "cosine_restarts" and schedule.fraction(last, last, run_config) > NEARLY_MIN:
        lines.append(
            f"lr_periods = {run_config['lr_periods']}: max_steps = {last} cuts the last period, so the run ends at a rate of"
            f" {schedule.learning_rate(last, live, run_config):.2e} instead of min_lr."
        )
    elif name == "constant" and live["adaptive"] and live["plateau_action"] == "boost_lr":
        lines.append("plateau_action = boost_lr has no effect with lr_schedule = constant: the rate is max_lr already.")
    return lines


def _flow_oddities(run_config: Mapping[str, Any], last: int) -> list[str]:
    frozen = int(run_config["flow_freeze_steps"])
    if run_config["network"] not in ("basicvsr", "basicvsrpp") or frozen == 0:
        return []
    if not run_config["pretrained"]:
        line = f"flow_freeze_steps = {frozen} without pretrained: the flow network keeps its random weights that long."
        return [line + " Give pretrained weights (pretrained=FILE), or set flow_freeze_steps=0."]
    return [f"flow_freeze_steps = {frozen}: the flow network never learns in {last} steps."] if frozen >= last else []
