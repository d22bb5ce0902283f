"""The panel's own addresses beside Gradio's pages: live fragments, pictures, assets, sign-in."""

from __future__ import annotations

import json
import logging
import mimetypes
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse, RedirectResponse
from starlette.concurrency import run_in_threadpool

from vsrpp.control.panel_links import TOKEN
from vsrpp.errors import NotFound

from . import refusals
from .answers import failure, json_answer
from .auth_file import LONGEST_NAME
from .door import Door, Visitor
from .guard import PAGES
from .guesses import Guesses
from .language import Languages
from .live import FragmentRenderer
from .markup import piece, render
from .messages import LANGUAGES, Texts, texts
from .snapshot import RunWatches

ASSETS = Path(__file__).resolve().parent / "assets"
_log = logging.getLogger("vsrpp.panel")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def add_routes(
    app: FastAPI, watches: RunWatches, live: Mapping[str, FragmentRenderer], languages: Languages, door: Door
) -> None:
    """Hang all of them into the app; they come before the mounted pages. `live` has a renderer for each language."""
    guesses = Guesses()

    @app.get("/")
    async def home(request: Request) -> Response:
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"/monitoring/{query}", 307)

    @app.get("/favicon.ico")
    async def favicon() -> Response:
        return FileResponse(ASSETS / "icon.svg", media_type="image/svg+xml")

    @app.get("/manifest.json")
    async def manifest() -> Response:
        return Response("{}", media_type="application/manifest+json")

    @app.get("/panel/assets/{name}")
    async def asset(name: str) -> Response:
        file = ASSETS / name
        if file.parent != ASSETS or not file.is_file():
            return PlainTextResponse("Not found.", 404)
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return FileResponse(file, media_type=kind, headers={"Cache-Control": "no-cache"})

    @app.post("/panel/live/{page}")
    async def fragments(page: str, request: Request) -> Response:
        body = await request.body()
        if page not in PAGES:
            return failure(refusals.NO_PAGE(page=page[:40]))
        try:
            query = json.loads(body or b"{}")
        except ValueError:
            return failure(refusals.REQUEST_NOT_JSON())
        renderer = live[languages.of(request)]
        answer = await run_in_threadpool(renderer.answer, page, query if isinstance(query, dict) else {})
        visitor: Visitor = request.state.visitor
        who = {"name": visitor.name, "role": visitor.role.word, "can_leave": visitor.can_leave}
        return json_answer({**answer, "visitor": who})

    @app.get("/panel/images/{run_id}/{path:path}")
    async def image(run_id: str, path: str) -> Response:
        try:
            file = picture_file(watches, run_id, path)
        except NotFound:
            return PlainTextResponse("Not found.", 404)
        return FileResponse(file, headers={"Cache-Control": "private, max-age=86400"})

    @app.get("/login")
    async def login_page(request: Request) -> Response:
        t, target = texts(languages.of(request)), own_address(request.query_params.get("next", "/"))
        if door.asks == "login":
            return HTMLResponse(sign_in(t, target))
        return HTMLResponse(ask_for_link(t), 401) if door.asks == "token" else RedirectResponse(target, 303)

    @app.post("/login")
    async def log_in(request: Request) -> Response:
        form = {key: values[0] for key, values in parse_qs((await request.body()).decode(errors="replace")).items()}
        t, target = texts(languages.of(request)), own_address(form.get("next", "/"))
        if door.asks != "login":
            return RedirectResponse("/login", 303)
        name, address = form.get("user", "")[:LONGEST_NAME], request.client.host if request.client else ""
        wait_s = guesses.begin(address, name)
        if wait_s:
            return HTMLResponse(sign_in(t, target, wait_s=wait_s), 429, {"Retry-After": str(wait_s)})
        right = False
        try:
            right = await run_in_threadpool(door.check, name, form.get("password", ""))
        finally:
            failures = guesses.finish(address, name, right=right)
        if not right:
            shown = repr(name) if door.knows(name) else "an unknown name"  # which may be a password in the wrong field
            _log.warning("vsrpp panel: sign-in of %s from %s failed (%d in a row)", shown, address or "?", failures)
            return HTMLResponse(sign_in(t, target, wrong=True), 401)
        asked = request.query_params.get("lang", "")
        answer = RedirectResponse(own_address(target, {"lang": asked} if asked in LANGUAGES else {}), 303)
        door.let_in(request, answer, name)
        return answer

    @app.post("/logout")
    async def log_out(request: Request) -> Response:
        asked = request.query_params.get("lang", "")
        answer = RedirectResponse(f"/login?lang={asked}" if asked in LANGUAGES else "/login", 303)
        door.let_out(request, answer)
        return answer


def own_address(target: str, more: Mapping[str, str] | None = None) -> str:
    """An address of one of our own pages, with its query and `more`; the first page for any other."""
    try:
        parts = urlsplit(target)
    except ValueError:
        return "/"
    path = parts.path.strip("/")
    if parts.scheme or parts.netloc or not target.startswith("/") or (path and path not in PAGES):
        return "/"
    query = {**{key: value for key, value in parse_qsl(parts.query) if key != TOKEN}, **(more or {})}
    return f"/{path}{'?' if query else ''}{urlencode(query)}"


def picture_file(watches: RunWatches, run_id: str, path: str) -> Path:
    """The file of a validation picture. Raises NotFound for whatever does not lie in that run's own images folder."""
    images = watches.paths(run_id).images
    file = images.parent / path
    try:
        real = file.resolve(strict=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise refusals.NO_PICTURE() from error
    if not real.is_relative_to(images.resolve()) or real.suffix.lower() not in PICTURE_SUFFIXES or not real.is_file():
        raise refusals.NO_PICTURE()
    return real


def sign_in(t: Texts, target: str, *, wrong: bool = False, wait_s: int = 0) -> str:
    """The page that asks for name and password; plain HTML, works without any script."""
    return render(piece("sign_in", target=target, wrong=wrong, wait_s=wait_s), t)


def ask_for_link(t: Texts, *, wrong: bool = False) -> str:
    """The page that says where the link with the token is found."""
    return render(piece("ask_for_link", wrong=wrong), t)
