"""Writes a run like the trainer: real store, real pictures, invented metrics."""

from __future__ import annotations

import json
import math
import os
import random
import socket
import time
from pathlib import Path
from typing import Any

from PIL import Image

from vsrpp import config, control
from vsrpp.config.schema import loss_terms
from vsrpp.paths import RunPaths
from vsrpp.store import Marks, RunReader, RunWriter

TIMES = {"data_wait": 0.02, "compute": 0.28, "boundary": 0.01, "validation": 0.05, "checkpoint": 0.004}
BLOCKS = [f"{s}.{i}" for s, n in (("backward", 6), ("forward", 6), ("fusion", 3)) for i in range(n)]


class SyntheticRun:
    """One run, written step by step."""

    def __init__(
        self, runs: Path, run_id: str = "20260101-120000-demo", *, name: str = "harbour",
        startup: dict[str, Any] | None = None, **live: Any,
    ) -> None:  # fmt: skip
        self.paths = RunPaths(runs / run_id)
        self.paths.root.mkdir(parents=True)
        self.writer = RunWriter(self.paths.run_db, run_id)
        self.writer.set_meta("created", time.time())
        self.run_config, self.live = config.defaults("demo", startup)
        self.run_config |= {"name": name, **(startup or {})}
        self.live.update(live)
        self.step = self.branch = self.revision = 0
        self._random = random.Random(7)
        self.event("started", run_config=self.run_config, config=self.live, device="cpu", host=socket.gethostname(),
                   versions={}, parent=None)  # fmt: skip
        self.say("training")

    def event(self, type: str, **data: Any) -> None:
        said = {key: data.pop(f"_{key}") for key in ("origin", "author", "reason") if f"_{key}" in data}
        self.writer.append(type, step=self.step, branch=self.branch, revision=self.revision, data=data, **said)

    def say(self, state: str, *, phase: str = "stable", alive: bool = True, at: float | None = None,
            **more: Any) -> None:  # fmt: skip
        process = (
            control.process_identity() if alive else {"host": socket.gethostname(), "pid": 2**22 + 1, "started": 1}
        )
        self.writer.set_state(
            {"state": state, "step": self.step, "branch": self.branch, "revision": self.revision, "phase": phase,
             "steps_per_s": 3.21, "process": process, **more},
            at=at,
        )  # fmt: skip

    def train(self, steps: int) -> None:
        """Write rows at every log_every up to `step + steps`."""
        stop, every = self.step + steps, int(self.live["log_every"])
        for step in range(self.step + 1, stop + 1):
            self.step = step
            if step % every == 0:
                self.writer.record(step, self.branch, self.row(step))
        self.say("training")

    def row(self, step: int) -> dict[str, float]:
        noise = self._random.gauss
        terms = {"l1": 0.03, "ms": 0.016, "grad": 0.011}
        terms |= {term.name: 0.005 for term in loss_terms(self.run_config) if term.plugin}
        row = {f"loss/{t}": b * (0.35 + math.exp(-step / 300)) * (1 + noise(0, 0.08)) for t, b in terms.items()}
        row["loss/total"] = sum(self.live[f"{t}_weight"] * row[f"loss/{t}"] for t in terms)
        row |= {f"weight/{t}": self.live[f"{t}_weight"] for t in terms}
        row |= {f"activity/{b}": abs(0.7 + 0.25 * math.sin(i) + noise(0, 0.05)) for i, b in enumerate(BLOCKS)}
        return row | {
            "lr": self.live["max_lr"] * 0.9, "grad_norm": 0.4 + abs(noise(0, 0.2)), "grad_clip": self.live["grad_clip"],
            "optimizer/momentum": 0.9, "plateau/counter": float(step % 180), "system/gpu_memory_mib": 7340.0,
            "progress/convergence": 1.0, "progress/slope_percent_per_1000_steps": -21.4,
            "progress/slope_error_percent": 1.6, "progress/spent_s": 0.3 * step, "system/gpu_percent": 93.0,
            "progress/score": 62.4, "progress/score_gain": 36.0, "progress/score_sharpness": 8.0,
            "progress/score_convergence": 10.0, "progress/score_stability": 8.4, "speed/step_s": 0.31,
            **{f"speed/{part}_s": value for part, value in TIMES.items()},
            "system/gpu_memory_total_mib": 16384.0,
        }  # fmt: skip

    def edit(self, author: str = "anna", reason: str | None = None, **changes: Any) -> None:
        rows = [{"key": key, "old": self.live[key], "new": new} for key, new in changes.items()]
        self.live.update(changes)
        self.revision += 1
        self.event("config_applied", command=None, changes=rows, _origin="panel", _author=author, _reason=reason)

    def validate(self, psnr_y: float, *, bicubic: float = 27.31, picture: bool = True, by_hand: bool = False) -> None:
        images = [self.picture()] if picture else []
        figures = {"psnr_y": psnr_y, "ssim_y": psnr_y / 34, "quality": psnr_y / 40, "bicubic_psnr_y": bicubic,
                   "bicubic_ssim_y": bicubic / 34, "bicubic_quality": bicubic / 40, "sharpness": 0.8}  # fmt: skip
        self.writer.record(self.step, self.branch, {f"val/{key}": value for key, value in figures.items()})
        self.event("validated", **figures, clips=[], images=images, by_hand=by_hand)

    def picture(self, width: int = 320, height: int = 136) -> dict[str, Any]:
        """Three frames side by side with visible content."""
        path = self.paths.images / f"step_{self.step:07d}" / "clip_f012.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        blur = [9, max(1, 8 - self.step // 100), 1]
        picture = Image.new("RGB", (width * 3, height))
        for place, size in enumerate(blur):
            for x in range(0, width, size):
                for y in range(0, height, size):
                    v = int(127 + 90 * math.sin(x / 9) * math.cos(y / 13) + 30 * math.sin((x + y) / 3))
                    picture.paste(
                        (v % 256, (v + y) % 256, 160), (place * width + x, y, place * width + x + size, y + size)
                    )
        picture.save(path)
        return {
            "path": str(path.relative_to(self.paths.root)),
            "clip": "harbour",
            "frame": 12,
            "width": width,
            "height": height,
        }

    def checkpoint(self, psnr_y: float | None = None) -> None:
        folder = self.paths.checkpoint(self.step)
        folder.root.mkdir(parents=True)
        metrics = {"val/psnr_y": psnr_y} if psnr_y is not None else {}
        folder.manifest.write_text(json.dumps({"step": self.step, "metrics": metrics}))
        self.event(
            "checkpoint_saved", path=str(folder.root), metrics=metrics, files={}, size_bytes=9_400_000, reason="due"
        )

    def roll_back(self, to_step: int) -> None:
        """Roll back, abandoning everything after `to_step`."""
        was = self.step
        self.branch += 1
        self.revision += 1
        self.event(
            "rolled_back", from_step=was, to_step=to_step, from_branch=self.branch - 1, changes=[], _origin="panel"
        )
        self.step = to_step

    def end(self, state: str = "finished", **data: Any) -> None:
        self.event(state, **data)
        self.say(state)

    def close(self) -> None:
        self.writer.close()


def full_run(runs: Path, **options: Any) -> SyntheticRun:
    """A run with every kind of event."""
    run = SyntheticRun(runs, **options)
    for psnr in (27.4, 27.9, 28.3):
        run.train(100)
        run.validate(psnr)
        run.checkpoint(psnr)
    run.edit(reason="loss still falling steadily", max_lr=8e-4)
    run.train(60)
    run.event("plateau_detected", reason="no sign of improvement in 250 steps", counter=250, threshold=0.002)
    run.roll_back(300)
    run.train(80)
    run.edit(author="ben", l1_weight=0.5, ms_weight=0.3)
    run.event("config_refused", command=None, changes={"max_lr": 0.5}, _origin="cli", _author="ben",
              errors=[{"key": "max_lr", "value": 0.5, "message": "must be between 1e-05 and 0.001",
                       "reason_code": "refused.range", "fields": {"minimum": 1e-05, "maximum": 0.001}}])  # fmt: skip
    run.train(20)
    run.validate(28.74, by_hand=True)
    run.checkpoint(28.74)
    run.say("training")
    return run


def pid() -> int:
    return os.getpid()


def deliver(run: SyntheticRun, uri: str = "http://tracking.example:5000", experiment: str = "7") -> None:
    """Mark everything of a run as uploaded to an MLflow server."""
    marks = Marks(run.paths.delivery_db)
    marks.set_fact("mlflow_run", {"run_id": f"m-{run.paths.run_id}", "experiment_id": experiment, "uri": uri})
    with RunReader(run.paths.run_db) as reader:
        saved = [(event.branch, event.step) for event in reader.events(types=("checkpoint_saved",))]
    for branch, step in saved:
        marks.put_item("mlflow", "checkpoint", f"{branch}/{step}", {})
    marks.close()


def job_key(number: int) -> str:
    """The ID of an invented job, older than any job of a test; higher numbers are older."""
    return f"{0x1500000000000000 - number:x}"


def job_records(runs: Path, run_id: str) -> None:
    """Jobs in every state, as the panel stores them beside the runs."""
    home, now = runs / ".jobs", time.time()
    home.mkdir()
    own = control.process_identity()
    jobs = [
        ("replay", None, f"replay {run_id}", None, {}, ["Replaying from its record …", "step 120 of 300   3.2 steps/s"]),
        ("restore", 200, f"restore {run_id} --step 200 --out {run_id}@200", f"/data/{run_id}@200",
         {"status": 0, "ended": now - 60}, ["✅ Config restored from step 200", "all hashes verified"]),
        ("promote", 300, f"promote {run_id}@300 --alias champion", None, {"status": 3, "ended": now - 200},
         ["vsrpp: the tracking server at http://tracking.example:5000 cannot be reached."]),
        ("from", 100, f"train --from {run_id}@100 --no-panel", None,
         {"status": 75, "ended": now - 300, "cancelled_by": "ben"}, ["stopped at step 140"]),
    ]  # fmt: skip
    for number, (verb, step, line, target, more, tail) in enumerate(jobs):
        key = job_key(number)
        job = {"id": key, "verb": verb, "run_id": run_id, "step": step, "line": f"vsrpp {line}", "target": target,
               "author": "anna", "started": now - 90 * (number + 1), "process": own, **more}  # fmt: skip
        (home / f"{key}.json").write_text(json.dumps(job))
        (home / f"{key}.log").write_text("\n".join(tail) + "\n")
