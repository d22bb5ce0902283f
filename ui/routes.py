"""The panel's own addresses beside Gradio's pages: live fragments, pictures, assets, sign-in."""

from __future__ import annotations

import asyncio
import json
import mimetypes
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse, RedirectResponse
from starlette.concurrency import run_in_threadpool

from vsrpp.errors import NotFound

from . import refusals
from .answers import failure, json_answer
from .guard import PAGES
from .language import Languages
from .live import FragmentRenderer
from .login import COOKIE, SESSION_S, WRONG_PAUSE_S, Login
from .markup import piece, render
from .messages import LANGUAGES, Texts, texts
from .snapshot import RunWatches

ASSETS = Path(__file__).resolve().parent / "assets"
LARGEST_QUESTION = 16 * 1024
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def add_routes(
    app: FastAPI, watches: RunWatches, live: Mapping[str, FragmentRenderer], languages: Languages, login: Login | None
) -> None:
    """Hang all of them into the app; they come before the mounted pages. `live` has a renderer for each language."""

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
        if len(body) > LARGEST_QUESTION:
            return failure(refusals.REQUEST_TOO_LARGE(limit_kib=LARGEST_QUESTION // 1024))
        try:
            query = json.loads(body or b"{}")
        except ValueError:
            return failure(refusals.REQUEST_NOT_JSON())
        renderer = live[languages.of(request)]
        answer = await run_in_threadpool(renderer.answer, page, query if isinstance(query, dict) else {})
        return json_answer(answer)

    @app.get("/panel/images/{run_id}/{path:path}")
    async def image(run_id: str, path: str) -> Response:
        try:
            file = picture_file(watches, run_id, path)
        except NotFound:
            return PlainTextResponse("Not found.", 404)
        return FileResponse(file, headers={"Cache-Control": "private, max-age=86400"})

    @app.get("/login")
    async def login_page(request: Request) -> Response:
        return HTMLResponse(sign_in(texts(languages.of(request)), request.query_params.get("next", "/")))

    @app.post("/login")
    async def log_in(request: Request) -> Response:
        form = {
            key: values[0] for key, values in parse_qs((await request.body())[:4096].decode(errors="replace")).items()
        }
        target = form.get("next", "/")
        safe = target if target.strip("/") in PAGES else "/"
        name = form.get("user", "")
        if login is None or not login.check(name, form.get("password", "")):
            await asyncio.sleep(WRONG_PAUSE_S)
            return HTMLResponse(sign_in(texts(languages.of(request)), safe, wrong=True), 401)
        asked = request.query_params.get("lang", "")
        answer = RedirectResponse(f"{safe}?lang={asked}" if asked in LANGUAGES else safe, 303)
        secure = request.url.scheme == "https"
        answer.set_cookie(COOKIE, login.session(name), SESSION_S, httponly=True, samesite="strict", secure=secure)
        return answer

    @app.get("/logout")
    async def log_out() -> Response:
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(COOKIE)
        return answer


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


def sign_in(t: Texts, target: str, *, wrong: bool = False) -> str:
    """The page that asks for name and password; plain HTML, works without any script."""
    return render(piece("sign_in", language=t.language, target=target, wrong=wrong), t)
