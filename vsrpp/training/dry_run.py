"""`vsrpp train --check`: three real steps, one validation and one checkpoint, in a temporary folder.

It uses the real training loop, so that its measurements hold for the run.
"""

from __future__ import annotations

import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil
import torch

from vsrpp import formats, models
from vsrpp.checkpoints.documents import read_manifest
from vsrpp.controller.outlook import outlook
from vsrpp.data import val_sample_of
from vsrpp.errors import VsrppError
from vsrpp.frame_schedule import most_frames
from vsrpp.paths import CheckpointPaths
from vsrpp.store import Event, RunReader
from vsrpp.training import messages
from vsrpp.training.context import RunContext
from vsrpp.training.forecast import Forecast, Measured, forecast, oddities
from vsrpp.training.loop import train
from vsrpp.training.open_run import open_run
from vsrpp.training.prepared import Prepared
from vsrpp.training.start import prepare_new

STEPS = 3
NEARLY_FULL = 0.9


@dataclass(slots=True, kw_only=True)
class DryRun:
    """The findings. With `problems`, the run would not start or not finish."""

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    device: str = ""
    windows: int = 0
    val_frames: int = 0
    """Frames that a validation scores."""
    val_sample: dict[str, Any] | None = None
    """`vsrpp.data.val_sample_of`."""
    cost: models.StepCost | None = None
    peak_bytes: int = 0
    """Peak memory: of the device on CUDA, else of this process."""
    memory_bytes: int = 0
    """Memory of the device, or free memory of this machine."""
    losses: list[float] = field(default_factory=list)
    measured: Measured | None = None
    forecast: Forecast | None = None
    controller: str = ""
    """What the controller could do in a run of this length."""
    free_bytes: int = 0
    """Free space on the disk of the runs."""
    store_bytes: int = 0
    """What the tracking store would use on the same disk."""

    def to_json(self) -> dict[str, Any]:
        return {"would_run": not self.problems, **asdict(self)}


def dry_run(
    run_config: dict[str, Any], live: dict[str, Any], *, runs: Path, say: Callable[[str], None],
    store: Path | None = None, parent: CheckpointPaths | None = None,
) -> DryRun:  # fmt: skip
    """Try a run that would be stored in `runs`. Anything that prevents it is listed in `problems`, not raised.

    `store`: the folder of a tracking store on this machine, which keeps a copy of every checkpoint. `parent`: the
    checkpoint it starts from. Decoded data stays in the cache for the run. Raises KeyboardInterrupt when interrupted.
    """
    seen = DryRun()
    disk = _nearest(runs)
    seen.free_bytes = shutil.disk_usage(disk).free
    if not os.access(disk, os.W_OK):
        seen.problems.append(f"{runs} cannot be written: no write permission for {disk}.")
        return seen
    with tempfile.TemporaryDirectory(prefix=".vsrpp-check-", dir=disk) as folder:
        try:
            _try(seen, run_config, live, Path(folder), say, parent)
        except VsrppError as error:
            seen.problems.append(str(error).replace(folder, str(runs)))
    _look_at_disk(seen, run_config, runs, store)
    return seen


def _try(
    seen: DryRun, run_config: dict[str, Any], live: dict[str, Any], folder: Path, say: Callable[[str], None],
    parent: CheckpointPaths | None,
) -> None:  # fmt: skip
    start = int(read_manifest(parent)["step"]) if parent else 0
    seen.controller = outlook(run_config, live, start)
    seen.warnings += oddities(run_config, live, cores=len(os.sched_getaffinity(0)), start=start)
    short = {**live, "max_steps": start + STEPS, "log_every": 1}
    run = prepare_new(
        _tried(run_config, live), short, runs=folder, run_id=lambda: "rehearsal", say=say, parent=parent
    )  # fmt: skip
    try:
        _look_at_run(seen, run)
        seen.memory_bytes = psutil.virtual_memory().available
        opened, times = _train(run, say)
    finally:
        run.writer.close()
    seen.peak_bytes, seen.memory_bytes = _peak(run.device, seen.memory_bytes)
    if seen.peak_bytes > NEARLY_FULL * seen.memory_bytes > 0:
        seen.warnings.append(
            f"memory is nearly full: {formats.size(seen.peak_bytes)} of {formats.size(seen.memory_bytes)}."
        )
    seen.measured = _measured(run, opened, times, start)
    seen.forecast = forecast(seen.measured, run_config, live, start)
    _look_at_figures(seen, run, run_config, live, start)


def _tried(run_config: dict[str, Any], live: Mapping[str, Any]) -> dict[str, Any]:
    """The run in its most expensive phase: with its longest samples, and a flow network that is frozen at first learning."""
    thaws = int(run_config["flow_freeze_steps"]) < int(live["max_steps"])
    longest = {"num_frames": most_frames(run_config), "num_frames_schedule": None}
    return {**run_config, **longest, "max_hours": None, **({"flow_freeze_steps": 0} if thaws else {})}


def _look_at_run(seen: DryRun, run: Prepared) -> None:
    seen.device, seen.windows = run.run_config["device"], run.data.samples_per_epoch
    seen.val_frames, seen.val_sample = run.data.val_frames[0], val_sample_of(run.data)
    seen.warnings += run.data.survey.lines()
    seen.cost = models.step_cost(run.run_config)
    if not models.exact(run.run_config) and run.device.type == "cuda":
        seen.warnings.append(f"network {run.run_config['network']} cannot be replayed bit for bit on CUDA.")


def _train(run: Prepared, say: Callable[[str], None]) -> tuple[RunContext, dict[str, float]]:
    """Run three steps; returns the times of the validation and the checkpoint, by event type."""
    times: dict[str, float] = {}

    def note(event: Event) -> None:
        times[event.type] = time.perf_counter()

    if run.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(run.device)
    say(f"Trying {STEPS} steps, a validation and a checkpoint …")
    opened = open_run(run, on_event=note)
    run.writer.waits = False
    if train(opened) != "finished":
        raise KeyboardInterrupt
    return opened, times


def _measured(run: Prepared, opened: RunContext, times: Mapping[str, float], start: int) -> Measured:
    after = opened.throughput.row(
        start + STEPS + 1, 0
    )  # since the last row: the time that training waited for the checkpoint
    with RunReader(run.paths.run_db) as record:
        last = record.latest()
        step_s, wait_s = (
            [row.value for row in record.series(key)][1:] for key in ("speed/step_s", "speed/data_wait_s")
        )
        saved = record.last_event("checkpoint_saved")
    if saved is None:
        raise messages.NO_CHECKPOINT_WRITTEN()
    return Measured(
        step_s=sum(step_s) / len(step_s), data_wait_s=sum(wait_s) / len(wait_s),
        validation_s=last["speed/validation_s"].value, checkpoint_wait_s=after.get("speed/checkpoint_s", 0.0),
        checkpoint_bytes=int(saved.data["size_bytes"]),
        picture_bytes=sum(file.stat().st_size for file in run.paths.images.rglob("*.png")),
        values_per_row=sum(row.step == start + STEPS for key, row in last.items() if not key.startswith("val/")),
    )  # fmt: skip


def _look_at_figures(
    seen: DryRun, run: Prepared, run_config: Mapping[str, Any], live: Mapping[str, Any], start: int
) -> None:
    assert seen.measured is not None and seen.forecast is not None
    with RunReader(run.paths.run_db) as record:
        seen.losses = [row.value for row in record.series("loss/total") if row.step > start]
        bad = [event.step - start for event in record.events(types=("non_finite",))]
        unreadable = [str(event.data["error"]) for event in record.events(types=("bad_sample",))]
    if unreadable:
        seen.warnings.append(
            f"{unreadable[0]} Other files may be unreadable, too: vsrpp data PATH --read-all lists them."
        )
    if bad:
        seen.problems.append(
            f"the loss or a gradient of step {bad[0]} is not finite."
            f" Lower max_lr ({live['max_lr']:.2e}) or check the data."
        )
    if run.device.type == "cuda" and seen.measured.data_wait_s > 0.2 * seen.measured.step_s:
        seen.warnings.append(
            f"{seen.measured.data_wait_s / seen.measured.step_s:.0%} of each step is spent waiting for data:"
            f" raise num_workers ({run_config['num_workers']}), or see `reading`."
        )
    hours = run_config["max_hours"]
    if hours is not None and seen.forecast.hours > hours:
        part = int(seen.forecast.steps * hours / seen.forecast.hours)
        seen.warnings.append(f"max_hours = {hours:g} ends the run at about step {start + part} of {live['max_steps']}.")


def _look_at_disk(seen: DryRun, run_config: Mapping[str, Any], runs: Path, store: Path | None) -> None:
    if seen.forecast is None:
        return
    disk = _nearest(runs)
    if store is not None and _nearest(store).stat().st_dev == disk.stat().st_dev:
        seen.store_bytes = seen.forecast.upload_bytes
    needed = seen.forecast.disk_bytes + seen.store_bytes
    if needed > seen.free_bytes:
        store_part = (
            f", {formats.size(seen.store_bytes)} of it for the tracking store {store}" if seen.store_bytes else ""
        )
        seen.problems.append(
            f"the run needs {formats.size(needed)} on the disk of {runs}{store_part},"
            f" but only {formats.size(seen.free_bytes)} are free."
            f" Keep fewer checkpoints (keep_last = {run_config['keep_last']}), save less often (checkpoint_every),"
            " or use another disk (--run-dir)."
        )


def _peak(device: torch.device, free_bytes: int) -> tuple[int, int]:
    """(peak memory, available memory) in bytes."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device), torch.cuda.mem_get_info(device)[1]
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, free_bytes


def _nearest(folder: Path) -> Path:
    """The folder, or its nearest existing parent."""
    return next(place for place in (folder, *folder.parents) if place.is_dir())
