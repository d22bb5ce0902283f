"""Compares runs: run config, live config, interventions and results side by side, as plain data."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from vsrpp.config.declared import in_short
from vsrpp.control import messages
from vsrpp.control.best import BestRule, best_checkpoint
from vsrpp.control.effect import INTERVENTIONS, Effects, rows_of
from vsrpp.control.lineage import ConfigSpan, lineage
from vsrpp.control.narrate import narrate
from vsrpp.control.runs import FINAL_STATES, run_state
from vsrpp.formats import finite
from vsrpp.paths import RunPaths
from vsrpp.store import Event, RunReader
from vsrpp.texts import english

LOSS, PSNR_Y, SSIM_Y = "loss/total", "val/psnr_y", "val/ssim_y"
KEYS = (LOSS, PSNR_Y, SSIM_Y)
STEPS_SHOWN = 10
"""Maximum rows in the table of results, evenly spread over the steps that all runs have."""
Points = Sequence[tuple[int, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The data of one run to compare: its events, and its curves along its current line."""

    run_id: str
    state: str
    source: str
    """`local`, or the address of the tracking server."""
    events: Sequence[Event]
    curves: Mapping[str, Points]
    """Metric -> (step, value), ascending; of the keys in `KEYS`."""
    effects: Mapping[int, dict[str, Any]] = field(default_factory=dict)
    """Event number -> loss and PSNR-Y before and since."""

    @property
    def started(self) -> Event:
        return next(event for event in self.events if event.type == "started")


def local_record(paths: RunPaths) -> Record:
    """The record of a run folder. Raises NotFound if the run has not started."""
    with RunReader(paths.run_db) as reader:
        events = list(reader.events())
        if not any(event.type == "started" for event in events):
            raise messages.NOTHING_TO_COMPARE(run=paths.run_id)
        line = lineage(events)
        curves = {key: line.along((r.branch, r.step, r.value) for r in reader.series(key)) for key in KEYS}
        effects = Effects(rows_of(reader)).of(events, newest=len(events))
        return Record(
            run_id=reader.run_id, state=run_state(reader), source="local", events=events, curves=curves,
            effects={seq: effect.to_json() for seq, effect in effects.items()},
        )  # fmt: skip


def record_of(run_id: str, source: str, events: Sequence[Event], rows: Mapping[tuple[int, int, str], float]) -> Record:
    """The record of a run without a local folder; `rows` maps (branch, step, key) to values."""
    line = lineage(events)
    by_key = {key: sorted((b, s, v) for (b, s, name), v in rows.items() if name == key) for key in KEYS}
    losses = by_key[LOSS]

    def between(branch: int, first: int, last: int) -> list[tuple[int, float]]:
        return [(s, v) for b, s, v in losses if b == branch and s >= first and (last < 0 or s <= last)]

    effects = Effects(between).of(events, newest=len(events))
    ended = [event.type for event in events if event.type in FINAL_STATES | {"resumed", "restored", "started"}]
    return Record(
        run_id=run_id, state=ended[-1] if ended and ended[-1] in FINAL_STATES else "unknown", source=source,
        events=events, curves={key: line.along(values) for key, values in by_key.items()},
        effects={seq: effect.to_json() for seq, effect in effects.items()},
    )  # fmt: skip


def compare(records: Sequence[Record]) -> dict[str, Any]:
    """The comparison as one JSON document (keys: docs/mlflow.md). Lists of values are in the order of `records`."""
    results = _results(records)
    run_config = _differing([dict(r.started.data.get("run_config") or {}) for r in records], leave_out={"name"})
    timelines = [lineage(record.events).config_spans() for record in records]
    return {
        "runs": [_summary(record) for record in records],
        "run_config": run_config,
        "live_config": _live(timelines),
        "parted": {
            "run_config": [row["key"] for row in run_config],
            "live_config_step": _config_parts(timelines),
            "loss_step": _loss_parts(records),
        },
        "interventions": _interventions(records),
        "results": results,
    }


def _summary(record: Record) -> dict[str, Any]:
    started, psnr, ssim, loss = record.started, *(record.curves.get(key, ()) for key in (PSNR_Y, SSIM_Y, LOSS))
    best = best_checkpoint(lineage(record.events), BestRule.of(started.data.get("run_config") or {}))
    parent = started.data.get("parent") or {}
    return {
        "run_id": record.run_id,
        "name": (started.data.get("run_config") or {}).get("name"),
        "state": record.state,
        "source": record.source,
        "started": started.time,
        "first_step": started.step,
        "last_step": max([event.step for event in record.events] + [step for step, _ in loss[-1:]]),
        "branch": record.events[-1].branch,
        "revision": record.events[-1].revision,
        "parent": {"run_id": parent.get("run_id"), "step": parent.get("step")} if parent else None,
        "code_version": started.data.get("code_version"),
        "data_fingerprint": started.data.get("data_fingerprint"),
        "best": {**best.to_json(), "ssim_y": finite(dict(ssim).get(best.step))} if best else None,
        "last": {
            "psnr_y": finite(psnr[-1][1]) if psnr else None,
            "ssim_y": finite(ssim[-1][1]) if ssim else None,
            "loss": finite(loss[-1][1]) if loss else None,
        },
    }


def _differing(configs: Sequence[Mapping[str, Any]], leave_out: set[str]) -> list[dict[str, Any]]:
    keys = [key for key in dict.fromkeys(key for config in configs for key in config) if key not in leave_out]
    rows: list[dict[str, Any]] = [{"key": key, "values": [config.get(key) for config in configs]} for key in keys]
    return [row for row in rows if len({_same_setting(row["key"], value) for value in row["values"]}) > 1]


def _same_setting(key: str, value: Any) -> str:
    return in_short(value or ()) if key == "plugins" else _same_form(value)  # the same code may stand in another folder


def _same_form(value: Any) -> str:
    return json.dumps(float(value) if type(value) is int else value, sort_keys=True)


def _live(timelines: Sequence[list[ConfigSpan]]) -> list[dict[str, Any]]:
    """For each key that differs between runs or changes: its values and the steps they start at, per run."""
    keys = dict.fromkeys(key for timeline in timelines for span in timeline for key in span.live)
    rows = []
    for key in keys:
        changes = [_changes(timeline, key) for timeline in timelines]
        if len(
            {_same_form([change["value"] for change in run_changes]) for run_changes in changes}
        ) > 1 or _steps_differ(changes):
            rows.append({"key": key, "changes": changes})
    return rows


def _changes(timeline: list[ConfigSpan], key: str) -> list[dict[str, Any]]:
    changes: list[dict[str, Any]] = []
    for span in timeline:
        value = span.live.get(key)
        if changes and changes[-1]["value"] is value:
            continue
        if not changes or _same_form(changes[-1]["value"]) != _same_form(value):
            changes.append({"step": span.from_step, "value": value})
    return changes


def _steps_differ(changes: Sequence[list[dict[str, Any]]]) -> bool:
    """Whether the same values started at different steps; a different first step does not count."""
    return len({tuple(change["step"] for change in run_changes[1:]) for run_changes in changes}) > 1


def _config_parts(timelines: Sequence[list[ConfigSpan]]) -> int | None:
    """The first step at which the runs used different live configs; None if they never did."""
    first = max((timeline[0].from_step for timeline in timelines if timeline), default=0)
    steps = sorted({max(first, span.from_step) for timeline in timelines for span in timeline})
    forms = [[_same_form({}), *(_same_form(dict(span.live)) for span in timeline)] for timeline in timelines]
    for step in steps:
        in_force = [bisect_right(timeline, step, key=attrgetter("from_step")) for timeline in timelines]
        if len({form[place] for form, place in zip(forms, in_force, strict=True)}) > 1:
            return step
    return None


def _loss_parts(records: Sequence[Record]) -> int | None:
    """The first common step with different losses; None if there is none."""
    curves = [dict(record.curves.get(LOSS, ())) for record in records]
    for step in _common(curves):
        if len({repr(curve[step]) for curve in curves}) > 1:
            return step
    return None


def _common(curves: Sequence[Mapping[int, float]]) -> list[int]:
    return sorted(set.intersection(*(set(curve) for curve in curves))) if curves else []


def _interventions(records: Sequence[Record]) -> list[dict[str, Any]]:
    """The interventions by step, with one list per run."""
    by_step: dict[int, list[list[dict[str, Any]]]] = {}
    for number, record in enumerate(records):
        for event in record.events:
            if event.type not in INTERVENTIONS:
                continue
            cells = by_step.setdefault(event.step, [[] for _ in records])
            narration = narrate(event)
            cells[number].append(
                {
                    "what": narration.brief(english), "who": narration.by(english), "why": narration.why(english) or None,
                    "revision": event.revision, "branch": event.branch, "effect": record.effects.get(event.seq),
                }
            )  # fmt: skip
    return [{"step": step, "runs": by_step[step]} for step in sorted(by_step)]


def _results(records: Sequence[Record]) -> dict[str, Any]:
    """Each metric at up to STEPS_SHOWN steps that all runs have, always including the last one."""
    results = {}
    for key in KEYS:
        curves = [dict(record.curves.get(key, ())) for record in records]
        steps = _spread(_common(curves))
        results[key] = {"steps": steps, "values": [[finite(curve[step]) for step in steps] for curve in curves]}
    return results


def _spread(steps: list[int]) -> list[int]:
    if len(steps) <= STEPS_SHOWN:
        return steps
    return [steps[round(number * (len(steps) - 1) / (STEPS_SHOWN - 1))] for number in range(STEPS_SHOWN)]
