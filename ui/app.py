"""The panel as one web app: Gradio pages, built when they are opened, and the panel's own addresses; and its server."""

from __future__ import annotations

import itertools
import os
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before Gradio is imported: it reports at import
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import gradio as gr
import uvicorn
from fastapi import FastAPI

from vsrpp.control.panel_links import AccountKeys, announced

from . import refusals
from .actions import add_actions
from .config_pages import ConfigPages
from .door import Door
from .guard import PAGES, Guard, is_loopback
from .jobs import Jobs
from .language import Languages, ToPageOfLanguage
from .lazy import LazyPages
from .live import FragmentRenderer
from .messages import LANGUAGES, texts
from .pages import THEME, config_page, head, monitoring_page, runs_page
from .routes import add_routes, ask_for_link
from .snapshot import RunWatches
from .tracked import TrackedRuns

PORTS_TRIED = 50
BLOCKS = {"monitoring": monitoring_page, "config": config_page, "runs": runs_page}
QUEUE_LOOK_S = 5.0
"""How often Gradio looks into its queue, which no event of ours goes through: at its 20 times a second on each of the
pages, an idle panel took 5 % of a core from the training beside it."""


def build(
    *, runs: Path, run: str | None = None, host: str = "127.0.0.1", auth: Path | None = None,
    keys: AccountKeys | None = None, lang: str | None = None,
) -> FastAPI:  # fmt: skip
    """The whole app, ready for a server or a test client. `lang` holds for pages whose address asks for none.

    Visitors are asked for name and password with `auth`, else for the token of `keys`, else for nothing.
    Raises Refused for an unknown language, a host other than loopback where nothing is asked for, or an unfit auth file.
    """
    if lang is not None and lang not in LANGUAGES:
        raise refusals.NO_LANGUAGE(lang=lang, choices=" or ".join(LANGUAGES))
    door = Door(auth, keys)
    if door.asks == "nothing" and not is_loopback(host):
        raise refusals.OPEN_HOST(host=host)
    watches, languages = RunWatches(runs, run), Languages(lang)
    jobs, tracked = Jobs(runs), TrackedRuns(runs)
    live = {language: FragmentRenderer(watches, texts(language), language, tracked, jobs) for language in LANGUAGES}
    pages = LazyPages()
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=pages.lifespan)

    def mount(language: str, name: str, declared: Mapping[str, Any] | None = None) -> None:
        app.mount(f"/{language}/{name}", pages.page(partial(_page, watches, language, name, declared)))

    def mount_config(name: str, declared: Mapping[str, Any]) -> None:
        for language in LANGUAGES:
            mount(language, name, declared)

    app.add_middleware(ToPageOfLanguage, languages=languages, config_pages=ConfigPages(watches, mount_config))
    app.add_middleware(
        Guard, host=host, door=door,
        ask_for_link=lambda request, wrong: ask_for_link(texts(languages.of(request)), wrong=wrong),
    )  # fmt: skip
    add_routes(app, watches, live, languages, door)
    add_actions(app, watches, jobs, languages)
    for language, name in itertools.product(LANGUAGES, PAGES):
        mount(language, name)
    app.state.watches, app.state.jobs, app.state.door = watches, jobs, door
    return app


def _page(watches: RunWatches, language: str, name: str, declared: Mapping[str, Any] | None) -> FastAPI:
    """One page in one language, mounted where its addresses lead; `declared`: for runs of these plug-ins."""
    t, app = texts(language), FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    blocks = BLOCKS[name](watches, t, language) if declared is None else config_page(watches, t, language, declared)
    gr.mount_gradio_app(
        app, blocks, path=f"/{language}/{name}", theme=THEME, head=head(t, language), footer_links=[],
        run_history=False, ssr_mode=False, mcp_server=False, pwa=False, enable_monitoring=False, allowed_paths=[],
        show_error=True, app_kwargs={"docs_url": None, "redoc_url": None, "openapi_url": None},
    )  # fmt: skip
    blocks._queue.sleep_when_free = blocks._queue.progress_update_sleep_when_free = QUEUE_LOOK_S
    return app


def serve(
    *, runs: Path, run: str | None = None, host: str = "127.0.0.1", port: int = 5050, auth: Path | None = None,
    keys: AccountKeys | None = None, lang: str | None = None, on_ready: Callable[[str], None] | None = None,
    stopping: threading.Event | None = None,
) -> None:  # fmt: skip
    """Run the panel until it is told to stop (SIGINT, SIGTERM, or `stopping` is set); a busy port leads to the next free one.

    Hands its address, without a token, to `on_ready` (without one, prints it) as soon as it answers there.
    Raises Refused as `build` does.
    """
    app = build(runs=runs, run=run, host=host, auth=auth, keys=keys, lang=lang)
    listener = listen(host, port)
    try:
        hostname = "localhost" if is_loopback(host) else host
        url = f"http://{hostname}:{listener.getsockname()[1]}/"
        server = _Server(uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1))
        server.tell, server.stopping = lambda: _say(url, on_ready), stopping
        with announced(url, runs, app.state.door.asks):
            server.run(sockets=[listener])
    finally:
        listener.close()
        app.state.watches.close()
        app.state.jobs.close()


class _Server(uvicorn.Server):
    tell: Callable[[], None]
    stopping: threading.Event | None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.tell()

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or (self.stopping is not None and self.stopping.is_set())


def _say(url: str, on_ready: Callable[[str], None] | None) -> None:
    if on_ready:
        on_ready(url)
    else:
        print(f"Panel: {url}", flush=True)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket on the port, or the next free one. Raises VsrppError when there is none."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    tried = [0] if port == 0 else range(port, min(65536, port + PORTS_TRIED))
    error: OSError | None = None
    for candidate in tried:
        listener = socket.socket(family, socket.SOCK_STREAM)
        if sys.platform != "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, candidate))
            listener.listen(128)
            return listener
        except OSError as refused:
            listener.close()
            error = refused
    raise refusals.NO_PORT(host=host, port=port, why=str(error))
