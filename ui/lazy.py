"""Gradio pages that are built on their first request: a page and language nobody opens costs the start nothing."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

_building = threading.Lock()
"""Gradio keeps the Blocks being built in a global: only one page of a process at a time."""


class LazyPages:
    """Pages of one app, whose `lifespan` ends those that were opened."""

    def __init__(self) -> None:
        self._stack: contextlib.AsyncExitStack | None = None

    @contextlib.asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as self._stack:
            yield
        self._stack = None

    def page(self, build: Callable[[], FastAPI]) -> ASGIApp:
        """The ASGI app of a page; the first request calls `build`, which mounts the page on a separate app."""
        return _LazyPage(build, self.start)

    async def start(self, page: FastAPI) -> None:
        """Run what the page does at its start; its end comes with the app's."""
        if self._stack is None:  # an app without a lifespan, as in some tests, starts nothing
            return
        stopping, started = asyncio.Event(), asyncio.get_running_loop().create_future()
        task = asyncio.create_task(_live(page, started, stopping))

        async def stop() -> None:
            stopping.set()
            await task

        self._stack.push_async_callback(stop)
        await started


async def _live(page: FastAPI, started: asyncio.Future[None], stopping: asyncio.Event) -> None:
    """Enter and leave a page's lifespan in one task, as asynchronous contexts have to be."""
    try:
        async with page.router.lifespan_context(page):
            started.set_result(None)
            await stopping.wait()
    except Exception as error:
        if started.done():
            raise
        started.set_exception(error)


class _LazyPage:
    """One page: built by the first request, which the others wait for."""

    def __init__(self, build: Callable[[], FastAPI], start: Callable[[FastAPI], Awaitable[None]]) -> None:
        self._build, self._start = build, start
        self._opening = asyncio.Lock()
        self._page: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        page = self._page or await self._open()
        await page(scope, receive, send)

    async def _open(self) -> ASGIApp:
        async with self._opening:
            if self._page is None:
                app = await run_in_threadpool(self._built)
                await self._start(app)
                self._page = cast(Mount, app.routes[-1]).app
        return self._page

    def _built(self) -> FastAPI:
        with _building:
            return self._build()
