"""The pieces of the config page around its form: notes beside the fields, preview, startup values, revisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vsrpp import config
from vsrpp.control import CONFIG_EVENTS, Preview, RunView
from vsrpp.control.narrate import narrate
from vsrpp.formats import NONE, clock, duration, number, value, whole
from vsrpp.store import Event

from ..charts.lines import line_chart
from ..format import esc
from ..messages import Texts


def shown_value(key: str, raw: Any, t: Texts) -> str:
    """A value as it is written everywhere (rates as 1.50e-04), on and off in the page's language."""
    return value(key, raw, (t("on"), t("off")))


def field_info(parameter: config.Parameter, t: Texts, language: str) -> str:
    """Unit, range and default, for the line under a label."""
    parts = []
    unit = parameter.unit_in(language)
    if parameter.minimum is not None and parameter.maximum is not None:
        low, high = (_bound(parameter, bound) for bound in (parameter.minimum, parameter.maximum))
        parts.append(t("range", low=low, high=high) + (f" {unit}" if unit else ""))
    elif parameter.minimum is not None:
        parts.append(t("at_least", low=_bound(parameter, parameter.minimum)))
    return " · ".join(parts)


def _bound(parameter: config.Parameter, bound: float) -> str:
    return f"{bound:.0e}" if parameter.scale == "log" else whole(bound) if abs(bound) >= 1000 else f"{bound:g}"


def field_note(
    key: str, snapshot: RunView, t: Texts, language: str, *, error: str | None = None, note: str | None = None
) -> str:
    """Beside a field: why its value would be refused or what happened to it; who set it last; what it does."""
    parameter = config.live_parameters()[key]
    about = parameter.description_in(language)
    return f'{_alert(error, note)}{_standing(parameter, snapshot, t)}<p class="note about">{esc(about)}</p>'


def _alert(error: str | None, note: str | None) -> str:
    if error:
        return f'<p class="note bad" role="alert">{esc(error)}</p>'
    if note:
        return f'<p class="note warn" role="status">{esc(note)}</p>'
    return ""


def _standing(parameter: config.Parameter, snapshot: RunView, t: Texts) -> str:
    key = parameter.key
    event = snapshot.config.last_change(key)
    preset = str(snapshot.run_config.get("preset", "base"))
    parts = [t("never_changed")]
    if event:
        age = duration(max(0.0, snapshot.now - event.time))
        parts = [t("changed_by", who=narrate(event).by(t), step=whole(event.step), age=age)]
    if preset in parameter.presets:
        parts.append(t("default", value=shown_value(key, parameter.presets[preset], t)))
    now = shown_value(key, snapshot.config.live.get(key), t)
    return f'<p class="note"><b>{esc(now)}</b> · {esc(" · ".join(parts))}</p>'


def preview(result: Preview | None, t: Texts, language: str, *, width: int = 460) -> str:
    """The diff, what is wrong or what to mind, and the learning rate ahead, before anything is asked of the run."""
    if result is None or (not result.changes and not result.errors):
        return f'<p class="hint">{esc(t("preview_none"))}</p>'
    parts = []
    if result.errors:
        rows = "".join(
            f"<li><b>{esc(e['key'])}</b> = {esc(shown_value(e['key'], e['value'], t))}: {esc(e['message'])}</li>"
            for e in result.errors
        )
        parts.append(f'<div class="notice bad"><b>{esc(t("preview_bad"))}</b><ul>{rows}</ul></div>')
    else:
        parts.append(f'<p class="notice good">{esc(t("preview_ok"))}</p>')
    parts.append(_diff(result.changes, t, language))
    parts += [f'<p class="notice warn">⚠ {esc(warning)}</p>' for warning in result.warnings]
    if result.weight_sum is not None:
        parts.append(f'<p class="hint">{esc(t("sum", sum=number(result.weight_sum, 3)))}</p>')
    parts.append(_rate(result, t, width))
    return "".join(parts)


def _diff(changes: Sequence[Mapping[str, Any]], t: Texts, language: str) -> str:
    known = config.live_parameters()
    rows = "".join(
        f'<tr class="{esc(c["tier"])}"><th scope="row">{esc(known[c["key"]].title_in(language))}'
        f"<small>{esc(c['key'])}</small></th><td><del>{esc(shown_value(c['key'], c['old'], t))}</del></td>"
        f"<td><ins>{esc(shown_value(c['key'], c['new'], t))}</ins></td></tr>"
        for c in changes
    )
    heads = "".join(f"<th>{esc(t(key))}</th>" for key in ("parameter", "old", "new"))
    return f'<table class="diff"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>' if rows else ""


def _rate(result: Preview, t: Texts, width: int) -> str:
    if not any(row["old"] != row["new"] for row in result.rate_ahead):
        return ""
    old = [(row["step"], row["old"]) for row in result.rate_ahead]
    new = [(row["step"], row["new"]) for row in result.rate_ahead]
    chart = line_chart(
        [(t("rate_now"), "was", old), (t("rate_then"), "will", new)], width=width, height=170, spoken=t("rate_ahead")
    )
    key = f'<span class="key was">{esc(t("rate_now"))}</span> <span class="key will">{esc(t("rate_then"))}</span>'
    return f"<figure><figcaption>{esc(t('rate_ahead'))} {key}</figcaption>{chart}</figure>"


def startup_table(run_config: Mapping[str, Any], t: Texts, run_id: str) -> str:
    """What is fixed since the start, with why, by group."""
    groups: dict[str, list[config.Parameter]] = {}
    for parameter in config.startup_parameters().values():
        groups.setdefault(parameter.group, []).append(parameter)
    why = t("tier.startup.why", cmd=f"vsrpp train --from {run_id}")
    tables = "".join(
        f"<section><h4>{esc(group)}</h4><dl>"
        + "".join(
            f'<div title="{esc(p.description)}"><dt>{esc(p.key)}</dt><dd>{esc(shown_value(p.key, run_config.get(p.key), t))}'
            f"{' <small>' + esc(p.unit) + '</small>' if p.unit and run_config.get(p.key) is not None else ''}</dd>"
            "</div>"
            for p in rows
        )
        + "</dl></section>"
        for group, rows in groups.items()
    )
    return f'<p class="hint">{esc(why)}</p><div class="startup">{tables}</div>'


def revisions(events: Sequence[Event], current: int, t: Texts, *, live: bool) -> str:
    """The history of revisions, newest first; each but the present one can be loaded into the form."""
    edits = [e for e in events if e.type in CONFIG_EVENTS]
    rows = "".join(_revision(event, current, t, live=live) for event in reversed(edits[-100:]))
    heads = "".join(f"<th>{esc(t(key))}</th>" for key in ("revision", "step", "what", "who", "why", "when"))
    return (
        f'<div class="scroll"><table class="revisions"><thead><tr>{heads}<th></th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _revision(event: Event, current: int, t: Texts, *, live: bool) -> str:
    told = narrate(event)
    what = told.brief(t) if event.type != "started" else t("start")
    button = ""
    if live and event.revision != current:
        button = (
            f'<button type="button" class="quiet" data-load-revision="{event.revision}" '
            f'aria-label="{esc(t("go_back", revision=event.revision))}">{esc(t("go_back_short"))}</button>'
        )
    mark = ' class="current"' if event.revision == current else ""
    return (
        f"<tr{mark}><td>{event.revision}</td><td>{whole(event.step)}</td><td>{esc(what)}</td>"
        f"<td>{esc(told.by(t) or NONE)}</td><td>{esc(told.why(t))}</td>"
        f"<td>{clock(event.time)}</td><td>{button}</td></tr>"
    )
