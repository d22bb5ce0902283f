"""Writes a run with a long history: a valid chain of every kind of event, branches, metric rows, delivery marks."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.support.synthetic import SyntheticRun
from vsrpp.store import Event, Marks, RunWriter
from vsrpp.store.chain import link
from vsrpp.store.events import canonical

LOG_EVERY = 10
KEPT_ON_DISK = 10
"""Checkpoints with a folder, the newest ones, as retention leaves them."""
ROUND = (
    *["config_applied"] * 6, *["validated"] * 4, *["checkpoint_saved"] * 3, "plateau_detected", "plateau_cleared",
    "plateau_detected", "safety_reset", "config_refused", "paused", "resumed",
)  # fmt: skip
"""The types of twenty events; every fiftieth round ends with a rollback."""
KEYS = ("max_lr", "grad_clip", "plateau_patience", "l1_weight", "log_every")
SHA256 = "0123456789abcdef" * 4
FILES = dict.fromkeys(
    ("model.safetensors", "model_ema.safetensors", "training_state.pt", "run_config.yaml", "runtime_config.json"),
    SHA256,
)


def long_record(runs: Path, *, events: int, rows: int, run_id: str = "20260101-120000-long") -> SyntheticRun:
    """A stopped run with that many events and metric rows, all of it marked as uploaded."""
    run = SyntheticRun(runs, run_id, max_steps=10**7)
    body = list(_events(run, events - 2))
    run.writer.record(1, 0, {**run.row(1), **{f"val/{name}": 25.0 for name in ("psnr_y", "bicubic_psnr_y", "ssim_y")}})
    run.writer.close()
    db = sqlite3.connect(run.paths.run_db)
    db.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", map(_row, body))
    db.execute("INSERT OR REPLACE INTO meta VALUES ('head', ?)", (str(body[-1].seq),))
    _metrics(db, run, body, rows)
    db.commit()
    db.close()
    run.writer = RunWriter(run.paths.run_db)
    _folders(run, [event for event in body if event.type == "checkpoint_saved"][-KEPT_ON_DISK:], body)
    run.say("stopped", alive=False)
    run.event("stopped", _origin="cli", _author="anna", _reason="enough")
    _marks(run, [event for event in body if event.type == "checkpoint_saved"])
    return run


def _events(run: SyntheticRun, count: int) -> Iterator[Event]:
    """Events after `started`, two steps apart, with the run's step, branch and revision moved along."""
    seq, previous = run.writer.head()
    for number in range(count):
        back = number % (50 * len(ROUND)) == 50 * len(ROUND) - 1
        type_ = "rolled_back" if back else ROUND[number % len(ROUND)]
        run.step += 2
        data = _data(run, type_, number)
        who = {"origin": "api", "author": "anna"} if type_ in ("config_applied", "config_refused", "paused") else {}
        if back:
            data |= {"from_step": run.step, "to_step": run.step - 60, "from_branch": run.branch, "to_seq": seq - 30}
            run.step, run.branch = run.step - 60, run.branch + 1
        event = Event(
            seq=seq + 1, time=1.7e9 + number, step=run.step, branch=run.branch, type=type_, revision=run.revision,
            origin=who.get("origin"), author=who.get("author"), reason="trying" if who else None, data=data, hash="",
        )  # fmt: skip
        event = replace(event, hash=link(previous, event))
        seq, previous = event.seq, event.hash
        yield event


def _data(run: SyntheticRun, type_: str, number: int) -> dict[str, Any]:
    psnr_y = 25 + number % 997 / 200
    if type_ in ("config_applied", "rolled_back"):
        key = KEYS[number % len(KEYS)]
        new = {"max_lr": 1e-4 + number * 1e-9, "log_every": LOG_EVERY, "plateau_patience": 50 + number % 900}.get(
            key, 0.5 + number % 7 / 20
        )
        old, run.live[key] = run.live[key], new
        run.revision += 1
        return {"command": f"{number:032x}", "changes": [{"key": key, "old": old, "new": new}]}
    if type_ == "config_refused":
        problem = {"key": "max_lr", "value": 0.5, "message": "must be between 1e-05 and 0.001",
                   "reason_code": "refused.range", "fields": {"minimum": 1e-05, "maximum": 0.001}}  # fmt: skip
        return {"command": f"{number:032x}", "changes": {"max_lr": 0.5}, "errors": [problem]}
    if type_ == "validated":
        path = f"images/step_{run.step:07d}/clip_f012.png"
        image = {"path": path, "clip": "harbour", "frame": 12, "width": 320, "height": 136}
        return {"psnr_y": psnr_y, "ssim_y": 0.8, "quality": 0.7, "bicubic_psnr_y": 24.5, "bicubic_ssim_y": 0.75,
                "bicubic_quality": 0.6, "sharpness": 0.8, "clips": [], "images": [image], "by_hand": False}  # fmt: skip
    if type_ == "checkpoint_saved":
        return {"path": f"checkpoints/step_{run.step:07d}", "files": FILES, "size_bytes": 9_400_000, "reason": "due",
                "metrics": {"val/psnr_y": psnr_y, "val/ssim_y": 0.8, "loss/total": 0.02}, "revision": run.revision}  # fmt: skip
    if type_ == "plateau_detected":
        return {"reason": "no sign of improvement in 250 steps", "counter": 250, "threshold": 0.002}
    return {"command": f"{number:032x}"} if type_ in ("paused", "resumed") else {}


def _row(event: Event) -> tuple[Any, ...]:
    return (
        event.seq, event.time, event.step, event.branch, event.type, event.revision, event.origin, event.author,
        event.reason, canonical(event.data), event.hash,
    )  # fmt: skip


def _metrics(db: sqlite3.Connection, run: SyntheticRun, body: list[Event], rows: int) -> None:
    """About `rows` metric rows: all metrics of a row at every `LOG_EVERY`-th step, each on its branch."""
    values = db.execute("SELECT key_id, value FROM metrics").fetchall()
    branch_at = {event.step // LOG_EVERY: event.branch for event in body}
    steps = rows // len(values)
    spread = max(1, max(branch_at) // max(1, steps))
    db.executemany(
        "INSERT INTO metrics (key_id, branch, step, time, value) VALUES (?, ?, ?, ?, ?)",
        (
            (key, branch_at.get(place, run.branch), place * LOG_EVERY, 1.7e9 + place, value * (1 + 1 / place))
            for place in range(spread, spread * (steps + 1), spread)
            for key, value in values
        ),
    )
    run.step = max(run.step, spread * steps * LOG_EVERY)


def _folders(run: SyntheticRun, saved: list[Event], body: list[Event]) -> None:
    for event in saved:
        folder = run.paths.checkpoint(event.step)
        folder.root.mkdir(parents=True)
        head = body[event.seq - body[0].seq - 1]
        manifest = {"step": event.step, "branch": event.branch, "revision": event.revision, "reason": "due",
                    "metrics": event.data["metrics"], "chain": {"seq": head.seq, "hash": head.hash}}  # fmt: skip
        folder.manifest.write_text(json.dumps(manifest))


def _marks(run: SyntheticRun, saved: list[Event]) -> None:
    marks = Marks(run.paths.delivery_db)
    for sink in ("mlflow", "mlflow.artifacts", "mlflow.timeline", "tensorboard"):
        marks.advance(sink, metric_id=run.writer.newest_metric_id(), event_seq=run.writer.head()[0])
    marks.set_fact("end_state", {"state": "stopped", "seq": run.writer.head()[0]})
    for event in saved:
        item = {"model_id": f"m-{event.seq}", "bytes": 9_400_000, "off_host": "s3://models/run"}
        marks.put_item("mlflow", "checkpoint", f"{event.branch}/{event.step}", item)
    marks.close()
