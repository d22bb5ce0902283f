"""From a Gradio event to `control`: who asks, of which run, and the answer in a sentence."""

from __future__ import annotations

from typing import Any

import gradio as gr

from vsrpp.control.refusals import answer_text, error_text
from vsrpp.errors import VsrppError
from vsrpp.formats import count
from vsrpp.store import Answer

from .. import steering
from ..door import Visitor
from ..messages import Texts
from ..snapshot import RunWatches
from ..views.notice import Notice

QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
"""Events answer at once, draw nothing over the page, and are in no public list of calls."""


def run_of(request: gr.Request, watches: RunWatches) -> str:
    """The run in the page's address, or the one shown by default; an empty string if there is none."""
    return str(request.query_params.get("run") or "") or watches.default_run() or ""


def visitor_of(request: gr.Request) -> Visitor:
    """Who sends the event. Raises AttributeError where the guard has let nobody in."""
    state: Any = getattr(request.request, "state", None)
    visitor: Visitor = state.visitor
    return visitor


def ask(watches: RunWatches, run_id: str, kind: str, request: gr.Request, t: Texts) -> Notice:
    """Give a command and say what became of it."""
    what = t(kind).removesuffix(" …")
    try:
        answer = steering.command(visitor_of(request), watches.paths(run_id), kind)
    except VsrppError as error:
        return Notice("bad", error_text(error, t))
    return answer_notice(answer, what, t)


def answer_notice(answer: Answer, what: str, t: Texts) -> Notice:
    """The answer in a sentence; `what` names the command."""
    if answer.status in ("done", "applied"):
        return Notice("good", t("answer.done", what=what, step=count(answer.step)))
    if answer.status == "pending":
        return Notice("warn", t("answer.pending", what=what))
    return Notice("bad", t("answer.refused", what=what, why=answer_text(answer, {}, t)))
