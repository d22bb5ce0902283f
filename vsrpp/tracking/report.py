"""The run's description and its timeline, as text: what changed, when, by whom, why, and how to get it back."""

from __future__ import annotations

import json
import time
from typing import Any

from vsrpp import config
from vsrpp.store import Event
from vsrpp.tracking.view import RunView, went_back_to

MAX_CHARACTERS = 8000
"""A tag of MLflow holds no more, and the description is one."""
TIMELINE = "timeline.jsonl"
"""The artifact that holds every event, complete: from it alone a run is replayed or continued."""


def description(view: RunView, run_id: str, step: int) -> str:
    """The Markdown shown on the run's page: newest interventions first, as many as 8000 characters hold."""
    best = view.best()
    revision = view.events[-1].revision if view.events else 0
    lines = [f"**VSR++ run `{run_id}`**: {view.state}, step {step}, revision {revision}", ""]
    if best:
        lines.append(f"Best checkpoint: step **{best[0]}**, PSNR-Y **{best[1]:.3f} dB**")
    elif view.checkpoints:
        lines.append(f"Newest checkpoint: step **{view.checkpoints[-1].step}** (no validation at any checkpoint yet)")
    lines += ["", *_commands(run_id, best[0] if best else None), "", "### Interventions", ""]
    rows = [_row(event) for event in reversed(view.interventions())]
    if not rows:
        return "\n".join([*lines, "None so far.", "", _FOOTER])
    head = "\n".join([*lines, "| step | what | who | why |", "|---|---|---|---|", ""])
    room = MAX_CHARACTERS - len(head) - len(_FOOTER) - 60
    shown: list[str] = []
    for row in rows:
        if room < len(row) + 1:
            break
        shown.append(row)
        room -= len(row) + 1
    left = len(rows) - len(shown)
    more = f"\n{left} earlier ones are in `timeline.md`.\n" if left else ""
    return head + "\n".join(shown) + "\n" + more + "\n" + _FOOTER


_FOOTER = "Every event: artifacts `timeline.md` and `timeline.jsonl`. Checkpoints: the run's logged models."


def _commands(run_id: str, best_step: int | None) -> list[str]:
    start = f"{run_id}@{best_step}" if best_step is not None else run_id
    return [
        "```",
        f"vsrpp restore {run_id} --step {'best' if best_step is not None else 'latest'} --out DIR",
        f"vsrpp train --from {start}",
        f"vsrpp history {run_id} --verify",
        "```",
    ]


def _row(event: Event) -> str:
    return _line(str(event.step), summary(event), _who(event), event.reason or "")


def _line(*cells: str) -> str:
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")[:300]


def _who(event: Event) -> str:
    return f"{event.author} ({event.origin})" if event.author else (event.origin or "")


def timeline_jsonl(events: list[Event]) -> str:
    """Every event as one line of JSON, in the order of the chain."""
    return "".join(json.dumps(event.to_json(), ensure_ascii=False) + "\n" for event in events)


def timeline_md(events: list[Event], run_id: str) -> str:
    """Every event as one line for people, oldest first."""
    lines = [f"# Timeline of run {run_id}", "", "| # | time (UTC) | step | branch | event | what | who | why |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for event in events:
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(event.time))
        place = (str(event.seq), at, str(event.step), str(event.branch), event.type)
        lines.append(_line(*place, summary(event), _who(event), event.reason or ""))
    return "\n".join(lines) + "\n"


def summary(event: Event) -> str:
    """What happened, in a few words; of an event that holds something unforeseen, its type."""
    try:
        return _summary(event)
    except (KeyError, TypeError, ValueError, AttributeError):
        return event.type.replace("_", " ")


def _summary(event: Event) -> str:
    data = event.data
    if event.type in ("config_applied", "config_reverted") and data.get("changes"):
        prefix = f"back to step {went_back_to(event)}: " if event.type == "config_reverted" else ""
        return prefix + changes_text(data["changes"])
    if event.type == "rolled_back":
        return f"back to step {went_back_to(event)}"
    if event.type == "config_refused":
        return "refused: " + "; ".join(str(problem.get("message", problem)) for problem in data.get("errors", [])[:3])
    if event.type == "checkpoint_saved":
        size = data.get("size_bytes")
        how_big = f", {size / 2**20:.1f} MiB" if isinstance(size, (int, float)) else ""
        return f"checkpoint {data.get('path', '')}{how_big}"
    if event.type == "validated":
        return "validated " + ", ".join(f"{name} {value:.4g}" for name, value in _figures(data).items())
    if event.type == "started":
        parent = data.get("parent")
        return f"started from {parent.get('run_id')}@{parent.get('step')}" if parent else "started"
    told = [f"{name} {value}" for name, value in data.items() if type(value) in (str, int, float)]
    return ": ".join([event.type.replace("_", " "), *([", ".join(told[:5])] if told else [])])


def changes_text(changes: list[dict[str, Any]]) -> str:
    """`max_lr 1.50e-04 → 2.00e-04, grad_clip 1 → 0.5`."""
    parts = []
    for change in changes:
        key = str(change.get("key"))
        old, new = (config.format_value(key, change.get(which)) for which in ("old", "new"))
        parts.append(f"{key} {old} → {new}")
    return ", ".join(parts)


def _figures(data: dict[str, Any]) -> dict[str, float]:
    figures = data.get("metrics", data)
    return {
        name.removeprefix("val/"): value
        for name, value in figures.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
