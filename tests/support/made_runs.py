"""A plausible run on disk, written through the store's writer, for tests of uploads."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from pathlib import Path
from typing import Any

from vsrpp.paths import CheckpointPaths, RunPaths
from vsrpp.store import RunWriter
from vsrpp.store.signing import Signer

RUN_CONFIG: dict[str, Any] = {
    "preset": "demo", "name": "made", "network": "vsrpp", "n_feats": 4, "n_blocks": 1, "scale": 2, "num_frames": 5,
    "crop_size": 64, "batch_size": 2, "seed": 1, "data": "sample",
}  # fmt: skip
LIVE: dict[str, Any] = {
    "max_lr": 1.5e-4, "min_lr": 1e-6, "plateau_patience": 250, "cooldown_duration": 50, "grad_clip": 1.0,
    "adaptive": True, "plateau_action": "reduce_lr", "l1_weight": 0.6, "ms_weight": 0.2, "grad_weight": 0.2,
    "perceptual_weight": 0.0, "max_steps": 400,
}  # fmt: skip
START = 1_700_000_000.25


class MadeRun:
    """A run that can be continued: `train`, `edit`, `validate`, `checkpoint`, `rollback`, `end`."""

    def __init__(self, folder: Path, run_id: str, *, signer: Signer | None = None) -> None:
        folder.mkdir(parents=True)
        self.paths = RunPaths(folder)
        self.run_id = run_id
        self.writer = RunWriter(self.paths.run_db, run_id, signer=signer)
        self.step = self.branch = self.revision = 0
        self.live = dict(LIVE)
        self.now = START

    def tick(self) -> float:
        """Time of the next row or event, an eighth of a second later."""
        self.now += 0.125
        return self.now

    def event(self, type: str, data: dict[str, Any] | None = None, **who: Any) -> None:
        self.writer.append(
            type, step=self.step, branch=self.branch, revision=self.revision, data=data, at=self.tick(), **who
        )

    def start(self, parent: dict[str, Any] | None = None, **more: Any) -> MadeRun:
        self.event(
            "started",
            {
                "run_config": RUN_CONFIG, "config": self.live, "versions": {"vsrpp": "0.1.0", "torch": "2.13.0"},
                "host": "somewhere", "device": "cpu", "data_fingerprint": "f" * 64, "parent": parent,
                "code_version": "abc", **more,
            },
        )  # fmt: skip
        return self

    def train(self, steps: int, every: int = 10) -> MadeRun:
        for _ in range(steps // every):
            self.step += every
            values = {f"loss/{term}": 1.0 / self.step for term in ("total", "l1", "ms", "grad")}
            values |= {"weight/l1": 0.6, "weight/ms": 0.2, "weight/grad": 0.2, "weight/perceptual": 0.0}
            values |= {"plateau/counter": 3.0, "plateau/ema_loss": 0.1, "plateau/best_quality": 0.5}
            values |= {"plateau/progress_percent": 12.0, "lr": 1e-4, "grad_norm": float("nan")}
            values |= {"run/branch": float(self.branch), "activity/backward.0": 0.7}
            self.writer.record(self.step, self.branch, values, at=self.tick())
        return self

    def edit(self, key: str, new: Any, reason: str = "because") -> MadeRun:
        self.revision += 1
        change = {"key": key, "old": self.live[key], "new": new}
        self.live[key] = new
        values = {"config/revision": float(self.revision), "events/config_change": 1.0, f"config/{key}": float(new)}
        self.writer.record(self.step, self.branch, values, at=self.tick())
        self.event("config_applied", {"changes": [change]}, origin="cli", author="anna", reason=reason)
        return self

    def validate(self, psnr_y: float) -> MadeRun:
        self.writer.record(
            self.step, self.branch, {"val/psnr_y": psnr_y, "val/quality": 0.5, "events/validation": 1.0}, at=self.tick()
        )
        path = self.paths.images / f"step_{self.step:07d}" / "bikes.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(24, 8))
        image = {"path": str(path.relative_to(self.paths.root)), "clip": "bikes", "width": 24, "height": 8}
        self.event("validated", {"metrics": {"val/psnr_y": psnr_y}, "images": [image]})
        return self

    def checkpoint(self, psnr_y: float | None = None) -> CheckpointPaths:
        folder = self.paths.checkpoint(self.step)
        seq, head = self.writer.head()
        metrics = {} if psnr_y is None else {"val/psnr_y": psnr_y}
        files = {
            "model.safetensors": b"weights of step %d on branch %d" % (self.step, self.branch),
            "model_ema.safetensors": b"averaged",
            "training_state.pt": b"state" * 1000,
            "runtime_config.json": json.dumps({"revision": self.revision, **self.live}).encode(),
            "run_config.yaml": "\n".join(f"{key}: {value}" for key, value in RUN_CONFIG.items()).encode(),
        }
        write_checkpoint(folder, files, self.run_id, self.step, self.branch, self.revision, metrics, (seq, head))
        if self.writer.signer is not None:
            folder.manifest.write_text(json.dumps(self.writer.signer.signed(json.loads(folder.manifest.read_text()))))
        self.saved(folder, metrics)
        return folder

    def saved(self, folder: CheckpointPaths, metrics: dict[str, float]) -> None:
        manifest = json.loads(folder.manifest.read_text())
        self.event(
            "checkpoint_saved",
            {
                "path": str(folder.root.relative_to(self.paths.root)), "metrics": metrics, "reason": "due",
                "size_bytes": sum(about["bytes"] for about in manifest["files"].values()),
                "files": {name: about["sha256"] for name, about in manifest["files"].items()},
            },
        )  # fmt: skip

    def rollback(self, to_step: int) -> MadeRun:
        self.step, self.branch, self.revision = to_step, self.branch + 1, self.revision + 1
        self.event("rolled_back", {"to_step": to_step, "changes": []}, origin="rollback", author="anna")
        return self

    def end(self, type: str = "finished") -> MadeRun:
        self.event(type)
        self.close()
        return self

    @property
    def root(self) -> Path:
        return self.paths.root

    def close(self) -> None:
        self.writer.close()


def made_run(
    runs: Path, run_id: str = "ab12" * 8, *, steps: int = 100, ended: bool = True,
    run_config: dict[str, Any] | None = None, signer: Signer | None = None,
) -> MadeRun:  # fmt: skip
    """A run with edits, two validations and two checkpoints, the first of which is the better one."""
    started = MadeRun(runs / run_id, run_id, signer=signer).start(run_config={**RUN_CONFIG, **(run_config or {})})
    run = started.train(steps).edit("max_lr", 2e-4).validate(31.5)
    run.checkpoint(31.5)
    run.train(steps).edit("grad_clip", 0.5, "it | jumps\nabout").validate(31.25)
    run.checkpoint(31.25)
    return run.end() if ended else run


def write_checkpoint(
    folder: CheckpointPaths, files: dict[str, bytes], run_id: str, step: int, branch: int, revision: int,
    metrics: dict[str, float], chain: tuple[int, str],
) -> None:  # fmt: skip
    folder.root.mkdir(parents=True)
    for name, content in files.items():
        (folder.root / name).write_bytes(content)
    about = {name: {"sha256": hashlib.sha256(c).hexdigest(), "bytes": len(c)} for name, c in files.items()}
    manifest = {
        "format": 1, "run_id": run_id, "step": step, "branch": branch, "revision": revision, "metrics": metrics,
        "chain": {"seq": chain[0], "hash": chain[1]}, "versions": {"torch": "2.13.0"}, "time": START, "files": about,
    }  # fmt: skip
    folder.manifest.write_text(json.dumps(manifest))


def png(width: int, height: int) -> bytes:
    """A grey image, encoded without a library."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + b"\x80" * 3 * width for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
