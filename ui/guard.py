"""Request guard: Host, Origin, size of the body, token or session, and which addresses exist."""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Callable
from urllib.parse import quote, urlencode, urlsplit

from fastapi import Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vsrpp.control.panel_links import TOKEN
from vsrpp.errors import VsrppError
from vsrpp.texts import LANGUAGES

from . import refusals
from .answers import failure
from .door import Door

PAGES = ("monitoring", "config", "runs")
# What the pages need of each mounted Gradio app. Everything else it could do (serve files, take uploads, fetch other
# addresses, write code, keep a run history) is not there.
_GRADIO = re.compile(
    r"/(?:(?:en|de)/)?(?P<page>monitoring|config(?:-[0-9a-f]{12})?|runs)(?:/?|/(?:assets|static|svelte)/.+|/theme\.css|/favicon\.ico"
    r"|/(?:gradio_api/)?(?:queue/(?:join|data)|run/[\w-]+|call/[\w-]+(?:/[\w-]+)?|heartbeat/\w+|reset/?|cancel|app_id/?"
    r"|startup-events|info/?|config/?|login_check/?|token/?)|/config/?)$"
)
_OPEN = re.compile(r"/(?:login|panel/assets/[\w.-]+|favicon\.ico)$")
_SELF = re.compile(r"/(?:|logout|manifest\.json|panel/.+)$")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
LARGEST_BODY = {"/login": 4, "/logout": 1, "/panel/do": 4, "/panel/live/": 16, "": 256}
"""KiB of a request's body, by the beginning of its path; more is neither read nor kept. The last: Gradio's events."""
BODY_S = 30.0
"""Time in which a body has to be there."""
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; media-src 'self'; "
    "manifest-src 'self'; form-action 'self'; base-uri 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
UNSEEN = {"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
"""Headers of answers to an address that has a token in it."""
AskForLink = Callable[[Request, bool], str]
"""(request, whether a wrong token came) -> the page that says where the link is found."""


def is_loopback(host: str) -> bool:
    """Whether a name or address means this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Guard:
    """The outermost middleware. `host` is what the server is bound to."""

    def __init__(self, app: ASGIApp, host: str, door: Door, ask_for_link: AskForLink) -> None:
        self._app = app
        self._only_loopback = is_loopback(host)
        self._door = door
        self._ask_for_link = ask_for_link

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # no page of ours opens one
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http":
            await self._answer(scope, receive, _with_headers(send))
        else:
            await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        refusal = self._refusal(request)
        if refusal is None and request.method not in ("GET", "HEAD"):
            limit_kib = _limit_kib(scope["path"])
            body = await _body(request.headers, receive, limit_kib)
            if isinstance(body, bytes):
                receive = _again(body, receive)
            else:
                refusal = failure(body)
        if refusal is not None:
            if request.method not in ("GET", "HEAD"):
                refusal.headers["Connection"] = "close"  # what is still to come of the body is not waited for
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        """The refusal; None if the request may proceed, with the visitor in its state."""
        path = request.scope["path"]
        host = _host(request.headers.get("host", ""))
        # A page of elsewhere whose name was made to point here (DNS rebinding) still says its own name.
        if self._only_loopback and host not in _LOOPBACK:
            return PlainTextResponse("This panel answers on this machine alone.", 421)
        if request.method not in ("GET", "HEAD") and not self._same_origin(request):
            return PlainTextResponse("Refused: the request comes from another site.", 403)
        if not (_OPEN.match(path) or _SELF.match(path) or _GRADIO.match(path)) or ".." in path:
            return PlainTextResponse("Not found.", 404)
        if request.method == "GET" and TOKEN in request.query_params:
            return self._enter(request)
        request.state.visitor = None
        if _OPEN.match(path):
            return None
        request.state.visitor = self._door.visitor(request)
        return self._ask(request, path) if request.state.visitor is None else None

    def _enter(self, request: Request) -> Response:
        """Begin a session for a valid token, and take the token out of the address."""
        role = self._door.role_of(request.query_params[TOKEN])
        if self._door.asks == "token" and role is None:
            return Response(self._ask_for_link(request, True), 403, UNSEEN, "text/html")
        rest = [(key, value) for key, value in request.query_params.multi_items() if key != TOKEN]
        query = f"?{urlencode(rest)}" if rest else ""
        answer = RedirectResponse(f"{quote(request.scope['path'])}{query}", 303, UNSEEN)
        if role is not None:
            self._door.let_in(request, answer, role.word)
        return answer

    def _ask(self, request: Request, path: str) -> Response:
        """What a stranger gets: for a page, the way to sign in; for everything else, a bare 401."""
        if request.method == "GET" and (path == "/" or path.strip("/") in PAGES):
            if self._door.asks == "token":
                return Response(self._ask_for_link(request, False), 401, {"Cache-Control": "no-store"}, "text/html")
            lang = request.query_params.get("lang", "")
            asked = {"lang": lang} if lang in LANGUAGES else {}
            target = f"{path}?{request.url.query}" if request.url.query else path
            return RedirectResponse(f"/login?{urlencode({'next': target, **asked})}", 303)
        challenge = {"WWW-Authenticate": "Bearer"} if self._door.asks == "token" else None
        return JSONResponse({"detail": "sign in first"}, 401, challenge)

    @staticmethod
    def _same_origin(request: Request) -> bool:
        origin = request.headers.get("origin")
        if origin is None:
            return request.headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")
        return urlsplit(origin).netloc == request.headers.get("host")


def _limit_kib(path: str) -> int:
    return next(limit for beginning, limit in LARGEST_BODY.items() if path.startswith(beginning))


async def _body(headers: Headers, receive: Receive, limit_kib: int) -> bytes | VsrppError:
    """The whole body, with or without a declared length, or the refusal as soon as it is too large or too slow.

    Never holds more than the limit.
    """
    too_large, limit = refusals.REQUEST_TOO_LARGE(limit_kib=limit_kib), limit_kib * 1024
    declared = headers.get("content-length", "0")
    if not declared.isdecimal() or len(declared) > 12 or int(declared) > limit:
        return too_large
    try:
        body = await asyncio.wait_for(_read(receive, limit), BODY_S)
    except asyncio.TimeoutError:
        return refusals.REQUEST_TOO_SLOW(limit_s=f"{BODY_S:g}")
    return too_large if body is None else body


async def _read(receive: Receive, limit: int) -> bytes | None:
    """The body; empty if the connection ends before it does, None as soon as it is over the limit."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b""
        body += message.get("body", b"")
        if len(body) > limit:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives the app the body that was already read, then whatever follows."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return left.pop() if left else await receive()

    return again


def _with_headers(send: Send) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                if name not in UNSEEN or headers.get(name) != UNSEEN[name]:
                    headers[name] = value
        await send(message)

    return with_headers


def _host(header: str) -> str:
    """The name in a Host header, without its port."""
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return ""
