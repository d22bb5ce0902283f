"""How delivery to MLflow stands: a card with the upload under way, and the sentences for what is in its way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vsrpp import control
from vsrpp.control import RunView
from vsrpp.control.refusals import because_text
from vsrpp.formats import count, duration, percent, size

from ..messages import Texts
from .card import Card, card


def delivery(snapshot: RunView, t: Texts) -> Card:
    """What waits, for how long and why; with a bar while something is uploaded."""
    backlog = snapshot.backlog
    kind, going = backlog.get("trouble"), control.upload(backlog, snapshot.now)
    below = [_waiting(backlog, t)] if backlog.get("rows") or backlog.get("artifacts") else []
    if backlog.get("end_due"):
        below.append(t("delivery.end"))
    if going:
        pace = f", {size(going['bytes_per_s'])}/s" if going["bytes_per_s"] else ""
        done = t("delivery.upload", what=going["what"], done=size(going["done_bytes"]), all=size(going["bytes"]))
        below.insert(0, done + pace)
    if backlog.get("set_aside"):
        why = because_text(backlog.get("set_aside_because"), str(backlog["set_aside_why"]), t)
        below.append(t("set_aside", n=backlog["set_aside"], why=why))
    big = t("delivery.done")
    if kind:
        big = t(f"trouble.{kind}")
    elif going:
        big = percent(going["share"])
    elif below:
        big = t("delivery.soon")
    meter = going["share"] if going else None
    tone = "bad" if kind else "warn" if snapshot.behind else "" if below else "good"
    return card("delivery", t("delivery"), big, " · ".join(below), meter=meter, tone=tone)


def sentences(snapshot: RunView, t: Texts) -> list[str]:
    """What is to be said above everything else: a backlog that has grown old, with its cause."""
    backlog, parts = snapshot.backlog, []
    kind, end_due = backlog.get("trouble"), bool(backlog.get("end_due"))
    rows, artifacts = int(backlog.get("rows") or 0), int(backlog.get("artifacts") or 0)
    if snapshot.behind and (rows > end_due or artifacts):
        parts.append(t("says.behind", rows=count(rows), artifacts=artifacts, age=duration(backlog["age_s"])))
    if kind:
        if backlog.get("lost_s") is not None:
            word = t(f"trouble.{kind}")
            error = because_text(backlog.get("because"), str(backlog.get("error") or "–"), t).rstrip(".")
            parts.append(
                t("says.lost", trouble=word[:1].upper() + word[1:], age=duration(backlog["lost_s"]), error=error)
            )
        parts.append(t(f"means.{kind}", run=snapshot.run_id))
    elif end_due and snapshot.behind:
        parts.append(t("end_due", run=snapshot.run_id))
    return [" ".join(parts)] if parts else []


def _waiting(backlog: Mapping[str, Any], t: Texts) -> str:
    text = t("delivery.waiting", rows=count(backlog.get("rows") or 0), artifacts=backlog.get("artifacts") or 0)
    return f"{text}, {t('delivery.oldest', age=duration(backlog.get('age_s')))}"
