"""What an edit would do, as `control.preview` says it: drawn while one types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vsrpp import config
from vsrpp.control import Preview
from vsrpp.control.narrate import probation_terms, steps
from vsrpp.control.refusals import refusal_line, remark_text
from vsrpp.formats import bound, rate
from vsrpp.tui import drafts
from vsrpp.tui.drawing import area
from vsrpp.tui.lines import Line, line, pad, wrap
from vsrpp.tui.messages import TerminalTexts
from vsrpp.tui.run_view import RunSnapshot

RATE_KEYS = frozenset({"max_lr", "min_lr", "max_steps"})
"""Keys that move the learning rate's schedule."""


def refusal(preview: Preview, snapshot: RunSnapshot | None, t: TerminalTexts) -> str:
    """Why an edit would be refused, and what holds instead, in one line."""
    return refusal_line(preview.errors, preview.revision, snapshot.values if snapshot else {}, t)


def preview_lines(
    preview: Preview, trial: Mapping[str, Any] | None, snapshot: RunSnapshot, t: TerminalTexts, width: int
) -> list[Line]:
    """Old and new values, warnings, the terms of a probation, the rate ahead; or why it would be refused."""
    if preview.errors:
        return wrap(f"✖ {refusal(preview, snapshot, t)}", width, "bad")
    if not preview.changes:
        return [[(t("preview.same"), "dim")]]
    parameters = config.parameters(snapshot.run_config)
    lines = [
        _change(change, parameters[change["key"]], snapshot, t)
        for change in sorted(preview.changes, key=lambda change: parameters[change["key"]].menu or 0)
    ]
    for remark in preview.remarks:
        lines += wrap(f"! {remark_text(remark, t)}", width, "warn")
    if trial:
        when = probation_terms(trial["revert_if"]).text(t)
        lines += wrap(f"! {t('probation.follows', when=when, steps=steps(trial['steps']).text(t))}", width, "warn")
    return lines + _rate_ahead(preview, t, width)


def _change(change: Mapping[str, Any], parameter: config.Parameter, snapshot: RunSnapshot, t: TerminalTexts) -> Line:
    key, limit = change["key"], drafts.near_limit(parameter, change["new"])
    old, new = (t.value(key, change[at], snapshot.run_config) for at in ("old", "new"))
    row = line((f"{key} ", "bold"), old, " → ", (new, "good bold" if limit is None else "warn bold"))
    return row + line(("" if limit is None else f"  ! {t('preview.near', limit=bound(limit))}", "warn"))


def _rate_ahead(preview: Preview, t: TerminalTexts, width: int) -> list[Line]:
    ahead = preview.rate_ahead
    if not ahead or not RATE_KEYS & {change["key"] for change in preview.changes}:
        return []
    old, new = [row["old"] for row in ahead], [row["new"] for row in ahead]
    label = max(len(t("preview.before")), len(t("preview.after"))) + 2
    cells = min(60, width - label)
    return [
        line((f"{t('preview.rate')}: ", "dim"), t("preview.next", old=rate(old[0]), new=rate(new[0]))),
        line((pad(t("preview.before"), label), "dim"), *area(old, cells, 1, "info", scaled_with=new)[0][0]),
        line((pad(t("preview.after"), label), "dim"), *area(new, cells, 1, "good", scaled_with=old)[0][0]),
    ]
