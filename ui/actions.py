"""The runs page's one address that changes something: roll back, start a job, cancel one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from starlette.concurrency import run_in_threadpool

from vsrpp.control.refusals import error_text
from vsrpp.errors import TimedOut, VsrppError
from vsrpp.store import Answer

from . import refusals, steering
from .answers import DONE, PENDING, http_status, json_answer
from .door import Visitor
from .jobs import Jobs
from .language import Languages
from .markup import render
from .messages import Texts, texts
from .pages.actions import answer_notice
from .snapshot import RunWatches
from .verbs import Action
from .views.notice import Notice


@dataclass(frozen=True, slots=True)
class OrderOutcome:
    """What became of an order."""

    notice: Notice
    status: int = DONE
    """The HTTP status; 202 while a command is pending."""
    reason_code: str = ""
    """Why it was not done, for programs."""
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.status < 400


def add_actions(app: FastAPI, watches: RunWatches, jobs: Jobs, languages: Languages) -> None:
    """Hang it into the app. The guard before it has checked host, origin, size and visitor."""

    @app.post("/panel/do")
    async def do(request: Request) -> Response:
        """{ok, notice, reason_code, fields}: what became of it, for the page as HTML and for programs."""
        # A form of another site can send no JSON: a second lock beside the guard's look at the origin.
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            return PlainTextResponse("JSON is asked for.", 415)
        body = await request.body()
        t = texts(languages.of(request))
        outcome = await run_in_threadpool(_outcome, body, request.state.visitor, watches, jobs, t)
        document = {
            "ok": outcome.ok, "notice": render(outcome.notice.piece(), t), "reason_code": outcome.reason_code,
            "fields": outcome.fields,
        }  # fmt: skip
        return json_answer(document, outcome.status)


def _outcome(body: bytes, visitor: Visitor, watches: RunWatches, jobs: Jobs, t: Texts) -> OrderOutcome:
    try:
        return _do(_order(body), visitor, watches, jobs, t)
    except VsrppError as error:
        return _failed(error, Notice("bad", error_text(error, t)))


def _order(body: bytes) -> Mapping[str, Any]:
    """Raises Refused for what is no JSON object."""
    try:
        order = json.loads(body)
    except ValueError:
        order = None
    if not isinstance(order, dict):
        raise refusals.NOT_AN_ORDER()
    return order


def _do(order: Mapping[str, Any], visitor: Visitor, watches: RunWatches, jobs: Jobs, t: Texts) -> OrderOutcome:
    verb = str(order.get("verb", ""))
    if verb == "cancel":
        job = steering.cancel(visitor, jobs, str(order.get("job", "")))
        return OrderOutcome(Notice("info", t("job.cancelling", line=job.line)))
    run_id, step = watches.paths(str(order.get("run", ""))).run_id, _step(order.get("step"))
    if verb == "rollback":
        if step is None:
            raise refusals.NEEDS_STEP(verb="rollback")
        answer = steering.command(
            visitor, watches.paths(run_id), "rollback", {"step": step}, confirmed=order.get("confirmed") is True
        )
        return _answered(answer, answer_notice(answer, t("do.rollback"), t))
    alias = order.get("alias")
    action = Action(verb=verb, run_id=run_id, step=step, alias=str(alias) if alias is not None else None)
    return OrderOutcome(Notice("good", t("job.started", line=steering.start(visitor, jobs, action).line)))


def _answered(answer: Answer, notice: Notice) -> OrderOutcome:
    try:
        answer.check()
    except TimedOut as error:  # the run has the command and may still do it
        return OrderOutcome(notice, PENDING, error.reason_code, error.fields)
    except VsrppError as error:
        return _failed(error, notice)
    return OrderOutcome(notice)


def _failed(error: VsrppError, notice: Notice) -> OrderOutcome:
    return OrderOutcome(notice, http_status(error), error.reason_code, error.fields)


def _step(value: Any) -> int | None:
    """Raises Refused for what is no whole number."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise refusals.STEP_TYPE(step=str(value)[:40])
