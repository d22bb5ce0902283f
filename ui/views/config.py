"""The pieces of the config page around its form: notes beside the fields, preview, startup values, revisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vsrpp import config
from vsrpp.config import schema
from vsrpp.control import CONFIG_EVENTS, Preview, RunView
from vsrpp.control.narrate import narrate
from vsrpp.control.refusals import problem_text, remark_text
from vsrpp.formats import NONE, duration, value, whole
from vsrpp.store import Event

from ..charts.lines import SmallChart, line_chart
from ..markup import Piece, piece
from ..messages import Texts


def shown_value(key: str, raw: Any, t: Texts, run_config: Mapping[str, Any] | None = None) -> str:
    """A value as it is written everywhere (rates as 1.50e-04), on and off in the page's language."""
    return value(key, raw, (t("on"), t("off")), run_config)


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
    parameter: config.Parameter, snapshot: RunView, t: Texts, language: str, *, error: str | None = None,
    note: str | None = None,
) -> Piece:  # fmt: skip
    """Beside a field: why its value would be refused or what happened to it; who set it last; what it does."""
    now = snapshot.config.live.get(parameter.key)
    return piece(
        "field_note", error=error, note=note, value=shown_value(parameter.key, now, t, snapshot.run_config),
        standing=_standing(parameter, snapshot, t), about=parameter.description_in(language),
    )  # fmt: skip


def _standing(parameter: config.Parameter, snapshot: RunView, t: Texts) -> str:
    """Who set it last and what its preset says."""
    key = parameter.key
    event = snapshot.config.last_change(key)
    preset = str(snapshot.run_config.get("preset", "base"))
    parts = [t("never_changed")]
    if event:
        age = duration(max(0.0, snapshot.now - event.time))
        parts = [t("changed_by", who=narrate(event).by(t), step=whole(event.step), age=age)]
    if preset in parameter.presets:
        parts.append(t("default", value=shown_value(key, parameter.presets[preset], t, snapshot.run_config)))
    return " · ".join(parts)


@dataclass(frozen=True, slots=True)
class BadValue:
    """A value that would be refused, and why."""

    key: str
    value: str
    message: str


@dataclass(frozen=True, slots=True)
class DiffRow:
    """A value before and after."""

    key: str
    title: str
    tier: str
    old: str
    new: str


def preview(
    result: Preview | None, t: Texts, language: str, run_config: Mapping[str, Any] | None = None, *, width: int = 460
) -> Piece:
    """The diff, what is wrong or what to mind, and the learning rate ahead, before anything is asked of the run."""
    if result is None:
        return piece("preview", changes=[], errors=[])
    return piece(
        "preview",
        errors=[
            BadValue(e["key"], shown_value(e["key"], e["value"], t, run_config), problem_text(e, t))
            for e in result.errors
        ],
        changes=[_diff(change, t, language, run_config) for change in result.changes],
        warnings=[remark_text(row, t) for row in result.remarks],
        weight_sum=result.weight_sum, rate_ahead=_rate_ahead(result, t, width),
    )  # fmt: skip


def _diff(change: Mapping[str, Any], t: Texts, language: str, run_config: Mapping[str, Any] | None) -> DiffRow:
    key = change["key"]
    old, new = (shown_value(key, change[at], t, run_config) for at in ("old", "new"))
    title = config.live_parameters(run_config)[key].title_in(language)
    return DiffRow(key, title, change["tier"], old, new)


def _rate_ahead(result: Preview, t: Texts, width: int) -> SmallChart | None:
    """None where the edit leaves the learning rate as it is."""
    if not any(row["old"] != row["new"] for row in result.rate_ahead):
        return None
    old = [(row["step"], row["old"]) for row in result.rate_ahead]
    new = [(row["step"], row["new"]) for row in result.rate_ahead]
    return line_chart([(t("rate_now"), "was", old), (t("rate_then"), "will", new)], width=width, height=170)


@dataclass(frozen=True, slots=True)
class StartupRow:
    """A value that is fixed since the start."""

    key: str
    value: str
    unit: str
    """Empty without a unit or a value."""
    about: str


def startup_table(run_config: Mapping[str, Any], t: Texts, run_id: str) -> Piece:
    """What is fixed since the start, with why, by group; what the run's plug-ins provide comes last."""
    groups: dict[str, list[StartupRow]] = {}
    for parameter in config.startup_parameters(run_config).values():
        raw = run_config.get(parameter.key)
        unit = parameter.unit_in(t.language) if raw is not None else ""
        about = parameter.description_in(t.language)
        row = StartupRow(parameter.key, shown_value(parameter.key, raw, t, run_config), unit, about)
        groups.setdefault(parameter.group_in(t.language), []).append(row)
    for plugin in schema.of(run_config).plugins:
        provides = ", ".join(f"{one.kind} {one.name}" for one in plugin.provides)
        about = plugin.distribution or plugin.path
        row = StartupRow(plugin.source, provides or NONE, f"SHA-256 {plugin.sha256[:12]}", about)
        groups.setdefault(t("plugins"), []).append(row)
    fault = schema.fault_of_plugins(run_config)
    if fault:
        groups[t("plugins")] = [StartupRow("plugins", fault, "", fault)]
    return piece("startup", run_id=run_id, groups=groups)


@dataclass(frozen=True, slots=True)
class RevisionRow:
    """One revision of the config, in words."""

    revision: int
    step: str
    what: str
    who: str
    why: str
    at: float
    """Seconds since 1970."""


def revisions(events: Sequence[Event], current: int, t: Texts, *, live: bool) -> Piece:
    """The history of revisions, newest first; each but the present one can be loaded into the form."""
    edits = [e for e in events if e.type in CONFIG_EVENTS]
    return piece("revisions", rows=[_revision(e, t) for e in reversed(edits[-100:])], current=current, live=live)


def _revision(event: Event, t: Texts) -> RevisionRow:
    told = narrate(event)
    what = told.brief(t) if event.type != "started" else t("start")
    return RevisionRow(event.revision, whole(event.step), what, told.by(t) or NONE, told.why(t), event.time)
