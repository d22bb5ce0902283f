"""The head of every page: which run, in what state, how far, how fast; and the plain word when it no longer trains."""

from __future__ import annotations

from vsrpp.control import RunView
from vsrpp.control.narrate import phase, probation_terms
from vsrpp.formats import NONE, duration, finite, mebibytes, number, rate, whole

from ..format import esc
from ..messages import Texts
from .delivery import sentences

PAGES = ("monitoring", "config", "runs")


def navigation(page: str, run_id: str | None, t: Texts, *, user: str | None = None) -> str:
    """Brand, links to the three pages, the switch of light and dark."""
    query = f"?run={esc(run_id)}" if run_id else ""
    links = "".join(
        f'<a href="/{name}{query}"{" aria-current=page" if name == page else ""}>{esc(t(name))}</a>' for name in PAGES
    )
    leave = f'<a href="/logout">{esc(t("sign_out"))} ({esc(user)})</a>' if user else ""
    return (
        f'<div class="vp-nav"><a class="skip" href="#content">{esc(t("skip"))}</a>'
        '<span class="brand">VSR<b>++</b></span>'
        f'<nav aria-label="VSR++">{links}</nav><span class="grow"></span>{leave}'
        f'<button type="button" class="quiet" data-theme aria-label="{esc(t("theme"))}" '
        f'title="{esc(t("theme"))}">◐</button></div>'
    )


def badges(snapshot: RunView, t: Texts) -> list[tuple[str, str]]:
    """(css class, word) of the state and of everything that goes with it."""
    labels: list[tuple[str, str]] = [(snapshot.state, t(f"state.{snapshot.state}"))]
    if snapshot.silent:
        labels = [("silent", t("state.silent"))]
    if snapshot.live and snapshot.on_probation:
        labels.append(("probation", t("state.probation")))
    if snapshot.live and snapshot.plateau:
        labels.append(("plateau", t("state.plateau")))
    if snapshot.behind:
        labels.append(("behind", t("state.behind")))
    return labels


def header(
    snapshot: RunView, t: Texts, *, others: list[tuple[str, str]] | None = None, config_button: bool = True
) -> str:
    """Name and state, the bar of progress, and the figures one looks for first."""
    words = "".join(f'<span class="badge {esc(css)}">{esc(word)}</span>' for css, word in badges(snapshot, t))
    name = snapshot.name or snapshot.run_id
    short = "" if name == snapshot.run_id else f"<code>{esc(snapshot.run_id)}</code>"
    chooser = _chooser(snapshot.run_id, others or [], t)
    button = (
        f'<a class="button" target="_blank" rel="noopener" id="open-config" href="/config?run={esc(snapshot.run_id)}">'
        f"{esc(t('config_button'))}</a>"
        if config_button
        else ""
    )
    return (
        f'<div class="title"><h1>{esc(name)}</h1>{short}{words}<span class="grow"></span>{chooser}{button}</div>'
        f"{_progress(snapshot, t)}{_figures(snapshot, t)}{notice(snapshot, t)}"
    )


def _chooser(run_id: str, others: list[tuple[str, str]], t: Texts) -> str:
    if len(others) < 2:
        return ""
    options = "".join(
        f'<option value="{esc(key)}"{" selected" if key == run_id else ""}>{esc(word)}</option>' for key, word in others
    )
    return (
        f'<label class="chooser"><span class="sr">{esc(t("run"))}</span><select '
        f"data-run-chooser>{options}</select></label>"
    )


def _progress(snapshot: RunView, t: Texts) -> str:
    total = snapshot.max_steps
    share = min(1.0, snapshot.step / total) if total > 0 else 0.0
    text = f"{whole(snapshot.step)} {t('of')} {whole(total or None)}"
    return (
        f'<div class="progress" role="progressbar" aria-label="{esc(t("step"))}" aria-valuemin="0" '
        f'aria-valuemax="{int(total)}" aria-valuenow="{snapshot.step}" aria-valuetext="{esc(text)}">'
        f'<i style="width:{share * 100:.2f}%"></i></div>'
    )


def _figures(snapshot: RunView, t: Texts) -> str:
    total = snapshot.max_steps or None
    share = f"{snapshot.step / total * 100:.1f} %" if total else ""
    speed, moving = snapshot.steps_per_s, snapshot.live and snapshot.state != "paused"
    figures = [
        (t("step"), f"{whole(snapshot.step)} <small>{t('of')} {whole(total)} · {share}</small>"),
        (t("phase"), esc(phase(snapshot.phase).text(t)) if snapshot.phase else "–"),
        (t("eta"), duration(snapshot.eta_s) if moving else "–"),
        (t("speed"), f"{number(speed, 2)} <small>{esc(t('steps_per_s'))}</small>" if moving else "–"),
        (t("rate"), rate(snapshot.lr)),
        (t("revision"), _revision(snapshot, t)),
        _memory(snapshot, t),
    ]
    return '<dl class="figures">' + "".join(f"<div><dt>{esc(k)}</dt><dd>{v}</dd></div>" for k, v in figures) + "</dl>"


def _revision(snapshot: RunView, t: Texts) -> str:
    branch = snapshot.branch
    extra = f" <small>{esc(t('branch'))} {branch}</small>" if branch else ""
    return f"{esc(snapshot.revision)}{extra}"


def _memory(snapshot: RunView, t: Texts) -> tuple[str, str]:
    """GPU memory in use, of how much; on a machine without a GPU, the memory of the training process."""
    gpu, total = (
        finite(snapshot.metric("system/gpu_memory_mib")),
        finite(snapshot.metric("system/gpu_memory_total_mib")),
    )
    if gpu is not None:
        of = f" <small>{t('of')} {mebibytes(total)}</small>" if total else ""
        return t("gpu_memory"), f"{mebibytes(gpu)}{of}"
    own = finite(snapshot.metric("system/process_memory_mib"))
    return t("memory"), mebibytes(own) if own is not None else "–"


def notice(snapshot: RunView, t: Texts) -> str:
    """The plain sentence for a state in which nothing moves, or in which something waits."""
    notices = []
    step, run = whole(snapshot.step), snapshot.run_id
    if snapshot.silent:
        notices.append(("warn", t("says.silent", age=duration(snapshot.quiet_s))))
    elif snapshot.state == "paused":
        notices.append(("info", t("says.paused", step=step)))
    elif snapshot.state == "finished":
        notices.append(("good", t("says.finished")))
    elif snapshot.state == "stopped":
        notices.append(("info", t("says.stopped", step=step, run=run)))
    elif snapshot.state == "dead":
        notices.append(("bad", t("says.dead", age=duration(snapshot.quiet_s), run=run)))
    elif snapshot.state == "failed":
        notices.append(("bad", t("says.failed", why=_failure(snapshot, t))))
    if snapshot.on_probation and snapshot.probation:
        terms = snapshot.probation
        until, condition = whole(terms.get("until_step")), probation_terms(terms.get("revert_if")).text(t)
        notices.append(("warn", t("says.probation", step=until, revision=terms.get("revision"), condition=condition)))
    notices += [("warn", sentence) for sentence in sentences(snapshot, t)]
    return "".join(f'<p class="notice {css}">{esc(sentence)}</p>' for css, sentence in notices)


def _failure(snapshot: RunView, t: Texts) -> str:
    told = snapshot.failure()
    return (told.detail(t) or told.headline.text(t)) if told else NONE


def empty(folder: str, t: Texts, *, missing: str | None = None) -> str:
    """With no runs yet it teaches: what to type."""
    rows = "".join(
        f"<p>{esc(t(key))}</p>{command(line, t)}"
        for key, line in (
            ("empty_demo", "vsrpp train --preset demo --data sample"),
            ("empty_own", "vsrpp train --preset base --data path/to/video.mp4"),
            ("empty_look", "vsrpp data path/to/video.mp4"),
        )
    )
    title = t("no_such_run", run=missing, folder=folder) if missing else t("empty_title")
    where = t("empty_where", folder=folder)
    return (
        f'<div class="empty-page"><h1>{esc(title)}</h1><p>{esc(t("empty_text"))}</p>{rows}'
        f'<p class="hint">{esc(where)}</p></div>'
    )


def command(line: str, t: Texts) -> str:
    """A command to copy."""
    return (
        f'<div class="cmd"><code>{esc(line)}</code><button type="button" data-copy="{esc(line)}" '
        f'data-done="{esc(t("copied"))}" aria-label="{esc(t("copy"))}: {esc(line)}">{esc(t("copy"))}</button></div>'
    )
