"""The runs page's one address that changes something: roll back, start a job, cancel one; the answer is a sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from starlette.concurrency import run_in_threadpool

from vsrpp import control
from vsrpp.control.refusals import error_text
from vsrpp.errors import Refused, VsrppError

from .jobs import Jobs
from .language import Languages
from .live import to_json
from .messages import Texts, texts
from .pages.actions import WAIT_S, answer_notice, notice
from .snapshot import RunWatches
from .verbs import Action

LARGEST_ORDER = 4 * 1024


def add_actions(app: FastAPI, watches: RunWatches, jobs: Jobs, languages: Languages) -> None:
    """Hang it into the app. The guard before it has checked host, origin and login."""

    @app.post("/panel/do")
    async def do(request: Request) -> Response:
        # A form of another site can send no JSON: a second lock beside the guard's look at the origin.
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            return PlainTextResponse("JSON is asked for.", 415)
        body = await request.body()
        try:
            order = json.loads(body) if len(body) <= LARGEST_ORDER else None
        except ValueError:
            order = None
        if not isinstance(order, dict):
            return PlainTextResponse("Not an order.", 400)
        author = getattr(request.state, "user", None)
        t = texts(languages.of(request))
        answer = await run_in_threadpool(_answer, order, author, watches, jobs, t)
        return Response(to_json(answer), media_type="application/json", headers={"Cache-Control": "no-store"})


def _answer(order: Mapping[str, Any], author: str | None, watches: RunWatches, jobs: Jobs, t: Texts) -> dict[str, Any]:
    """{ok, notice}: what became of it, as HTML."""
    try:
        message = _do(order, author, watches, jobs, t)
    except VsrppError as error:
        message = notice("bad", error_text(error, t))
    return {"ok": 'class="notice bad"' not in message, "notice": message}


def _do(order: Mapping[str, Any], author: str | None, watches: RunWatches, jobs: Jobs, t: Texts) -> str:
    verb = str(order.get("verb", ""))
    if verb == "cancel":
        return notice("info", t("job.cancelling", line=jobs.cancel(str(order.get("job", "")), author).line))
    run_id, step = watches.paths(str(order.get("run", ""))).run_id, _step(order.get("step"))
    if verb == "rollback":
        if step is None:
            raise Refused("rollback refused: it needs a step.")
        answer = control.command(
            watches.paths(run_id), "rollback", {"step": step}, origin="panel", author=author, wait_s=WAIT_S
        )
        return answer_notice(answer, t("do.rollback"), t)
    alias = order.get("alias")
    action = Action(verb=verb, run_id=run_id, step=step, alias=str(alias) if alias is not None else None)
    return notice("good", t("job.started", line=jobs.start(action, author).line))


def _step(value: Any) -> int | None:
    """Raises Refused for what is no whole number."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise Refused(f"step {str(value)[:40]} refused: must be a whole number.")
