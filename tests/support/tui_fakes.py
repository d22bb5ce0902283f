"""A small trainer without torch: a real store, a real inbox, and answers from a thread."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any

from tests.support.inboxes import taken
from vsrpp import config, control
from vsrpp.control.backlog import ARTIFACTS, TIMELINE
from vsrpp.paths import RunPaths
from vsrpp.store import Answer, Command, Inbox, Marks, RunWriter
from vsrpp.store.pending import PendingCommands

START = 1_767_258_000.0
"""2026-01-01 09:00:00 UTC: snapshots must not depend on the current date."""
RHYTHM = {"max_lr": 1.5e-4, "max_steps": 3000, "log_every": 10, "validate_every": 200, "checkpoint_every": 200}
"""Set explicitly, so that new defaults do not change snapshots."""
LAYERS = (*(f"backward.{n}" for n in range(8)), *(f"forward.{n}" for n in range(8)), "fusion.0", "fusion.1", "fusion.2")


class FakeRun:
    """A run written through the store's writer. Without `serve` it does not advance, as snapshots need."""

    def __init__(self, folder: Path, run_id: str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0", *, at: float = START,
                 startup: dict[str, Any] | None = None, **live: Any) -> None:  # fmt: skip
        folder.mkdir(parents=True)
        self.paths = RunPaths(folder)
        self.run_config, self.live = config.defaults("demo", startup)
        self.run_config |= {"name": "bikes-demo", "data": "sample", "device": "cpu", "n_feats": 24, "n_blocks": 8}
        self.run_config |= startup or {}
        self.live |= {**RHYTHM, **live}
        self.step = self.branch = self.revision = 0
        self.state = "training"
        self.phase = "stable"
        self.at = at
        self.limits: dict[str, Any] = {}
        """The trainer's published limits for hours and price, if any."""
        self.probation: dict[str, Any] | None = None
        self.refuse: str | None = None
        """The reason for refusing the next command."""
        self.deaf = False
        """Whether commands are left unanswered."""
        self.seen: list[Command] = []
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.writer = RunWriter(self.paths.run_db, run_id)
        self.writer.set_meta("created", at)
        self.inbox = Inbox(self.paths.inbox_db)
        self.event(
            "started",
            {"run_config": self.run_config, "config": self.live, "device": "cpu", "host": "here", "parent": None},
        )
        self.say()

    # ---- writing
    def event(self, type: str, data: dict[str, Any] | None = None, **more: Any) -> Any:
        with self._lock:  # the writer belongs to one thread at a time
            fields = {"step": self.step, "branch": self.branch, "revision": self.revision, "at": self.at, **more}
            return self.writer.append(type, data=data, **fields)

    def say(self) -> None:
        process = control.process_identity() if self.state not in control.FINAL_STATES else {}
        with self._lock:
            self.writer.set_state(
                {"state": self.state, "step": self.step, "branch": self.branch, "revision": self.revision,
                 "phase": self.phase, "steps_per_s": 2.5, "process": process, "probation": self.probation, **self.limits}
            )  # fmt: skip

    def train(self, steps: int, **metrics: float) -> FakeRun:
        """Advance by `steps`, with a row every ten."""
        with self._lock:
            for _ in range(steps // 10):
                self.step += 10
                self.at += 4.0
                self.writer.record(self.step, self.branch, {**figures(self.step, self.live), **metrics}, at=self.at)
            self.say()
        return self

    def validate(self, psnr_y: float, *, by_hand: bool = False) -> FakeRun:
        values = {"psnr_y": psnr_y, "ssim_y": psnr_y / 40 + 0.05, "bicubic_psnr_y": 29.5, "bicubic_ssim_y": 0.78}
        with self._lock:
            self.writer.record(
                self.step, self.branch, {f"val/{key}": value for key, value in values.items()}, at=self.at
            )
            self.event(
                "validated", {**values, "quality": 0.6, "sharpness": 0.8, "clips": [], "images": [], "by_hand": by_hand}
            )
        return self

    def checkpoint(self, psnr_y: float | None = None) -> FakeRun:
        folder = self.paths.checkpoint(self.step)
        folder.root.mkdir(parents=True, exist_ok=True)
        folder.manifest.write_text("{}", encoding="utf-8")
        metrics = {} if psnr_y is None else {"val/psnr_y": psnr_y}
        self.event(
            "checkpoint_saved",
            {"path": f"checkpoints/{folder.root.name}", "metrics": metrics, "size_bytes": 3_300_000, "reason": "due",
             "revision": self.revision, "files": []},
        )  # fmt: skip
        return self

    def edit(self, changes: dict[str, Any], *, origin: str = "cli", author: str = "anna", reason: str | None = None,
             uid: str | None = None) -> Any:  # fmt: skip
        with self._lock:
            self.revision += 1
            rows = [{"key": key, "old": self.live[key], "new": new} for key, new in changes.items()]
            self.live = {**self.live, **changes}
            return self.event(
                "config_applied", {"command": uid, "changes": rows}, origin=origin, author=author, reason=reason
            )

    def delivered(self) -> FakeRun:
        """Mark everything so far as uploaded to the tracking server."""
        marks = Marks(self.paths.delivery_db)
        for sink in (ARTIFACTS, TIMELINE):
            marks.advance(sink, event_seq=self.writer.head()[0])
        marks.advance("mlflow", metric_id=self.writer.newest_metric_id(), event_seq=self.writer.head()[0])
        marks.close()
        return self

    def end(self, state: str, data: dict[str, Any] | None = None) -> FakeRun:
        self.state = state
        self.event(state, data or {})
        self.say()
        return self

    # ---- answering
    def serve(self) -> FakeRun:
        """Answer commands until `close`."""
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(120)
        self.inbox.close()
        self.writer.close()

    def _serve(self) -> None:
        pending = PendingCommands(self.paths.inbox_db)
        while not self._stop.wait(0.02):
            with self._lock:
                self.say()
            for command in taken(pending):
                self.seen.append(command)
                if not self.deaf:
                    with self._lock:
                        self.inbox.answer(command.uid, self._answer(command))
                        self.say()
        pending.close()

    def _answer(self, command: Command) -> Answer:
        if self.refuse is not None:
            message, self.refuse = self.refuse, None
            return Answer(status="refused", revision=self.revision, message=message)
        if command.kind == "edit":
            return self._answer_edit(command)
        who = {"origin": command.origin, "author": command.author, "reason": command.reason}
        if command.kind in ("pause", "resume"):
            self.state = "paused" if command.kind == "pause" else "training"
            self.event("paused" if command.kind == "pause" else "resumed", {"command": command.uid}, **who)
        elif command.kind == "validate":
            self.validate(30.5, by_hand=True)
        elif command.kind == "checkpoint":
            self.checkpoint()
        elif command.kind == "rollback":
            to, self.branch, self.revision = int(command.payload["step"]), self.branch + 1, self.revision + 1
            was, self.step = self.step, to
            self.event(
                "rolled_back", {"from_step": was, "to_step": to, "from_branch": self.branch - 1, "changes": []}, **who
            )
        elif command.kind == "stop":
            self.end("stopped", {"why": "stop"})
        return Answer(status="done", step=self.step, branch=self.branch, revision=self.revision)

    def _answer_edit(self, command: Command) -> Answer:
        changes = command.payload["changes"]
        problems = config.check_changes(self.live, changes, self.run_config)
        if problems:
            return Answer(status="refused", message=config.refusal_line(problems, self.revision, self.live))
        event = self.edit(
            changes, origin=command.origin, author=command.author or "", reason=command.reason, uid=command.uid
        )
        return Answer(status="applied", step=self.step, revision=self.revision, changes=event.data["changes"])


def half_way(folder: Path, *, at: float = START, **options: Any) -> FakeRun:
    """A run in progress, started `at`: six validations and checkpoints, an edit, everything uploaded."""
    run = FakeRun(folder, at=at, **options)
    for number in range(6):
        run.train(200).validate(29.6 + 0.1 * number).checkpoint(29.6 + 0.1 * number)
        if number == 2:
            run.edit({"max_lr": 2e-4}, reason="too slow")
    return run.train(30).delivered()


def figures(step: int, live: dict[str, Any]) -> dict[str, float]:
    """A plausible row: losses fall with a little noise, activities vary between layers."""
    wave = math.sin(step / 37)
    loss = 0.02 + 0.06 * math.exp(-step / 400) + 0.001 * wave
    row = {
        "loss/total": loss, "loss/l1": loss * 0.9, "loss/ms": loss * 0.7, "loss/grad": loss * 1.1,
        "weight/l1": 0.6, "weight/ms": 0.2, "weight/grad": 0.2, "weight/perceptual": 0.0,
        "share/l1": 0.6, "share/ms": 0.15, "share/grad": 0.25,
        "lr": live["max_lr"] * 0.5 * (1 + math.cos(math.pi * min(1.0, step / live["max_steps"]))), "lr_factor": 1.0,
        "grad_norm": 0.42 + 0.1 * wave, "grad_clip": 1.0, "optimizer/momentum": 0.213,
        "plateau/counter": float(step % 180), "plateau/ema_loss": loss, "plateau/best_loss": loss,
        "speed/steps_per_s": 2.5, "speed/step_s": 0.4, "speed/data_wait_s": 0.02, "run/branch": 0.0,
        "speed/compute_s": 0.37, "speed/boundary_s": 0.01, "speed/validation_s": 0.05, "speed/checkpoint_s": 0.0,
        "progress/convergence": 1.0, "progress/slope_percent_per_1000_steps": -21.4, "progress/slope_error_percent": 1.6,
        "progress/score": 62.4, "progress/score_gain": 36.0, "progress/score_sharpness": 8.0,
        "progress/score_convergence": 10.0, "progress/score_stability": 8.4, "progress/spent_s": 492.0,
        "system/process_cpu_percent": 98.0, "system/process_memory_mib": 812.0, "system/memory_used_percent": 41.0,
    }  # fmt: skip
    for number, layer in enumerate(LAYERS):
        row[f"activity/{layer}"] = 0.25 + 0.03 * number + 0.02 * math.sin(step / 50 + number)
    return row
