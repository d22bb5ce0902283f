"""Which language a request is answered in, and the way to the page that speaks it.

Gradio draws a page's labels when the page is built, so there is one of each page and language, mounted as `/de/config`;
the address a person sees stays `/config?lang=de`.
"""

from __future__ import annotations

from fastapi import Request
from starlette.datastructures import Headers, QueryParams
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
    """The innermost middleware: leads `/config…` on to `/de/config…`."""

    def __init__(self, app: ASGIApp, languages: Languages) -> None:
        self._app = app
        self._languages = languages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].split("/")[1] in PAGES:
            asked = QueryParams(scope["query_string"]).get("lang")
            language = self._languages.choose(asked, Headers(scope=scope).get("accept-language", ""))
            path = f"/{language}{scope['path']}"
            scope = {**scope, "path": path, "raw_path": path.encode()}
        await self._app(scope, receive, send)
