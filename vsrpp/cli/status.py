"""The commands runs, status, config and history. None of them imports torch; only runs imports MLflow."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vsrpp import control, paths
from vsrpp.cli import early, messages
from vsrpp.cli.delivery import delivery_lines
from vsrpp.cli.json_output import print_json, print_json_rows
from vsrpp.config import schema
from vsrpp.control import ENDED_STATES, FINAL_STATES
from vsrpp.control.narrate import narrate, probation_terms
from vsrpp.control.numbers import TIME_PARTS
from vsrpp.errors import VsrppError
from vsrpp.formats import bound, clock, duration, minute, moment, value
from vsrpp.output import Column, bold, dim, green, print_table, red, say, terminal_width, yellow
from vsrpp.paths import RunPaths
from vsrpp.safe_text import safe
from vsrpp.store import Event, RunReader
from vsrpp.store.signing import read_verifier
from vsrpp.texts import english

_STATE_COLOURS = {
    "training": green,
    "validating": green,
    "paused": yellow,
    "waiting": yellow,
    "failed": red,
    "dead": red,
}


def show_runs(*, local: bool, run_dir: Path | None, as_json: bool) -> int:
    """List the runs of this host and, unless `local`, those that only the tracking server has."""
    folder = paths.runs_dir(run_dir)
    rows = [row.to_json() for row in control.runs(folder)]
    if not local:
        rows = _with_server(rows, folder)
    if as_json:
        print_json(rows)
        return 0
    if not rows:
        say(f"No runs in {safe(str(folder))} yet. Start one: vsrpp train --preset demo --data sample")
        return 0
    columns = [
        Column(title="RUN", keep=True), Column(title="STATE", keep=True), Column(title="STEP", right=True, keep=True),
        Column(title="BEST PSNR-Y", right=True, keep=True), Column(title="STARTED", keep=True), Column(title="NAME"),
    ]  # fmt: skip
    ids = shortened([row["run_id"] for row in rows], room=terminal_width() - 62)
    print_table(columns, [_run_row(row, shown) for row, shown in zip(rows, ids, strict=True)])
    for row in rows:
        if row.get("error"):
            say(yellow(f"vsrpp: {safe(row['error'])}"), stderr=True)
        if row.get("newer_store"):
            say(yellow(f"vsrpp: {safe(row['newer_store']['message'])}"), stderr=True)
        if row.get("orphan"):
            say(yellow(f"MLflow still shows {row['run_id']} as running; tell it: vsrpp sync {row['run_id']}"))
    return 0


def _run_row(row: dict[str, Any], shown_id: str) -> list[str]:
    best = best_text(row["best"], "@")
    started = minute(row["started"])
    state = _STATE_COLOURS.get(row["state"], str)(row["state"])
    step = str(row["step"]) if row["step"] is not None else "–"
    return [safe(shown_id), state, step, best, started, safe(row["name"] or "")]


def best_text(best: Mapping[str, Any] | None, at: str) -> str:
    """`31.52 dB @ 400`; the deciding metric, if the validation has no PSNR-Y."""
    if best is None:
        return "–"
    figure = f"{best['key']} {best['value']:.5g}" if best["psnr_y"] is None else f"{best['psnr_y']:.2f} dB"
    return f"{figure} {at} {best['step']}"


def shortened(ids: list[str], room: int) -> list[str]:
    """Run IDs in full if they fit, else unique prefixes, which every command accepts."""
    longest = max(map(len, ids))
    if longest <= room:
        return ids
    length = next((n for n in range(8, longest) if len({run_id[:n] for run_id in ids}) == len(set(ids))), longest)
    return [run_id[:length] for run_id in ids]


def _with_server(rows: list[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """The runs of this host and those only on the tracking server; an unreachable server is reported, not fatal."""
    uri = paths.tracking_uri(folder)
    if not early.has_server(uri):
        return rows
    early.asking(uri)
    from vsrpp.tracking.runs import server_runs

    try:
        server_rows = server_runs(uri)
    except VsrppError as error:
        say(f"vsrpp: {error} Only the runs of this host are listed.", stderr=True)
        return rows
    keys = ("run_id", "name", "state", "step", "best", "started")
    local_ids = {row["run_id"] for row in rows}
    elsewhere = [
        {**{key: row[key] for key in keys}, "run_dir": None} for row in server_rows if row["run_id"] not in local_ids
    ]
    running = {row["run_id"] for row in server_rows if row["status"] == "RUNNING"}
    return [{**row, "orphan": row["run_id"] in running and row["state"] in ENDED_STATES} for row in rows + elsewhere]


def _found(run: str, run_dir: Path | None) -> RunPaths:
    """The run folder; says on standard error if a newer version writes it. Raises NotFound."""
    folder = control.find_run(run, paths.runs_dir(run_dir))
    with RunReader(folder.run_db) as reader, contextlib.suppress(sqlite3.Error, ValueError):
        newer = control.newer_store(reader)
        if newer is not None:
            say(yellow(f"vsrpp: {safe(newer['message'])}"), stderr=True)
    return folder


def show_status(run: str, *, run_dir: Path | None, as_json: bool) -> int:
    """Show the state of a run. Raises NotFound."""
    values = control.status(_found(run, run_dir))
    if as_json:
        print_json(values)
        return 0
    state = _STATE_COLOURS.get(values["state"], str)(values["state"])
    speed = (
        f"{values['steps_per_s']:.2f} steps/s, {duration(values['eta_s'])} to go" if values["eta_s"] is not None else ""
    )
    say(f"{bold(values['run_id'])}  {state}  step {values['step']} of {values['max_steps']}  {speed}".rstrip(), hang=4)
    say(f"  {safe(values['run_dir'])}")
    link = control.owners_link(Path(values["run_dir"]).parent)
    if link:
        say(f"  panel {link}")
    if values["probation"] and values["state"] not in ENDED_STATES:
        say(yellow(f"  {_on_probation(values['probation'])}"), hang=4)
    if values["waiting"]:
        since = clock(values["waiting"]["since"])
        say(yellow(f"  waiting since {since}: {safe(values['waiting']['why'])}"), hang=4)
    losses = "  ".join(f"{term} {value:.5f}" for term, value in values["losses"].items() if value is not None)
    rate = f"{values['lr']:.2e}" if values["lr"] is not None else "–"
    say(f"  phase {values['phase']}, revision {values['revision']}, branch {values['branch']}, rate {rate}", hang=4)
    say(f"  loss  {losses or '–'}", hang=4)
    if values["psnr_y"] is not None:
        bicubic = values["bicubic_psnr_y"]
        beside = "" if bicubic is None else f" (bicubic {bicubic:.2f}, {values['psnr_y'] - bicubic:+.2f})"
        say(f"  PSNR-Y {values['psnr_y']:.2f} dB{beside}", hang=4)
    for line in number_lines(values):
        say(f"  {line}", hang=4)
    say(
        f"  best {best_text(values['best'], 'at step')}; checkpoints {', '.join(map(str, values['checkpoints'])) or '–'}",
        hang=4,
    )
    away = values["off_host"]
    kept = (
        f"step {away['step']}, {duration(away['age_s'])} old, in {away['uri']}"
        if away
        else f"none, {values['off_host_why']}"
    )
    say(f"  off this host: {kept if away or values['state'] in FINAL_STATES else yellow(kept)}", hang=4)
    left = values["backlog"]
    for line in delivery_lines(left, values["run_id"]):
        say(yellow(f"  {line}"), hang=4)
    alert_state = left["alerts"]
    if alert_state and (alert_state["waiting"] or alert_state["refused"]):
        why = f" ({alert_state['error']})" if alert_state["error"] else ""
        pending, rejected = alert_state["waiting"], alert_state["refused"]
        say(yellow(f"  alerts: {pending} not sent yet, {rejected} rejected by the webhook{why}"), hang=4)
    return 0


def number_lines(values: dict[str, Any]) -> list[str]:
    """The lines for `control.numbers`: convergence, score, time per part, machine time and cost."""
    lines, first = [], []
    convergence, score, step = values["convergence"], values["score"], values["time"]
    if convergence is not None:
        slope = convergence["slope_percent_per_1000_steps"]
        how = "" if slope is None else f" ({slope:+.1f} ± {convergence['slope_error_percent']:.1f} % per 1000 steps)"
        first.append(f"loss {convergence['state']}{how}")
    if values["momentum"] is not None:
        first.append(f"momentum {values['momentum']:.3f}")
    lines += [", ".join(first)] if first else []
    if score is not None:
        parts = ", ".join(
            f"{name} {value:.0f}" for name, value in score.items() if name != "total" and value is not None
        )
        lines.append(f"score {score['total']:.0f} of 100 ({parts})")
    if step is not None:
        parts = ", ".join(f"{part.replace('_', ' ')} {moment(step[f'{part}_s'])}" for part in TIME_PARTS)
        use = values["device_use"]
        busy = f"; {use['kind'].upper()} {use['percent']:.0f} %" if use else ""
        lines.append(f"a step {moment(step['step_s'])}: {parts}{busy}")
    hours, cost = values["hours"], values["cost"]
    if hours is not None and (hours["max"] is not None or cost is not None):
        most = f" of {hours['max']:g}" if hours["max"] is not None else ""
        lines.append(f"{hours['spent']:.3g}{most} hours{f', {cost_text(cost)}' if cost else ''}")
    return lines


def cost_text(cost: dict[str, Any]) -> str:
    """`cost 1.20 so far, 3.40 to come`."""
    ahead = "" if cost["to_come"] is None else f", {cost['to_come']:.2f} to come"
    return f"cost {cost['spent']:.2f} so far{ahead}"


def _on_probation(trial: dict[str, Any]) -> str:
    terms = probation_terms(trial["revert_if"]).text(english)
    return f"revision {trial['revision']} is on probation until step {trial['until_step']}, reverted if {terms}"


def show_config(run: str, *, run_dir: Path | None, as_json: bool) -> int:
    """Show the live config in force. Raises NotFound."""
    folder = _found(run, run_dir)
    view, run_config = control.config_view(folder), control.run_config(folder)
    if as_json:
        print_json(view)
        return 0
    say(bold(f"revision {view['revision']}"))
    tier = None
    tiers = {name: place for place, name in enumerate(("safe", "careful", "startup"))}
    for row in sorted(view["parameters"], key=lambda row: tiers[row["tier"]]):
        if row["tier"] != tier:
            tier = row["tier"]
            say(bold(f"\n{tier}"))
        now = value(row["key"], row["value"], run_config=run_config)
        bounds = (row["minimum"], row["maximum"])
        span = "" if None in bounds else "–".join(map(bound, bounds))
        by = f"{row['changed_by']} at step {row['changed_at_step']}" if row["changed_by"] else ""
        say(f"  {row['key']:26} {now:>14} {row['unit'] or '':8} {dim(f'{span:18}')} {safe(by)}".rstrip())
    fault = schema.fault_of_plugins(run_config)
    if fault:
        say(yellow(f"\n⚠️  {safe(fault)}"))
    if view.get("plugins"):
        say(bold("\nplug-ins"))
    for plugin in view.get("plugins", []):
        provides = ", ".join(f"{one['kind']} {one['name']}" for one in plugin["provides"])
        say(f"  {safe(plugin['source'])}  {plugin['sha256'][:12]}  {safe(provides)}", hang=4)
    return 0


def show_history(
    run: str, *, verify: bool, key: Path | None, local: bool, after: int, limit: int | None, run_dir: Path | None,
    as_json: bool,
) -> int:  # fmt: skip
    """Show the events, and with `verify` check the record.

    Raises NotFound; Refused for a `key` that is none; ProofFailed if the record is broken.
    """
    if (key is not None or local) and not verify:
        raise messages.VERIFY_MISSING(option="--key" if key is not None else "--local")
    if after < 0 or (limit is not None and limit < 1):
        raise messages.HISTORY_RANGE()
    verifier = read_verifier(key) if key is not None else None
    folder = _found(run, run_dir)
    if as_json and not verify:
        print_json_rows(event.to_json() for event in control.each_event(folder, after=after, limit=limit))
    elif not as_json:
        _print_history(folder, after, limit, verify)
    if not verify:
        return 0
    from vsrpp.cli.verify import verify_record

    return verify_record(folder, verifier=verifier, local=local, as_json=as_json)


def _print_history(folder: RunPaths, after: int, limit: int | None, verify: bool) -> None:
    try:
        for event in control.each_event(folder, after=after, limit=limit):
            say(_line(event), hang=4)
    except VsrppError:
        if not verify:  # else the verdict says what is wrong
            raise


def _line(event: Event) -> str:
    """One event on one line: when, where, what, who, why."""
    narration = narrate(event)
    who = f" by {narration.by(english)}" if narration.who else ""
    why = f" — {narration.why(english)}" if narration.reason else ""
    branch = f"/{event.branch}" if event.branch else ""
    paint = {"bad": red, "good": green}.get(narration.tone, str)
    place = f"{event.step:>7}{branch}  r{event.revision:<3}"
    words = safe(f"{narration.detail(english)}{who}{why}")
    return f"{dim(clock(event.time))}  {place} {paint(f'{narration.headline.text(english):18}')} {words}"
