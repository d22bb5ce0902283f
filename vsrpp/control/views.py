"""What the faces show of a run: status, config, history, runs, curves. Reads only; a live run never notices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vsrpp import config
from vsrpp.control import alerts
from vsrpp.control.backlog import open_marks
from vsrpp.control.best import BestCheckpoint, best_checkpoint, best_key
from vsrpp.control.delivery_status import delivery
from vsrpp.control.edits import current_config, run_config_of
from vsrpp.control.lineage import line_of
from vsrpp.control.numbers import finite, numbers
from vsrpp.control.remote_copies import newest_remote_copy
from vsrpp.control.runs import FINAL_STATES, local_runs, run_state
from vsrpp.paths import RunPaths, checkpoint_step
from vsrpp.store import ChainCheck, Event, RunReader


def status(paths: RunPaths) -> dict[str, Any]:
    """Where a run stands (design: keys of `status --json`)."""
    with RunReader(paths.run_db) as reader:
        trainer, history = reader.state(), current_config(reader)
        state = run_state(reader, trainer)
        latest = reader.latest()
        quality = {key: finite(latest[key].value) for key in latest if key.startswith("val/")}
        step = int(trainer.get("step", 0))
        ended = reader.last_event(*FINAL_STATES) if state in FINAL_STATES else None
        return {
            "run_id": reader.run_id,
            "run_dir": str(paths.root.resolve()),
            "name": run_config_of(reader).get("name"),
            "state": state,
            "step": step,
            "max_steps": history.live.get("max_steps"),
            "revision": history.revision,
            "branch": int(trainer.get("branch", 0)),
            "phase": trainer.get("phase"),
            "lr": finite(latest["lr"].value) if "lr" in latest else None,
            "losses": {k.split("/")[1]: finite(latest[k].value) for k in latest if k.startswith("loss/")},
            "config": history.live,
            "best": _document(best_of(reader)),
            "psnr_y": quality.get("val/psnr_y"),
            "bicubic_psnr_y": quality.get("val/bicubic_psnr_y"),
            "ssim_y": quality.get("val/ssim_y"),
            "bicubic_ssim_y": quality.get("val/bicubic_ssim_y"),
            "checkpoints": checkpoint_steps(paths),
            **_delivered(paths, reader, state),
            "steps_per_s": finite(trainer.get("steps_per_s")),
            **numbers(
                {key: row.value for key, row in latest.items()}, trainer, state, history.live, run_config_of(reader)
            ),
            "ended_because": (ended.reason or ended.data.get("error") or ended.data.get("why")) if ended else None,
            "probation": trainer.get("probation"),
            "updated": trainer.get("time"),
        }


def config_view(paths: RunPaths) -> dict[str, Any]:
    """The live config with tiers, ranges and who last changed each; startup keys after it, as they were resolved."""
    with RunReader(paths.run_db) as reader:
        history, run_config = current_config(reader), run_config_of(reader)
    rows = []
    for key, parameter in config.parameters().items():
        live = parameter.tier != "startup"
        event = history.last_change(key)
        rows.append(
            {
                "key": key,
                "value": (history.live if live else run_config).get(key),
                "tier": parameter.tier,
                "minimum": parameter.minimum,
                "maximum": parameter.maximum,
                "default": parameter.default_for(str(run_config.get("preset", "base"))),
                "unit": parameter.unit,
                "description": parameter.description,
                "menu": parameter.menu,
                "changed_by": (event.author or event.origin) if event else None,
                "changed_origin": event.origin if event else None,
                "changed_at_step": event.step if event else None,
            }
        )
    return {"revision": history.revision, "parameters": rows}


def history(paths: RunPaths) -> list[Event]:
    """Every event of a run, oldest first."""
    with RunReader(paths.run_db) as reader:
        return list(reader.events())


def verify(paths: RunPaths) -> ChainCheck:
    """Whether the chain of events holds, up to the heads that the checkpoints' manifests anchor."""
    anchors = []
    for step in checkpoint_steps(paths):
        manifest = manifest_of(paths, step)
        if manifest and "chain" in manifest:
            anchors.append((f"checkpoint {step}", int(manifest["chain"]["seq"]), str(manifest["chain"]["hash"])))
    with RunReader(paths.run_db) as reader:
        return reader.verify(anchors)


def runs(folder: Path) -> list[dict[str, Any]]:
    """The runs of this host, live ones first, then newest first."""
    rows = []
    for paths in local_runs(folder):
        with RunReader(paths.run_db) as reader:
            trainer = reader.state()
            rows.append(
                {
                    "run_id": reader.run_id,
                    "name": run_config_of(reader).get("name"),
                    "state": run_state(reader, trainer),
                    "step": int(trainer.get("step", 0)),
                    "best": _document(best_of(reader)),
                    "started": reader.meta("created"),
                    "run_dir": str(paths.root.resolve()),
                }
            )
    return sorted(rows, key=lambda row: row["state"] in FINAL_STATES | {"dead"})


def checkpoint_steps(paths: RunPaths) -> list[int]:
    """Steps of the whole checkpoints on disk, ascending."""
    if not paths.checkpoints.is_dir():
        return []
    steps = [checkpoint_step(folder) for folder in paths.checkpoints.iterdir() if (folder / "manifest.json").is_file()]
    return sorted(step for step in steps if step is not None)


def manifest_of(paths: RunPaths, step: int) -> dict[str, Any] | None:
    try:
        manifest = json.loads(paths.checkpoint(step).manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) else None


def best_of(reader: RunReader) -> BestCheckpoint | None:
    """The best checkpoint of the present line by the run's own metric; None before the first validated one."""
    return best_checkpoint(line_of(reader), best_key(run_config_of(reader)))


def _document(best: BestCheckpoint | None) -> dict[str, Any] | None:
    return best.to_json() if best else None


def _delivered(paths: RunPaths, reader: RunReader, state: str) -> dict[str, Any]:
    """What MLflow has not got yet, its age, what delivery says of the server; and the newest state off this host."""
    marks = open_marks(paths)
    try:
        remote_copy, why = newest_remote_copy(reader, marks)
        alert_state = alerts.state(reader, marks, run_config_of(reader))
        return {
            "backlog": {**delivery(reader, marks, state), "alerts": alert_state},
            "off_host": remote_copy,
            "off_host_why": why,
        }
    finally:
        if marks:
            marks.close()
