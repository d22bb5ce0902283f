"""Which language a request is answered in, and the way to the page that speaks it.

Gradio draws a page's labels when the page is built, so there is one of each page and language, mounted as `/de/config`;
the address a person sees stays `/config?lang=de`. Which config page it is depends on the run (`config_pages`).
"""

from __future__ import annotations

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, QueryParams
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from .config_pages import CONFIG, ConfigPages
from .guard import PAGES
from .messages import preferred


class Languages:
    """Chooses by `?lang=`, then by `configured` (`--lang`), then by the browser."""

    def __init__(self, configured: str | None) -> None:
        self._configured = configured

    def of(self, request: Request) -> str:
        return self.choose(request.query_params.get("lang"), request.headers.get("accept-language", ""))

    def choose(self, asked: str | None, accepted: str) -> str:
        return preferred(asked, self._configured, accepted)


class ToPageOfLanguage:
    """The innermost middleware: leads `/config/…` on to `/de/config/…`; the slash comes first, or it would be added there."""

    def __init__(self, app: ASGIApp, languages: Languages, config_pages: ConfigPages) -> None:
        self._app = app
        self._languages = languages
        self._config_pages = config_pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].split("/")[1] in PAGES:
            asked = QueryParams(scope["query_string"]).get("lang")
            language = self._languages.choose(asked, Headers(scope=scope).get("accept-language", ""))
            if scope["path"].strip("/") in PAGES and not scope["path"].endswith("/"):
                query = scope["query_string"].decode("latin-1")
                there = RedirectResponse(f"{scope['path']}/{f'?{query}' if query else ''}", 307)
                await there(scope, receive, send)
                return
            path = scope["path"]
            if path.split("/")[1] == CONFIG:
                run = QueryParams(scope["query_string"]).get("run")
                name = await run_in_threadpool(self._config_pages.name_for, run)
                path = f"/{name}{path.removeprefix(f'/{CONFIG}')}"
            path = f"/{language}{path}"
            scope = {**scope, "path": path, "raw_path": path.encode()}
        elif scope["type"] == "http" and f"/{CONFIG}-" in scope["path"]:
            await run_in_threadpool(self._config_pages.prepare, scope["path"])
        await self._app(scope, receive, send)
