"""Pages that are built when they are opened: once, for everybody, and ended with the panel."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gradio as gr
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from vsrpp_ui import app as panel
from vsrpp_ui.lazy import LazyPages

HERE = "http://localhost:5050"


def test_the_start_builds_no_page_and_the_first_request_builds_one(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[tuple[str, str]] = []

    def counted(name: str) -> None:
        make = panel.BLOCKS[name]

        def blocks(watches: object, t: object, language: str) -> gr.Blocks:
            built.append((language, name))
            return make(watches, t, language)

        monkeypatch.setitem(panel.BLOCKS, name, blocks)

    for name in panel.BLOCKS:
        counted(name)
    with TestClient(panel.build(runs=runs), base_url=HERE) as http:
        assert http.get("/panel/assets/panel.css").status_code == 200 and built == []
        with ThreadPoolExecutor(8) as visitors:
            answers = list(visitors.map(lambda _: http.get("/config/?lang=de"), range(8)))
        assert {answer.status_code for answer in answers} == {200} and built == [("de", "config")]
        assert len({answer.headers["content-type"] for answer in answers}) == 1
        assert http.get("/runs/?lang=en").status_code == 200 and built == [("de", "config"), ("en", "runs")]


def test_an_opened_page_starts_with_its_first_request_and_ends_with_the_app() -> None:
    told: list[str] = []

    def page(name: str) -> FastAPI:
        @contextlib.asynccontextmanager
        async def lifespan(of: FastAPI) -> AsyncIterator[None]:
            told.append(f"{name} starts")
            yield
            told.append(f"{name} ends")

        inner, app = FastAPI(), FastAPI(lifespan=lifespan)
        inner.get("/")(lambda: name)
        app.mount(f"/{name}", inner)
        return app

    pages = LazyPages()
    app = FastAPI(lifespan=pages.lifespan)
    for name in ("a", "b"):
        app.mount(f"/{name}", pages.page(lambda name=name: page(name)))  # type: ignore[misc]
    with TestClient(app, base_url=HERE) as http:
        assert told == []
        assert http.get("/a/").json() == "a" and http.get("/a/").json() == "a"
        assert told == ["a starts"]
    assert told == ["a starts", "a ends"]


def test_a_page_that_cannot_be_built_is_tried_again() -> None:
    tries: list[int] = []

    def page() -> FastAPI:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("no")
        inner, app = FastAPI(), FastAPI()
        inner.get("/")(lambda: "here")
        app.mount("/a", inner)
        return app

    pages = LazyPages()
    app = FastAPI(lifespan=pages.lifespan)
    app.mount("/a", pages.page(page))
    with TestClient(app, base_url=HERE, raise_server_exceptions=False) as http:
        assert http.get("/a/").status_code == 500
        assert http.get("/a/").json() == "here"
