"""A real panel process and a real browser, for tests and for the scripts that measure the panel or take screenshots."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.processes import environment, vsrpp
from tests.support.waiting import free_port, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]  # fmt: skip


class PanelProcess:
    """`vsrpp panel` in a separate process, for the runs in `folder`; asks for nothing unless it is told to.

    `url` is its address; with `token=True` it asks for the token of one of `links`.
    """

    def __init__(self, folder: Path, *arguments: str, port: int | None = None, token: bool = False) -> None:
        asks = token or "--auth" in arguments
        self.folder, self.arguments, self.port = (
            folder,
            (*arguments, *([] if asks else ["--no-token"])),
            port or free_port(),
        )
        self.log = folder / f"panel-{time.monotonic_ns()}.log"
        self.start()

    def start(self) -> None:
        """Start the process, or restart it, and wait until it prints its address."""
        said = len(self.log.read_text()) if self.log.exists() else 0
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "vsrpp", "panel", "--port", str(self.port), *self.arguments], cwd=self.folder,
                env=environment(self.folder), stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            )  # fmt: skip

        def address() -> list[str]:
            assert self.process.poll() is None, self.log.read_text()
            return re.findall(r"Panel: (http://\S+).*\n", self.log.read_text()[said:])

        self.url = wait_until(address, 300, "the panel's address")[0]  # may differ if the port was taken meanwhile

    @property
    def links(self) -> dict[str, str]:
        """Role -> the link that `vsrpp panel --links` prints."""
        said = vsrpp(self.folder, "panel", "--links").stdout
        return dict(line.split() for line in said.splitlines()[1:4])

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __enter__(self) -> PanelProcess:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()


@contextmanager
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS, timeout=300_000)
        try:
            yield chromium
        finally:
            chromium.close()


def open_page(chromium: Browser, url: str, **options: object) -> tuple[Page, list[str], list[str]]:
    """(page, requested addresses, page errors) of a new visitor who shares nothing with others."""
    page = chromium.new_context(**options).new_page()  # type: ignore[arg-type]
    asked: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_default_timeout(120_000)
    page.goto(url)
    page.wait_for_selector("[data-live=header] h1")
    return page, asked, errors
