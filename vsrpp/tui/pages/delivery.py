"""Lines that show how delivery to MLflow stands: what waits, what goes out now, what is in its way."""

from __future__ import annotations

from vsrpp import control
from vsrpp.control.delivery_status import BEHIND_AFTER_S
from vsrpp.control.refusals import because_text
from vsrpp.formats import count, duration, duration_short, finite, percent, size_of, whole
from vsrpp.tui.drawing import limit_style
from vsrpp.tui.lines import Line, cut
from vsrpp.tui.messages import TerminalTexts
from vsrpp.tui.run_view import RunSnapshot

SOON_S = 10.0
"""What is younger than this is on its way, not behind."""


def delivery(snapshot: RunSnapshot, t: TerminalTexts, room: int) -> Line:
    """The state of delivery, and with room for it the newest state that would outlive this machine."""
    return _with_room(_state(snapshot, t, room), _remote_copy(snapshot, t), room)


def upload(snapshot: RunSnapshot, room: int) -> tuple[Line, float, Line] | None:
    """The upload under way: what and how far in words, its part, its sizes where there is room; None without one."""
    going = control.upload(snapshot.backlog, snapshot.now)
    if going is None:
        return None
    what = going["what"].replace("checkpoint", "ckpt") if room < 24 else going["what"]
    words = cut(f"{what} " + percent(going["share"]), room)
    sizes = f" {size_of(going['done_bytes'], going['bytes'])}"
    has_room = room - len(words) - len(sizes) >= 7
    return [(words, "bold")], going["share"], [(sizes, "dim")] if has_room else []


def _state(snapshot: RunSnapshot, t: TerminalTexts, room: int) -> Line:
    rows, artifacts = int(snapshot.backlog.get("rows") or 0), int(snapshot.backlog.get("artifacts") or 0)
    age = finite(snapshot.backlog.get("age_s")) or 0.0
    kind, end_due = snapshot.backlog.get("trouble"), bool(snapshot.backlog.get("end_due"))
    if kind:
        since = finite(snapshot.backlog.get("lost_s"))
        how_long = (duration if room >= 40 else duration_short)(age if since is None else since)
        text = f"!! {cut(t(f'trouble.{kind}'), room - len(how_long) - 4)} {how_long}"
        waiting = t("delivery.waiting", rows=count(rows), artifacts=artifacts)
        return [(f"{text}, {waiting}" if len(text) + len(waiting) + 2 <= room else text, "bad bold")]
    if not rows and not artifacts:
        return [(f"✔ {t('delivery.done')}", "good")]
    if end_due and rows == 1 and not artifacts:
        return [(f"! {t('delivery.end')}", "warn")]
    if age < SOON_S:
        return [(t("delivery.soon", rows=count(rows)) if rows else t("delivery.files", files=artifacts), "")]
    style = limit_style(age / BEHIND_AFTER_S, near=0.5) if rows else ""
    text = t("delivery.behind", rows=count(rows), artifacts=artifacts, age=duration(age))
    return [(f"{sign(style)[1:]} {text}".strip(), style)]


def says(snapshot: RunSnapshot, t: TerminalTexts) -> tuple[str, str]:
    """(what is to be said of a delivery in trouble, its style); empty while there is none."""
    kind, run = snapshot.backlog.get("trouble"), snapshot.run_id
    if kind:
        means = t(f"means.{kind}", run=run)
        lost = snapshot.backlog.get("state") == "lost"
        error = (
            because_text(snapshot.backlog.get("because"), str(snapshot.backlog.get("error") or ""), t) if lost else ""
        )
        return f"{error.rstrip('.')}. {means}" if error else means, "warn"
    if snapshot.backlog.get("end_due") and (finite(snapshot.backlog.get("age_s")) or 0.0) > BEHIND_AFTER_S:
        return t("end_due", run=run), "warn"
    return "", ""


def sign(style: str) -> str:
    """What says the same as the colour."""
    return {"warn": " !", "bad": " !!"}.get(style, "")


def _remote_copy(snapshot: RunSnapshot, t: TerminalTexts) -> str:
    """The newest state that would outlive this machine."""
    remote_copy = snapshot.remote_copy
    return (
        t("delivery.away", step=whole(remote_copy["step"]), age=duration(remote_copy["age_s"]))
        if remote_copy
        else t("delivery.here")
    )


def _with_room(first: Line, more: str, room: int) -> Line:
    """`more` faintly behind a line, where there is room for it."""
    free = room - sum(len(text) for text, _ in first)
    return [*first, (f"  {more}", "dim")] if free >= len(more) + 2 else first
