"""The two lines at the top of every screen, the notice at the bottom, and the row of keys."""

from __future__ import annotations

from collections.abc import Sequence

from vsrpp.tui.drawing import bar
from vsrpp.tui.figures import count, number, span
from vsrpp.tui.lines import Line, cut, ends, length, line, wrap
from vsrpp.tui.messages import Texts
from vsrpp.tui.pages import delivery
from vsrpp.tui.run_view import Seen

_STATES = {
    "training": ("●", "good"), "validating": ("◌", "info"), "paused": ("‖", "warn"), "finished": ("✔", "good"),
    "stopped": ("■", ""), "failed": ("✖", "bad"), "dead": ("✖", "bad"), "silent": ("▲", "warn"),
}  # fmt: skip
Key = tuple[str, str, bool]
"""(the key as it is written, what it does, whether that makes sense now)"""


def header(seen: Seen, t: Texts, width: int) -> list[Line]:
    """Run, state and phase, how far; then the bar, the speed and the time to go."""
    state = "silent" if seen.silent else seen.state
    sign, style = _STATES.get(state, ("", ""))
    words = [(f"{sign} {t(f'state.{state}')}", f"{style} bold" if style else "bold")]
    if seen.live:
        words += [(seen.phase, "")] if seen.phase else []
        words += [(f"! {t('probation')}", "warn")] if seen.probation else []
        words += [(f"! {t('plateau')}", "warn")] if seen.plateau else []
    steps = t("step_of", step=count(seen.step), all=count(seen.max_steps))
    taken = sum(len(word) + 2 for word, _ in words) + 16
    if taken + len(steps) > width:
        steps = f"{count(seen.step)}/{count(seen.max_steps)}"
    if taken + len(steps) > width:
        words = words[:1]
    fixed = sum(len(word) + 2 for word, _ in words) + len(steps) + 8
    name = cut(seen.name or seen.run_id[:12], max(4, width - fixed))
    first = line(("VSR++ ", "brand"), (name, "bold"))
    for word in words:
        first += line("  ", word)
    return [ends(first, [(steps, "bold")], width), _progress(seen, t, width)]


def _progress(seen: Seen, t: Texts, width: int) -> Line:
    parts = [f"{seen.progress:.1%}".replace("%", " %")]
    if seen.steps_per_s and seen.live and seen.state != "paused":
        parts.append(t("steps_per_s", n=number(seen.steps_per_s, 2)))
    if seen.eta_s is not None:
        parts.append(t("to_go", span=span(seen.eta_s)))
    parts.append(f"r{seen.revision}" if width < 72 else t("revision", n=seen.revision))
    if seen.branch:
        parts.append(f"b{seen.branch}" if width < 72 else t("branch", n=seen.branch))
    right = "  ".join(parts)
    while len(right) > width - 8 and len(parts) > 1:
        parts.pop()
        right = "  ".join(parts)
    cells = max(4, width - len(right) - 2)
    return [*bar(seen.progress, cells, "good" if seen.live else ""), ("  " + right, "")]


def notice(seen: Seen, t: Texts) -> tuple[str, str]:
    """(what is to be said of the run's state, its style); empty while all is as usual."""
    run, (late, late_style) = seen.run_id, delivery.says(seen, t)
    if seen.silent:
        return t("says.silent", age=span(seen.quiet_s)), "warn"
    if seen.live and seen.probation:
        trial = seen.probation
        return t(
            "says.probation", step=trial.get("until_step"), when=trial.get("revert_if") or t("says.broken")
        ), "warn"
    match seen.state:
        case "paused":
            return t("says.paused", step=seen.step), "warn"
        case "stopped":
            return " · ".join(filter(None, [t("says.stopped", step=seen.step, run=run), late])), late_style
        case "failed":
            return t("says.failed", why=seen.failure().rstrip("."), run=run), "bad"
        case "dead":
            return t("says.dead", run=run), "bad"
        case "finished":
            return " · ".join(filter(None, [t("says.finished", run=run), late])), late_style
    return late, late_style


def message_lines(text: str, style: str, width: int, most: int = 3) -> list[Line]:
    """A message on as many rows as it needs, up to `most`."""
    rows = wrap(text, width, style) if text else [[]]
    if len(rows) > most:
        rows = [*rows[: most - 1], [(cut("".join(r[0][0] + " " for r in rows[most - 1 :]), width), style)]]
    return rows


def key_lines(wide: Sequence[Key], narrow: Sequence[Key], width: int) -> list[Line]:
    """The keys on one row: in full, or in short, or in short on as many rows as it takes."""
    for keys, gap in ((wide, "  "), (narrow, "  "), (narrow, " ")):
        row = _row(keys, gap)
        if length(row) <= width:
            return [row]
    rows: list[Line] = [[]]
    for key in narrow:
        item = _row([key], "")
        if rows[-1] and length(rows[-1]) + 2 + length(item) > width:
            rows.append([])
        rows[-1] = [*rows[-1], *([("  ", "")] if rows[-1] else []), *item]
    return rows


def _row(keys: Sequence[Key], gap: str) -> Line:
    row: Line = []
    for number_, (key, label, on) in enumerate(keys):
        row += [(gap, "")] if number_ else []
        row += [(key, "key" if on else "dim"), (f" {label}", "" if on else "dim")]
    return row
