"""Replay: retrain from the record alone, with every recorded intervention at its step, and compare.

Commands and edits are repeated from the record along the run's line (steps on abandoned branches are not retrained).
Automatic decisions, above all the controller's, are made again and compared with the record.
"""

from __future__ import annotations

import hashlib
import math
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from vsrpp import control, models
from vsrpp.checkpoints.files import load_checkpoint, versions
from vsrpp.control import ConfigHistory, Lineage
from vsrpp.control.world_sizes import world_sizes
from vsrpp.paths import CheckpointPaths, RunPaths
from vsrpp.plugins import record as plugin_record
from vsrpp.store import Event, RunReader, RunWriter
from vsrpp.training import bad_samples, messages
from vsrpp.training.loop import train
from vsrpp.training.machine import resolve_machine
from vsrpp.training.open_run import open_run
from vsrpp.training.preflight import Preflight
from vsrpp.training.prepared import Prepared, code_version, pretrained_sha256
from vsrpp.training.resume import open_recorded
from vsrpp.training.status import TrainingProgress

COMPARED = ("loss/", "lr", "lr_factor", "grad_norm", "grad_clip", "weight/", "val/", "plateau/")
"""Metrics that follow from the record, unlike speeds and system metrics."""
DECISIONS = frozenset(
    {"plateau_detected", "plateau_cleared", "safety_reset", "lr_floor", "phase_changed", "non_finite"}
)
WEIGHTS = "model.safetensors"

Rows = dict[tuple[int, int, str], float]
"""(branch, step, key) -> value."""


@dataclass(slots=True)
class Original:
    """The record of the run to replay, from its folder or from the tracking server."""

    run_id: str
    events: list[Event]
    rows: Rows
    start: CheckpointPaths | None = None
    """The start checkpoint of a run that continued another one."""

    @classmethod
    def of(cls, run: RunPaths) -> Original:
        """Read from the run's own store. Raises NotFound without one."""
        with RunReader(run.run_db) as reader:
            rows = {(r.branch, r.step, r.key): r.value for r in reader.metrics() if _compared(r.key)}
            events = list(reader.events())
            return cls(
                reader.run_id, events, rows, run.checkpoint(events[0].step) if events[0].data.get("parent") else None
            )


@dataclass(slots=True)
class ReplayVerdict:
    """The result of a replay: the document of `vsrpp replay --json`."""

    run_id: str
    replayed_run_id: str
    identical: bool
    sha256: str
    original_sha256: str
    step: int
    """The step up to which both were compared."""
    first_difference: dict[str, Any] | None = None
    causes: list[str] = field(default_factory=list)
    """Differences from the original environment that may explain a different result."""

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def replay(
    original: Original, folder: Path, *, say: Callable[[str], None] = lambda _: None,
    on_progress: Callable[[TrainingProgress], None] = lambda _: None, preflight: Preflight | None = None,
    allow_changed_code: bool = False, moved_to: str | None = None,
) -> ReplayVerdict:  # fmt: skip
    """Retrain the run in `folder` up to its newest recorded checkpoint. `moved_to`: where its data is now.

    Raises Refused if there is nothing to compare, KeyboardInterrupt if a signal ended it before that checkpoint.
    """
    line = control.lineage(original.events)
    goal = _last_checkpoint(line)
    resumed = next((event for event in reversed(original.events) if event.type == "restored"), None)
    run_config = {**line.events[0].data["run_config"], **(resumed.data.get("moved", {}) if resumed else {})}
    plugins = run_config.get("plugins") or []
    if plugins:
        run_config["plugins"] = plugin_record.reopen(
            run_config, line.events[0].data.get("plugin_sources") or {}, folder, say=say, exact=True,
            allow_changed=allow_changed_code,
        )  # fmt: skip
    prepared = _prepare(original, line, run_config, folder, say, preflight or Preflight(), moved_to)
    changed = [one["source"] for one, now in zip(plugins, run_config.get("plugins") or (), strict=True) if one != now]
    changed += [source for event in original.events if event.type == "restored" for source in _other_code(event)]
    causes = [f"the code of {source} has changed" for source in changed]
    causes += _causes(line.events[0], prepared) + _other_ranks(original.events, prepared)
    for cause in causes:
        say(f"⚠️  {cause}")
    run = open_run(prepared, on_progress=on_progress, stop_at=goal.step)
    if train(run) != "replayed":
        raise KeyboardInterrupt
    weights = run.state.capture({}).model
    sha256 = hashlib.sha256(safetensors.torch.save(weights)).hexdigest()
    expected = str(goal.data["files"][WEIGHTS])
    with RunReader(prepared.paths.run_db) as reader:
        rows = {(r.branch, r.step, r.key): r.value for r in reader.metrics() if _compared(r.key)}
        events = list(reader.events())
    difference = _first_row_that_differs(line, original.rows, rows, goal.step) or _first_decision_that_differs(
        line.events, events, goal.step
    )
    identical = sha256 == expected
    if not identical and difference is None:
        difference = {"step": goal.step, "what": "the weights, although all recorded metrics agree"}
    return ReplayVerdict(
        original.run_id, prepared.paths.run_id, identical, sha256, expected, goal.step,
        None if identical else difference, [] if identical else causes,
    )  # fmt: skip


def _prepare(
    original: Original, line: Lineage, run_config: dict[str, Any], folder: Path, say: Callable[[str], None],
    preflight: Preflight, moved_to: str | None,
) -> Prepared:  # fmt: skip
    started = line.events[0]
    device = resolve_machine(run_config, preflight.group.local_rank)
    command = f"vsrpp replay {original.run_id}"
    data = open_recorded(run_config, started.data, moved_to, command, run_id=original.run_id)
    snapshot = None
    if started.data.get("parent"):
        if original.start is None:
            raise messages.START_IS_ELSEWHERE(run=original.run_id)
        snapshot, _ = load_checkpoint(original.start)
        snapshot.live = dict(started.data["config"])
    preflight.hold(run_config, data, device)
    replay_paths = RunPaths(folder / uuid.uuid4().hex)
    replay_paths.checkpoints.mkdir(parents=True)
    writer = RunWriter(replay_paths.run_db, replay_paths.run_id)
    return Prepared(
        replay_paths, writer, run_config, data, device, ConfigHistory.of([started]), line, snapshot, started.branch,
        base_seq=started.seq, replay=True, group=preflight.group,
        bad_frames=bad_samples.on_record(original.events, int(run_config["batch_size"]), complete=True),
    )  # fmt: skip


def _last_checkpoint(line: Lineage) -> Event:
    saved = [
        e for e in line.events if e.type == "checkpoint_saved" and line.holds(e.branch, e.step) and e.data.get("files")
    ]
    after_start = [event for event in saved if event.data.get("reason") != "start"]
    if not after_start:
        raise messages.NOTHING_TO_REPLAY()
    return max(after_start, key=lambda event: event.step)


def _other_code(restored: Event) -> list[str]:
    """The plug-ins whose code a resume allowed to differ."""
    return [str(record["source"]) for record in restored.data.get("plugins") or ()]


def _causes(started: Event, now: Prepared) -> list[str]:
    """Changes since the original run that are known to affect the bits."""
    then = started.data
    causes = [
        f"{name} was {then['versions'].get(name) or 'not recorded'} and is {here}"
        for name, here in versions().items()
        if then["versions"].get(name, here) != here  # older runs did not record all versions
    ]
    if then.get("code_version") not in (None, code_version()):
        causes.append(f"the code was {then['code_version']} and is {code_version()}")
    device = torch.cuda.get_device_name(now.device) if now.device.type == "cuda" else "cpu"
    if then.get("device") != device:
        causes.append(f"the device was {then.get('device') or 'not recorded'} and is {device}")
    if then.get("data_fingerprint") != now.data.fingerprint:
        causes.append("the data has changed")
    if then.get("pretrained_sha256") not in (None, pretrained_sha256(now.run_config)):
        causes.append("the pretrained weight file has changed")
    if now.device.type == "cuda" and not models.exact(now.run_config):
        causes.append(f"network {now.run_config['network']} cannot be replayed bit for bit on CUDA")
    if not then["run_config"].get("deterministic", True):
        causes.append("deterministic was off: such a run cannot be replayed bit for bit")
    return causes


def _other_ranks(events: Iterable[Event], now: Prepared) -> list[str]:
    then = sorted(set(world_sizes(events)))
    if then == [now.group.world_size]:
        return []
    sizes = " and ".join(map(str, then))
    return [f"it was trained by {sizes} processes and is replayed by {now.group.world_size}"]


def _first_row_that_differs(
    line: Lineage, then: Mapping[Any, float], now: Mapping[Any, float], stop: int
) -> dict[str, Any] | None:
    """The earliest row of the line that differs."""
    on_line = [
        (step, key, value, now.get((branch, step, key)))
        for (branch, step, key), value in then.items()
        if step <= stop and line.holds(branch, step)
    ]
    for step, key, value, again in sorted(on_line, key=lambda row: (row[0], row[1])):
        if again is None:  # a requested validation, the row of a stop: the replay takes their effect from the record
            continue
        if not (value == again or (math.isnan(value) and math.isnan(again))):
            return {"step": step, "what": f"{key} was {value!r} and is {again!r}"}
    return None


def _first_decision_that_differs(then: Iterable[Event], now: Iterable[Event], stop: int) -> dict[str, Any] | None:
    """The earliest decision of the controller that differs."""
    before, after = (
        [(e.step, e.type) for e in events if e.type in DECISIONS and e.step <= stop] for events in (then, now)
    )
    for was, became in zip(before, after, strict=False):
        if was != became:
            return {
                "step": min(was[0], became[0]),
                "what": f"{was[1]} at step {was[0]} was {became[1]} at step {became[0]}",
            }
    if len(before) != len(after):
        step, type_ = (before + after)[min(len(before), len(after))] if len(before) > len(after) else after[len(before)]
        return {"step": step, "what": f"{type_} {'is missing' if len(before) > len(after) else 'is new'}"}
    return None


def _compared(key: str) -> bool:
    return key.startswith(COMPARED)
