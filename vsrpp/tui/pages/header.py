"""What stands at the top of every screen, and the notice at the bottom."""

from __future__ import annotations

from vsrpp.control.narrate import phase, probation_terms
from vsrpp.control.refusals import remark_text
from vsrpp.formats import NONE, duration, number, percent, whole
from vsrpp.tui.lines import Line, cut, ends, line, wrap
from vsrpp.tui.messages import TerminalTexts
from vsrpp.tui.pages import delivery
from vsrpp.tui.run_view import RunSnapshot

_STATES = {
    "training": ("●", "good"), "validating": ("◌", "info"), "paused": ("‖", "warn"), "waiting": ("‖", "bad"),
    "finished": ("✔", "good"),
    "stopped": ("■", ""), "failed": ("✖", "bad"), "dead": ("✖", "bad"), "silent": ("▲", "warn"),
}  # fmt: skip


def header(snapshot: RunSnapshot, t: TerminalTexts, width: int) -> Line:
    """Run, state and phase, how far."""
    state = "silent" if snapshot.silent else snapshot.state
    sign, style = _STATES.get(state, ("", ""))
    words = [(f"{sign} {t(f'state.{state}')}", f"{style} bold" if style else "bold")]
    if snapshot.live:
        words += [(phase(snapshot.phase).text(t), "")] if snapshot.phase else []
        words += [(f"! {t('state.probation')}", "warn")] if snapshot.probation else []
        words += [(f"! {t('state.plateau')}", "warn")] if snapshot.plateau else []
    steps = t("step_of", step=whole(snapshot.step), all=whole(snapshot.max_steps))
    taken = sum(len(word) + 2 for word, _ in words) + 16
    if taken + len(steps) > width:
        steps = f"{whole(snapshot.step)}/{whole(snapshot.max_steps)}"
    if taken + len(steps) > width:
        words = words[:1]
    fixed = sum(len(word) + 2 for word, _ in words) + len(steps) + 8
    name = cut(snapshot.name or snapshot.run_id[:12], max(4, width - fixed))
    first = line(("VSR++ ", "brand"), (name, "bold"))
    for word in words:
        first += line("  ", word)
    return ends(first, [(steps, "bold")], width)


def progress(snapshot: RunSnapshot, t: TerminalTexts, width: int) -> Line:
    """The progress in words, at the right of its bar: the part, the speed, the time to go."""
    parts = [percent(snapshot.progress, 1)]
    if snapshot.steps_per_s and snapshot.live and snapshot.state not in ("paused", "waiting"):
        parts.append(t("steps_per_s", n=number(snapshot.steps_per_s, 2)))
    if snapshot.eta_s is not None:
        parts.append(t("to_go", span=duration(snapshot.eta_s)))
    parts.append(f"r{snapshot.revision}" if width < 72 else t("revision", n=snapshot.revision))
    if snapshot.branch:
        parts.append(f"b{snapshot.branch}" if width < 72 else t("branch", n=snapshot.branch))
    right = "  ".join(parts)
    while len(right) > width - 8 and len(parts) > 1:
        parts.pop()
        right = "  ".join(parts)
    return [("  " + right, "")]


def notice(snapshot: RunSnapshot, t: TerminalTexts) -> tuple[str, str]:
    """(what is to be said of the run's state, its style); empty while all is as usual."""
    run, (late, late_style) = snapshot.run_id, delivery.says(snapshot, t)
    if snapshot.newer_store:
        late, late_style = " · ".join(filter(None, [remark_text(snapshot.newer_store, t), late])), "warn"
    if snapshot.silent:
        return t("says.silent", age=duration(snapshot.quiet_s)), "warn"
    if snapshot.live and snapshot.probation:
        trial = snapshot.probation
        return t(
            "says.probation", step=trial.get("until_step"), when=probation_terms(trial.get("revert_if")).text(t)
        ), "warn"
    match snapshot.state:
        case "paused":
            return t("says.paused", step=snapshot.step), "warn"
        case "waiting":
            return t("says.waiting", step=snapshot.step, why=snapshot.waits_because.text(t)), "bad"
        case "stopped":
            return " · ".join(filter(None, [t("says.stopped", step=snapshot.step, run=run), late])), late_style
        case "failed":
            return t("says.failed", why=_failure(snapshot, t), run=run), "bad"
        case "dead":
            return t("says.dead", run=run), "bad"
        case "finished":
            return " · ".join(filter(None, [t("says.finished", run=run), late])), late_style
    return late, late_style


def _failure(snapshot: RunSnapshot, t: TerminalTexts) -> str:
    told = snapshot.failure()
    return (told.detail(t) or told.headline.text(t)).rstrip(".") if told else NONE


def message_lines(text: str, style: str, width: int, most: int = 3) -> list[Line]:
    """A message on as many rows as it needs, up to `most`."""
    rows = wrap(text, width, style) if text else [[]]
    if len(rows) > most:
        rows = [*rows[: most - 1], [(cut("".join(r[0][0] + " " for r in rows[most - 1 :]), width), style)]]
    return rows
