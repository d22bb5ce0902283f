"""Which language a request is answered in, and the way to the page that speaks it.

Gradio draws a page's labels when the page is built, so there is one of each page and language, mounted as `/de/config`;
the address a person sees stays `/config?lang=de`.
"""

from __future__ import annotations

from fastapi import Request
from starlette.datastructures import Headers, QueryParams
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

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

    def __init__(self, app: ASGIApp, languages: Languages) -> None:
        self._app = app
        self._languages = languages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].split("/")[1] in PAGES:
            asked = QueryParams(scope["query_string"]).get("lang")
            language = self._languages.choose(asked, Headers(scope=scope).get("accept-language", ""))
            if scope["path"].strip("/") in PAGES and not scope["path"].endswith("/"):
                query = scope["query_string"].decode("latin-1")
                there = RedirectResponse(f"{scope['path']}/{f'?{query}' if query else ''}", 307)
                await there(scope, receive, send)
                return
            path = f"/{language}{scope['path']}"
            scope = {**scope, "path": path, "raw_path": path.encode()}
        await self._app(scope, receive, send)
