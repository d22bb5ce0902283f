"""runs, status, config, history: what is known of runs. None of them imports torch; all but runs do without MLflow."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from vsrpp import control, paths
from vsrpp.cli.delivery import delivery_lines
from vsrpp.control import FINAL_STATES
from vsrpp.control.messages import english
from vsrpp.control.narrate import narrate, probation_terms
from vsrpp.control.numbers import TIME_PARTS
from vsrpp.errors import ProofFailed, VsrppError
from vsrpp.formats import bound, clock, duration, minute, moment, value
from vsrpp.output import bold, dim, green, print_json, red, yellow
from vsrpp.store import Event

_STATE_COLOURS = {"training": green, "validating": green, "paused": yellow, "failed": red, "dead": red}
_OVER = FINAL_STATES | {"dead"}


def show_runs(*, run_dir: Path | None, as_json: bool) -> int:
    """List the runs of this host, and those that only the tracking server knows."""
    folder = paths.runs_dir(run_dir)
    rows = _all_runs(folder)
    if as_json:
        print_json(rows)
        return 0
    if not rows:
        print(f"No runs in {folder} yet. Start one: vsrpp train --preset demo --data sample")
        return 0
    print(bold(f"{'RUN':34} {'STATE':11} {'STEP':>8} {'BEST PSNR-Y':>16}  STARTED           NAME"))
    for row in rows:
        best = f"{row['best']['psnr_y']:.2f} dB @ {row['best']['step']}" if row["best"] else "–"
        started = minute(row["started"])
        state = _STATE_COLOURS.get(row["state"], str)(f"{row['state']:11}")
        step = row["step"] if row["step"] is not None else "–"
        print(f"{row['run_id']:34} {state} {step:>8} {best:>16}  {started}  {row['name'] or ''}")
        if row.get("orphan"):
            print(yellow(f"  MLflow still shows it running; tell it: vsrpp sync {row['run_id']}"))
    return 0


def _all_runs(folder: Path) -> list[dict[str, Any]]:
    """The runs of this host and those only the tracking server knows; a server that cannot be had is said, not fatal."""
    rows = [row.to_json() for row in control.runs(folder)]
    uri = paths.tracking_uri(folder)
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        return rows  # asking would create an empty database
    from vsrpp.tracking.runs import server_runs

    try:
        theirs = server_runs(uri)
    except VsrppError as error:
        print(f"vsrpp: {error} Only the runs of this host are listed.", file=sys.stderr)
        return rows
    keys = ("run_id", "name", "state", "step", "best", "started")
    here = {row["run_id"] for row in rows}
    elsewhere = [{**{key: row[key] for key in keys}, "run_dir": None} for row in theirs if row["run_id"] not in here]
    running = {row["run_id"] for row in theirs if row["status"] == "RUNNING"}
    return [{**row, "orphan": row["run_id"] in running and row["state"] in _OVER} for row in rows + elsewhere]


def show_status(run: str, *, run_dir: Path | None, as_json: bool) -> int:
    """Show where a run stands. Raises NotFound."""
    values = control.status(control.find_run(run, paths.runs_dir(run_dir)))
    if as_json:
        print_json(values)
        return 0
    state = _STATE_COLOURS.get(values["state"], str)(values["state"])
    speed = (
        f"{values['steps_per_s']:.2f} steps/s, {duration(values['eta_s'])} to go" if values["eta_s"] is not None else ""
    )
    print(f"{bold(values['run_id'])}  {state}  step {values['step']} of {values['max_steps']}  {speed}".rstrip())
    print(f"  {values['run_dir']}")
    if values["probation"] and values["state"] not in _OVER:
        print(yellow(f"  {_on_probation(values['probation'])}"))
    losses = "  ".join(f"{term} {value:.5f}" for term, value in values["losses"].items() if value is not None)
    rate = f"{values['lr']:.2e}" if values["lr"] is not None else "–"
    print(f"  phase {values['phase']}, revision {values['revision']}, branch {values['branch']}, rate {rate}")
    print(f"  loss  {losses or '–'}")
    if values["psnr_y"] is not None:
        gain = values["psnr_y"] - values["bicubic_psnr_y"]
        print(f"  PSNR-Y {values['psnr_y']:.2f} dB (bicubic {values['bicubic_psnr_y']:.2f}, {gain:+.2f})")
    for line in number_lines(values):
        print(f"  {line}")
    best = f"{values['best']['psnr_y']:.2f} dB at step {values['best']['step']}" if values["best"] else "–"
    print(f"  best {best}; checkpoints {', '.join(map(str, values['checkpoints'])) or '–'}")
    away = values["off_host"]
    kept = (
        f"step {away['step']}, {duration(away['age_s'])} old, in {away['uri']}"
        if away
        else f"none, {values['off_host_why']}"
    )
    print(f"  off this host: {kept if away or values['state'] in FINAL_STATES else yellow(kept)}")
    left = values["backlog"]
    for line in delivery_lines(left, values["run_id"]):
        print(yellow(f"  {line}"))
    told = left["alerts"]
    if told and (told["waiting"] or told["refused"]):
        why = f" ({told['error']})" if told["error"] else ""
        print(yellow(f"  alerts: {told['waiting']} not told yet, {told['refused']} refused by the webhook{why}"))
    return 0


def number_lines(values: dict[str, Any]) -> list[str]:
    """What `control.numbers` found: convergence and score, where the time goes, machine time and cost."""
    lines, first = [], []
    convergence, score, step = values["convergence"], values["score"], values["time"]
    if convergence is not None:
        slope = convergence["slope_percent_per_1000_steps"]
        how = "" if slope is None else f" ({slope:+.1f} ± {convergence['slope_error_percent']:.1f} % per 1000 steps)"
        first.append(f"loss {convergence['state']}{how}")
    if values["momentum"] is not None:
        first.append(f"AdamW momentum {values['momentum']:.3f}")
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
    return f"revision {trial['revision']} is on probation until step {trial['until_step']}: it goes back if {terms}"


def show_config(run: str, *, run_dir: Path | None, as_json: bool) -> int:
    """Show the live config in force. Raises NotFound."""
    view = control.config_view(control.find_run(run, paths.runs_dir(run_dir)))
    if as_json:
        print_json(view)
        return 0
    print(bold(f"revision {view['revision']}"))
    tier = None
    tiers = {name: place for place, name in enumerate(("safe", "careful", "startup"))}
    for row in sorted(view["parameters"], key=lambda row: tiers[row["tier"]]):
        if row["tier"] != tier:
            tier = row["tier"]
            print(bold(f"\n{tier}"))
        now = value(row["key"], row["value"])
        bounds = (row["minimum"], row["maximum"])
        span = "" if None in bounds else "–".join(map(bound, bounds))
        by = f"{row['changed_by']} at step {row['changed_at_step']}" if row["changed_by"] else ""
        print(f"  {row['key']:26} {now:>14} {row['unit'] or '':8} {dim(f'{span:18}')} {by}".rstrip())
    return 0


def show_history(run: str, *, verify: bool, run_dir: Path | None, as_json: bool) -> int:
    """Show every event, and with `verify` check the chain. Raises NotFound; ProofFailed where the chain breaks."""
    folder = control.find_run(run, paths.runs_dir(run_dir))
    events = control.history(folder)
    if as_json:
        print_json([event.to_json() for event in events])
    else:
        for event in events:
            print(_line(event))
    if not verify:
        return 0
    verdict = control.verify(folder)
    if not verdict.ok:
        raise ProofFailed(f"the record of {folder.run_id} does not hold: {verdict.why}.")
    if not as_json:
        print(green(f"✅ the chain holds: {verdict.events} events, head {verdict.head[:16]}…"))
    return 0


def _line(event: Event) -> str:
    """One event in one line: when, where, what, who, why."""
    told = narrate(event)
    who = f" by {told.by(english)}" if told.who else ""
    why = f" — {told.why(english)}" if told.reason else ""
    branch = f"/{event.branch}" if event.branch else ""
    paint = {"bad": red, "good": green}.get(told.tone, str)
    place = f"{event.step:>7}{branch}  r{event.revision:<3}"
    return f"{dim(clock(event.time))}  {place} {paint(f'{told.headline.text(english):18}')} {told.detail(english)}{who}{why}"
