"""The runs page: what there is, its checkpoints, and the commands to go on with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..format import clock, count, esc, finite, number, size
from ..shown import LIVE_STATES
from ..texts import Texts
from .header import command


def runs_table(rows: Sequence[Mapping[str, Any]], chosen: str | None, t: Texts) -> str:
    """The runs of this host; the chosen one is marked, each leads to its own page."""
    heads = "".join(f"<th>{esc(t(key))}</th>" for key in ("name", "state", "step", "best", "interventions", "started"))
    body = "".join(_run(row, chosen, t) for row in rows)
    return f'<div class="scroll"><table class="runs"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


def _run(row: Mapping[str, Any], chosen: str | None, t: Texts) -> str:
    run_id, best = str(row["run_id"]), row.get("best")
    state = str(row.get("state"))
    mark = ' class="current" aria-current="true"' if run_id == chosen else ""
    return (
        f'<tr{mark}><th scope="row"><a href="/runs?run={esc(run_id)}">{esc(row.get("name") or run_id)}</a>'
        f'<small>{esc(run_id)}</small></th><td><span class="badge {esc(state)}">{esc(t(f"state.{state}"))}</span></td>'
        f"<td>{count(row.get('step'))}</td>"
        f"<td>{_best(best, t)}</td><td>{count(row.get('edits', 0))}</td><td>{clock(row.get('started'))}</td></tr>"
    )


def _best(best: Mapping[str, Any] | None, t: Texts) -> str:
    if not best:
        return "–"
    return f"{number(best['psnr_y'], 2)} dB <small>{esc(t('at_step', step=count(best['step'])))}</small>"


def checkpoint_table(
    rows: Sequence[Mapping[str, Any]], run_id: str, t: Texts, *, state: str, can_rollback: bool, can_promote: bool
) -> str:
    """Step, PSNR, revision, size and where; what can be done with each, as commands to copy."""
    if not rows:
        return f'<p class="hint">{esc(t("no_checkpoints"))}</p>'
    best = max((finite(row.get("psnr_y")) or float("-inf") for row in rows), default=None)
    body = "".join(
        _checkpoint(row, run_id, best, t, live=state in LIVE_STATES, can_rollback=can_rollback, can_promote=can_promote)
        for row in rows
    )
    heads = "".join(f"<th>{esc(t(key))}</th>" for key in ("step", "psnr", "revision", "size", "where", "actions"))
    return (
        f'<div class="scroll"><table class="checkpoints"><thead><tr>{heads}</tr>'
        f"</thead><tbody>{body}</tbody></table></div>"
    )


def _checkpoint(
    row: Mapping[str, Any],
    run_id: str,
    best: float | None,
    t: Texts,
    *,
    live: bool,
    can_rollback: bool,
    can_promote: bool,
) -> str:
    step, psnr = int(row["step"]), finite(row.get("psnr_y"))
    lines = [("cmd.from", f"vsrpp train --from {run_id}@{step}")]
    lines.append(("cmd.restore", f"vsrpp restore {run_id} --step {step} --out restored"))
    if live and can_rollback:
        lines.append(("cmd.rollback", f"vsrpp rollback {run_id} --step {step}"))
    if can_promote:
        lines.append(("cmd.promote", f"vsrpp promote {run_id}@{step} --alias champion"))
    commands = "".join(f"<p>{esc(t(key))}</p>{command(line, t)}" for key, line in lines)
    button = ""
    if live and can_rollback and row.get("here") and not row.get("abandoned"):
        button = (
            f'<button type="button" class="quiet" data-rollback="{step}" '
            f'data-sure="{esc(t("rollback_sure", step=count(step)))}">{esc(t("rollback_do"))}</button>'
        )
    where = [t("here") if row.get("here") else t("pruned")] + ([t("in_mlflow")] if row.get("uploaded") else [])
    star = " ★" if psnr is not None and psnr == best else ""
    faint = ' class="faint"' if row.get("abandoned") else ""
    return (
        f"<tr{faint}><td>{count(step)}{_branch(row, t)}</td><td>{number(psnr, 2)}{star}</td>"
        f"<td>{row.get('revision', '–')}</td>"
        f"<td>{size(row.get('size_bytes'))}</td><td>{esc(', '.join(where))}</td>"
        f'<td>{button}<details id="ck-{step}-{row.get("branch", 0)}"><summary>{esc(t("actions"))}</summary>{commands}'
        f"</details></td></tr>"
    )


def _branch(row: Mapping[str, Any], t: Texts) -> str:
    return f" <small>{esc(t('branch'))} {row['branch']}</small>" if row.get("branch") else ""


def run_commands(run_id: str, state: str, t: Texts, *, verbs: Sequence[str]) -> str:
    """What one may type about a run; only verbs the command line has."""
    live = state in LIVE_STATES
    lines = [
        ("status", "cmd.status", f"vsrpp status {run_id}"),
        ("history", "cmd.history", f"vsrpp history {run_id} --verify"),
    ]
    if live:
        lines.append(("set", "cmd.set", f'vsrpp set {run_id} max_lr=2e-4 --reason "…"'))
    if state in ("stopped", "dead", "failed"):
        lines.append(("train", "cmd.resume", f"vsrpp train --resume {run_id}"))
    if not live:
        lines.append(("train", "cmd.from", f"vsrpp train --from {run_id}"))
        lines.append(("replay", "cmd.replay", f"vsrpp replay {run_id}"))
    shown = "".join(f"<p>{esc(t(key))}</p>{command(line, t)}" for verb, key, line in lines if verb in verbs)
    return f'<div class="commands">{shown}</div>'


def tracking(uri: str | None, runs: Sequence[Mapping[str, Any]], why: str | None, t: Texts) -> str:
    """The runs the tracking server knows and this host does not; links into its own pages."""
    if why:
        return f'<p class="hint">{esc(t("tracking_none", why=why))}</p>'
    parts = [f'<p class="hint">{esc(t("tracking_at", uri=uri or "–"))}</p>']
    if runs:
        body = "".join(
            f'<tr><th scope="row">{_linked(row)}<small>{esc(row["run_id"])}</small>'
            f"</th><td>{esc(row.get('status') or '')}</td>"
            f"<td>{number(row.get('psnr_y'), 2)}</td><td>{clock(row.get('started'))}</td></tr>"
            for row in runs
        )
        heads = "".join(f"<th>{esc(t(key))}</th>" for key in ("name", "state", "psnr", "started"))
        parts.append(
            f'<div class="scroll"><table class="runs"><thead><tr>{heads}</tr>'
            f"</thead><tbody>{body}</tbody></table></div>"
        )
    return "".join(parts)


def _linked(row: Mapping[str, Any]) -> str:
    name = esc(row.get("name") or row["run_id"])
    url = str(row.get("url") or "")
    return (
        f'<a href="{esc(url)}" target="_blank" rel="noopener">{name}</a>'
        if url.startswith(("http://", "https://"))
        else name
    )
