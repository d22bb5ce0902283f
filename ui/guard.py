"""What stands before every request: which host it is meant for, who may ask, what of Gradio may be reached."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from fastapi import Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse

from vsrpp.texts import LANGUAGES

from .login import COOKIE, Login

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
Handler = Callable[[Request], Awaitable[Response]]


def is_loopback(host: str) -> bool:
    """Whether a name or address means this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Guard:
    """The middleware. `host` is what the server is bound to."""

    def __init__(self, host: str, login: Login | None) -> None:
        self._only_loopback = is_loopback(host)
        self._login = login

    async def __call__(self, request: Request, go_on: Handler) -> Response:
        response = self._refusal(request) or await go_on(request)
        for name, value in HEADERS.items():
            response.headers[name] = value
        return response

    def _refusal(self, request: Request) -> Response | None:
        path = request.scope["path"]
        host = _host(request.headers.get("host", ""))
        # A page of elsewhere whose name was made to point here (DNS rebinding) still says its own name.
        if self._only_loopback and host not in _LOOPBACK:
            return PlainTextResponse("This panel answers on this machine alone.", 421)
        if request.method not in ("GET", "HEAD") and not self._same_origin(request):
            return PlainTextResponse("Refused: the request comes from another site.", 403)
        if not (_OPEN.match(path) or _SELF.match(path) or _GRADIO.match(path)) or ".." in path:
            return PlainTextResponse("Not found.", 404)
        request.state.user = None
        if self._login is None or _OPEN.match(path):
            return None
        request.state.user = self._login.user_of(request.cookies.get(COOKIE, ""))
        if request.state.user is not None:
            return None
        if request.method == "GET" and (path == "/" or path.strip("/") in PAGES):
            lang = request.query_params.get("lang", "")
            return RedirectResponse(f"/login?next={path}{f'&lang={lang}' if lang in LANGUAGES else ''}", 303)
        return JSONResponse({"detail": "sign in first"}, 401)

    @staticmethod
    def _same_origin(request: Request) -> bool:
        origin = request.headers.get("origin")
        if origin is None:
            return request.headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")
        return urlsplit(origin).netloc == request.headers.get("host")


def _host(header: str) -> str:
    """The name in a Host header, without its port."""
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return ""
