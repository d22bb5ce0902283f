"""The run's description and timeline as text: what changed, when, by whom, why, and how to get it back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from vsrpp.config import schema
from vsrpp.control.best import PSNR_Y, BestCheckpoint, checkpoint_metrics, score
from vsrpp.control.effect import InterventionEffect
from vsrpp.control.narrate import narrate
from vsrpp.formats import clock, counted
from vsrpp.safe_text import safe
from vsrpp.store import Event
from vsrpp.texts import english
from vsrpp.tracking.view import INTERVENTIONS, RecordSummary

MAX_CHARACTERS = 8000
"""MLflow's limit for a tag, and so for the description, which is a tag."""
TIMELINE = "timeline.jsonl"
"""Artifact with every event in full, sufficient to replay or continue the run."""
TIMELINE_FOR_PEOPLE = "timeline.md"
_TIMELINE_COLUMNS = ("#", "time (UTC)", "step", "branch", "event", "what", "who", "why")


def description(
    view: RecordSummary, run_id: str, step: int, effects: Mapping[int, InterventionEffect] | None = None
) -> str:
    """The Markdown for the run's page: interventions newest first, as many as fit into 8000 characters.

    `effects` maps event numbers to the metrics before and since.
    """
    best = view.best()
    revision = view.events[-1].revision if view.events else 0
    branch = view.events[-1].branch if view.events else 0
    at = f"{view.state} at step {step}, revision {revision}" + (f", branch {branch}" if branch else "")
    lines = [f"**VSR++ run `{run_id}`**: {at}", ""]
    if best:
        lines.append(f"Best checkpoint: step **{best.step}**, {_score(best)}")
    elif view.checkpoints:
        lines.append(f"Newest checkpoint: step **{view.checkpoints[-1].step}** (no validation at any checkpoint yet)")
    lines += _plugins(view)
    lines += ["", *_commands(run_id, best.step if best else None, view), *_best_first(view), *_plateaus(view), ""]
    lines += ["### Interventions", ""]
    rows = [_row(event, (effects or {}).get(event.seq)) for event in reversed(view.interventions())]
    if not rows:
        return "\n".join([*lines, "None so far.", "", _FOOTER])
    head = "\n".join([*lines, _line(*_COLUMNS), "|---" * len(_COLUMNS) + "|", ""])
    room = MAX_CHARACTERS - len(head) - len(_FOOTER) - len(_LEGEND) - 60
    parts: list[str] = []
    for row in rows:
        if room < len(row) + 1:
            break
        parts.append(row)
        room -= len(row) + 1
    left = sum(view.counts[kind] for kind in INTERVENTIONS) - len(parts)
    more = f"\nFor {counted(left, 'earlier intervention')}, see `timeline.md`.\n" if left else ""
    return head + "\n".join(parts) + "\n" + more + "\n" + _LEGEND + _FOOTER


_COLUMNS = ("step", "what", "who", "why", "loss before → since", "PSNR-Y before → since")
_LEGEND = (
    "Loss: mean of the 20 rows before, and of the newest 20 up to the next intervention. PSNR-Y: the last validation "
    "before, and the last one up to the next.\n\n"
)
_FOOTER = "Every event: artifacts `timeline.md` and `timeline.jsonl`. Checkpoints: the run's logged models."
PLATEAUS = frozenset({"plateau_detected", "plateau_cleared", "safety_reset"})
PLATEAUS_SHOWN = 5
BEST_SHOWN = 5
PLUGIN_CHARACTERS = 1000
"""Most of a line on plug-ins: the description has 8000."""
_METRIC_NAMES = {PSNR_Y: "PSNR-Y, dB"}


def _commands(run_id: str, best_step: int | None, view: RecordSummary) -> list[str]:
    step = "best" if best_step is not None else "latest"
    start = f"{run_id}@{best_step}" if best_step is not None else run_id
    commands = [
        (f"vsrpp restore {run_id} --step {step} --out DIR", "the checkpoint and its config"),
        (f"vsrpp train --from {start}", "a new run from there"),
        (f"vsrpp replay {run_id}", "retrain from the record, bit for bit"),
        (f"vsrpp history {run_id} --verify", "all events, with the record verified"),
    ]
    if not view.ended:
        commands.insert(1, (f"vsrpp rollback {run_id} --step {step}", "roll this run back, config included"))
    elif view.state != "finished":
        commands.insert(1, (f"vsrpp train --resume {run_id}", "continue where it ended"))
    width = max(len(command) for command, _ in commands)
    lines = ["```", *(f"{command:{width}}   # {what}" for command, what in commands), "```"]
    if not view.ended:
        tag = f"`vsrpp.do` = `rollback {best_step}`" if best_step is not None else "`vsrpp.do` = `pause`"
        lines += [
            "",
            f"Steer from this page with tags: {tag}, `vsrpp.set.max_lr` = `2e-4`; answer in `vsrpp.last_command`.",
        ]
    return lines


def _plugins(view: RecordSummary) -> list[str]:
    """What the run's plug-ins provide; for a loss term its label, metric and colour. All of it is other people's text."""
    run_config = view.started.data.get("run_config") or {} if view.started else {}
    known = schema.of(run_config)
    if not known.plugins:
        return []
    lines = ["", "Plug-ins: " + ", ".join(f"{_code(one.source)} {one.sha256[:12]}" for one in known.plugins)]
    terms = [f"{_code(term.label)} (`loss/{term.name}`, {term.colour})" for term in known.terms if term.plugin]
    lines += ["", "Their loss terms: " + ", ".join(terms)] if terms else []
    return [line[:PLUGIN_CHARACTERS] for line in lines]


def _code(text: str) -> str:
    return f"`{safe(text).replace('`', '')}`"


def _best_first(view: RecordSummary) -> list[str]:
    """A table of the best checkpoints: MLflow's own table is ordered by creation only."""
    key = view.best_rule.key
    values = [(score(checkpoint_metrics(view.line, saved), key), saved) for saved in view.checkpoints]
    scored = [(value, saved) for value, saved in values if value is not None]
    if len(scored) < 2:
        return []
    scored.sort(key=lambda row: (view.best_rule.rank(row[0]), row[1].step), reverse=True)
    rows = [
        _line(str(saved.step), _figure(key, value), str(saved.data.get("revision", saved.revision)))
        for value, saved in scored[:BEST_SHOWN]
    ]
    return ["", f"### Checkpoints: {len(view.checkpoints)}, best first", "",
            _line("step", _METRIC_NAMES.get(key, key), "revision"), "|---|---|---|", *rows]  # fmt: skip


def _score(best: BestCheckpoint) -> str:
    """`PSNR-Y **30.361 dB**`; for another metric its value, followed by the PSNR-Y."""
    psnr = "" if best.psnr_y is None else f"PSNR-Y **{best.psnr_y:.3f} dB**"
    if best.key == PSNR_Y:
        return psnr
    return f"{best.key} **{_figure(best.key, best.value)}**" + (f" ({psnr})" if psnr else "")


def _figure(key: str, value: float) -> str:
    return f"{value:.3f}" if key == PSNR_Y else f"{value:.5g}"


def _plateaus(view: RecordSummary) -> list[str]:
    plateaus = [event for event in view.events if event.type in PLATEAUS]
    if not plateaus:
        return ["", "No plateau so far."]
    detected = view.counts["plateau_detected"]
    rows = [
        f"- step {event.step}: {_cell(summary(event))}"
        + (f" ({_cell(why[:160])})" if (why := _who_and_why(event)[1]) else "")
        for event in reversed(plateaus[-PLATEAUS_SHOWN:])
    ]
    return ["", f"### Plateaus: {detected}", "", *rows]


def _row(event: Event, effect: InterventionEffect | None) -> str:
    loss = psnr = "–"
    if effect is not None:
        loss = _change(effect.loss_before, effect.loss_since, ".4g")
        psnr = _change(effect.psnr_y_before, effect.psnr_y_since, ".2f")
        if effect.loss_ratio is not None:
            loss += f" ({100 * (effect.loss_ratio - 1):+.0f} %)"
        if effect.psnr_y_gain_db is not None:
            psnr += f" ({effect.psnr_y_gain_db:+.2f})"
    return _line(str(event.step), summary(event), *_who_and_why(event), loss, psnr)


def _change(before: float | None, since: float | None, form: str) -> str:
    if before is None and since is None:
        return "–"
    return " → ".join("–" if value is None else f"{value:{form}}" for value in (before, since))


def _line(*cells: str) -> str:
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(text: str) -> str:
    return markdown(" ".join(text.split())[:300])


_MARKS = {mark: f"&#{ord(mark)};" for mark in "\\`*[]~@"} | {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "\\|"}
_LINKED = re.compile(r":(?=//)|(?<=www)\.", re.IGNORECASE)


def markdown(text: str) -> str:
    """Text that Markdown shows as it is: no link, picture, HTML, code or emphasis. MLflow and TensorBoard read it alike."""
    marked = "".join(_MARKS.get(sign, sign) for sign in safe(text))
    return _LINKED.sub(lambda match: f"&#{ord(match[0])};", marked)


def _who_and_why(event: Event) -> tuple[str, str]:
    narration = narrate(event)
    return narration.by(english), narration.why(english)


def write_timeline(events: Iterable[Event], run_id: str, folder: Path) -> Event | None:
    """Write `timeline.jsonl` and `timeline.md` into a folder, streaming the events; returns the last one.

    The first has one JSON line per event in chain order, the second one table row per event for people.
    """
    last = None
    with (
        (folder / TIMELINE).open("w", encoding="utf-8") as exact,
        (folder / TIMELINE_FOR_PEOPLE).open("w", encoding="utf-8") as readable,
    ):
        readable.write(f"# Timeline of run {run_id}\n\n{_line(*_TIMELINE_COLUMNS)}\n")
        readable.write("|---" * len(_TIMELINE_COLUMNS) + "|\n")
        for last in events:
            exact.write(json.dumps(last.to_json(), ensure_ascii=False) + "\n")
            at = clock(last.time, utc=True)
            place = (str(last.seq), at, str(last.step), str(last.branch), last.type)
            readable.write(_line(*place, summary(last), *_who_and_why(last)) + "\n")
    return last


def summary(event: Event) -> str:
    """What happened, in a few words, in English."""
    return narrate(event).brief(english)
