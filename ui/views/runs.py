"""The runs page: what there is, its checkpoints, and what can be done with them, each with its command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vsrpp.control import LIVE_STATES
from vsrpp.formats import clock, count, finite, number, size, whole

from ..format import esc
from ..messages import Texts
from ..verbs import Action
from .compare import run_link, web_address
from .header import command
from .jobs import act


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenRun:
    """The chosen run, and what can be done at this moment."""

    run_id: str
    state: str
    runs: Path
    """The folder it lies in."""
    verbs: Sequence[str]
    """Those the command line has."""
    busy: Sequence[str] = ()
    """Names of the runs that train on this machine now."""

    @property
    def live(self) -> bool:
        return self.state in LIVE_STATES

    def action(self, verb: str, t: Texts, step: int | None = None) -> str:
        """The button for it."""
        target = self.wanted(verb, step).target(self.runs) if verb == "restore" else ""
        sure = t(f"sure.{verb}", step=whole(step), folder=target, run=self.run_id)
        warning = (
            t("sure.shared", runs=", ".join(self.busy)) if self.busy and verb in ("from", "resume", "replay") else ""
        )
        return act(verb, self.line(verb, step), sure, t, run_id=self.run_id, step=step, warning=warning)

    def wanted(self, verb: str, step: int | None = None) -> Action:
        return Action(verb=verb, run_id=self.run_id, step=step, alias="champion" if verb == "promote" else None)

    def line(self, verb: str, step: int | None = None) -> str:
        if verb == "rollback":
            return f"vsrpp rollback {self.run_id} --step {step}"
        return self.wanted(verb, step).line(self.runs)


def runs_table(rows: Sequence[Mapping[str, Any]], chosen: str | None, t: Texts, picked: Sequence[str] = ()) -> str:
    """The runs of this host; the chosen one is marked, each leads to its own page and can be ticked for comparing."""
    heads = "".join(f"<th>{esc(t(key))}</th>" for key in ("name", "state", "step", "best", "interventions", "started"))
    body = "".join(_run(row, chosen, t, picked) for row in rows)
    return (
        f'<div class="scroll"><table class="runs"><thead><tr><th><span class="sr">{esc(t("compare"))}</span></th>'
        f"{heads}<th>MLflow</th></tr></thead><tbody>{body}</tbody></table></div>"
    )


def _run(row: Mapping[str, Any], chosen: str | None, t: Texts, picked: Sequence[str]) -> str:
    run_id, best = str(row["run_id"]), row.get("best")
    state = str(row.get("state"))
    name = row.get("name") or run_id
    mark = ' class="current" aria-current="true"' if run_id == chosen else ""
    ticked = " checked" if run_id in picked else ""
    link = run_link(row.get("mlflow"))
    mlflow = (
        f'<a href="{esc(link)}" target="_blank" rel="noopener" aria-label="{esc(t("open_mlflow"))}: {esc(run_id)}">'
        f"{esc(t('open'))}</a>"
        if link
        else "–"
    )
    return (
        f'<tr{mark}><td><input type="checkbox" data-pick="{esc(run_id)}"{ticked} '
        f'aria-label="{esc(t("compare"))}: {esc(name)} ({esc(run_id)})"></td>'
        f'<th scope="row"><a href="/runs?run={esc(run_id)}">{esc(name)}</a>'
        f'<small>{esc(run_id)}</small></th><td><span class="badge {esc(state)}">{esc(t(f"state.{state}"))}</span></td>'
        f"<td>{count(row.get('step'))}</td>"
        f"<td>{_best(best, t)}</td><td>{count(row.get('edits', 0))}</td><td>{clock(row.get('started'))}</td>"
        f"<td>{mlflow}</td></tr>"
    )


def _best(best: Mapping[str, Any] | None, t: Texts) -> str:
    if not best:
        return "–"
    return f"{number(best['psnr_y'], 2)} dB <small>{esc(t('at_step', step=count(best['step'])))}</small>"


def checkpoint_table(rows: Sequence[Mapping[str, Any]], chosen: ChosenRun, t: Texts) -> str:
    """Step, PSNR, revision, size and where; what can be done with each, as buttons and as commands to copy."""
    if not rows:
        return f'<p class="hint">{esc(t("no_checkpoints"))}</p>'
    best = max((finite(row.get("psnr_y")) or float("-inf") for row in rows), default=None)
    body = "".join(_checkpoint(row, best, chosen, t) for row in rows)
    heads = "".join(f"<th>{esc(t(key))}</th>" for key in ("step", "psnr", "revision", "size", "where", "actions"))
    return (
        f'<div class="scroll"><table class="checkpoints"><thead><tr>{heads}</tr>'
        f"</thead><tbody>{body}</tbody></table></div>"
    )


def _checkpoint(row: Mapping[str, Any], best: float | None, chosen: ChosenRun, t: Texts) -> str:
    step, psnr = int(row["step"]), finite(row.get("psnr_y"))
    verbs = checkpoint_verbs(row, chosen)
    buttons = "".join(chosen.action(verb, t, step) for verb in verbs)
    commands = "".join(f"<p>{esc(t(f'cmd.{verb}'))}</p>{command(chosen.line(verb, step), t)}" for verb in verbs)
    details = (
        f'<details id="ck-{step}-{row.get("branch", 0)}"><summary>{esc(t("commands"))}</summary>{commands}</details>'
        if verbs
        else ""
    )
    where = [t("here") if row.get("here") else t("pruned")] + ([t("in_mlflow")] if row.get("uploaded") else [])
    star = f' <span role="img" aria-label="{esc(t("best"))}">★</span>' if psnr is not None and psnr == best else ""
    faint = ' class="faint"' if row.get("abandoned") else ""
    return (
        f"<tr{faint}><td>{whole(step)}{_branch(row, t)}</td><td>{number(psnr, 2)}{star}</td>"
        f"<td>{row.get('revision', '–')}</td>"
        f"<td>{size(row.get('size_bytes'))}</td><td>{esc(', '.join(where))}</td>"
        f'<td><div class="acts">{buttons}</div>{details}</td></tr>'
    )


def checkpoint_verbs(row: Mapping[str, Any], chosen: ChosenRun) -> list[str]:
    """What can be done with a checkpoint: one that was left behind, or is nowhere any more, cannot be gone back to."""
    kept = bool(row.get("here") or row.get("uploaded")) and not row.get("abandoned")
    back = chosen.live and bool(row.get("here")) and not row.get("abandoned")
    can = {"rollback": back, "restore": kept, "from": kept, "promote": bool(row.get("uploaded")) and kept}
    word = {"from": "train"}
    return [verb for verb, possible in can.items() if possible and word.get(verb, verb) in chosen.verbs]


def _branch(row: Mapping[str, Any], t: Texts) -> str:
    return f" <small>{esc(t('branch'))} {row['branch']}</small>" if row.get("branch") else ""


def run_commands(chosen: ChosenRun, t: Texts) -> str:
    """What one may do with a run, and type about it; only verbs the command line has."""
    run_id = chosen.run_id
    actions = []
    if chosen.state in ("stopped", "dead", "failed"):
        actions.append(("train", "resume"))
    if not chosen.live:
        actions += [("train", "from"), ("replay", "replay")]
    lines = [("status", f"vsrpp status {run_id}"), ("history", f"vsrpp history {run_id} --verify")]
    if chosen.live:
        lines.append(("set", f'vsrpp set {run_id} max_lr=2e-4 --reason "…"'))
    done = "".join(
        f'<div class="acts"><p>{esc(t(f"cmd.{verb}"))}</p>{chosen.action(verb, t)}</div>{command(chosen.line(verb), t)}'
        for word, verb in actions
        if word in chosen.verbs
    )
    typed = "".join(f"<p>{esc(t(f'cmd.{verb}'))}</p>{command(line, t)}" for verb, line in lines if verb in chosen.verbs)
    return f'<div class="commands">{done}{typed}</div>'


def tracking(uri: str | None, runs: Sequence[Mapping[str, Any]], why: str | None, t: Texts) -> str:
    """The runs the tracking server knows and this host does not; links into its own pages."""
    if why:
        return f'<p class="hint">{esc(t("tracking_none", why=why))}</p>'
    where = web_address(uri or "")
    link = f'<a href="{esc(where)}" target="_blank" rel="noopener">{esc(where)}</a>' if where else esc(uri or "–")
    parts = [f'<p class="hint">{esc(t("tracking_at", uri=""))}{link}</p>']
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
