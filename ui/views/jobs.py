"""What was started from the runs page, the button that starts it, and the question before it."""

from __future__ import annotations

from collections.abc import Sequence

from vsrpp.formats import clock, duration

from ..format import esc
from ..jobs import Job, JobView
from ..messages import Texts
from ..verbs import TRAININGS
from .header import command


def act(verb: str, line: str, sure: str, t: Texts, *, run_id: str, step: int | None = None, warning: str = "") -> str:
    """A button that asks first, showing the command it runs. `{alias}` in the line is filled in by the one who asks."""
    at = f' data-step="{step}"' if step is not None else ""
    warn = f' data-warn="{esc(warning)}"' if warning else ""
    what = t(f"do.{verb}")
    label = what if step is None else f"{what}: {t('at_step', step=step)}"
    return (
        f'<button type="button" class="quiet act" data-act="{verb}" data-run="{esc(run_id)}"{at}{warn} '
        f'data-line="{esc(line)}" data-sure="{esc(sure)}" data-do="{esc(what)}" aria-haspopup="dialog" '
        f'aria-label="{esc(label)}">{esc(what)}</button>'
    )


def dialog(t: Texts) -> str:
    """The question, once in the page; the script fills it from the button that was pressed."""
    return (
        '<dialog id="ask" aria-labelledby="ask-sure"><form method="dialog"><h2 id="ask-title"></h2>'
        '<p id="ask-sure"></p><p class="notice warn" id="ask-warn" hidden></p>'
        f'<label id="ask-alias-row" hidden>{esc(t("alias"))}<input id="ask-alias" value="champion" maxlength="64" '
        f'pattern="[A-Za-z][A-Za-z0-9_\\-]*" autocomplete="off" spellcheck="false"></label>'
        f'<div class="cmd"><code id="ask-line"></code><button type="button" id="ask-copy" data-copy="" '
        f'data-done="{esc(t("copied"))}">{esc(t("copy"))}</button></div>'
        '<div id="ask-told" role="alert"></div>'
        '<div class="ask-buttons"><button type="button" class="primary" id="ask-yes"></button>'
        f'<button type="submit" class="quiet" id="ask-no" value="no">{esc(t("no"))}</button></div></form></dialog>'
    )


def jobs(views: Sequence[JobView], t: Texts) -> str:
    """Newest first: command, state, what came of it, last lines. Nothing where nothing was started."""
    return f'<ul class="jobs">{"".join(_job(view, t) for view in views)}</ul>' if views else ""


def _job(view: JobView, t: Texts) -> str:
    job = view.job
    at = job.run_id if job.step is None else f"{job.run_id} @ {job.step}"
    tail = esc("\n".join(view.tail))
    output = (
        f'<details id="out-{job.id}"><summary>{esc(t("job.output"))}</summary><pre tabindex="0" '
        f'aria-label="{esc(t("job.output"))}: {esc(job.line)}">{tail}</pre></details>'
        if view.tail
        else ""
    )
    now = f'<p class="hint job-now">{esc(view.tail[-1])}</p>' if view.state == "running" and view.tail else ""
    return (
        f'<li class="job" id="job-{job.id}"><div class="job-head"><span class="badge {view.state}">'
        f"{esc(t(f'job.{view.state}'))}</span><b>{esc(t(f'do.{job.verb}'))}</b><span>{esc(at)}</span>"
        f'<small>{esc(_when(job, t))}</small><span class="grow"></span>{_cancel(view, t)}</div>'
        f"{command(job.line, t)}{now}{_says(view, t)}{output}</li>"
    )


def _when(job: Job, t: Texts) -> str:
    when = clock(job.started) if job.ended is None else f"{clock(job.started)} · {duration(job.ended - job.started)}"
    return f"{when} · {job.author}" if job.author else when


def _says(view: JobView, t: Texts) -> str:
    if view.state == "failed":
        return f'<p class="notice bad">{esc(view.says)}</p>'
    if view.state == "done":
        where = f" → <code>{esc(view.job.target)}</code>" if view.job.target else ""
        return f'<p class="notice good">{esc(view.says)}{where}</p>'
    return f'<p class="hint">{esc(view.says)}</p>' if view.says else ""


def _cancel(view: JobView, t: Texts) -> str:
    if view.state != "running":
        return ""
    trains = view.job.verb in TRAININGS
    sure = f'data-sure="{esc(t("stop_sure"))}" aria-haspopup="dialog" ' if trains else ""
    return (
        f'<button type="button" class="quiet" data-act="cancel" data-job="{view.job.id}" {sure}'
        f'data-do="{esc(t("job.cancel"))}" data-line="{esc(view.job.line)}" '
        f'aria-label="{esc(t("job.cancel"))}: {esc(view.job.line)}">{esc(t("job.cancel"))}</button>'
    )
