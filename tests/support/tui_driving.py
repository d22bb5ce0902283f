"""Drives the terminal UI with real keys."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from textual.pilot import Pilot

from tests.support.tui_fakes import FakeRun
from vsrpp.tui.app import TerminalUI

RUN_ID = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"


class Driven:
    """The app under Pilot: real keys in, screen text out."""

    def __init__(self, app: TerminalUI, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def text(self) -> str:
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)

    def colours(self, text: str) -> set[str]:
        """The colours, as `#rrggbb`, in which a text stands on the screen."""
        segments = [segment for strip in self.app.screen._compositor.render_strips() for segment in strip]
        colours = [segment.style.color for segment in segments if text in segment.text and segment.style]
        return {colour.get_truecolor().hex for colour in colours if colour}

    @property
    def message(self) -> str:
        return self.app.message[0]

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        await self.pilot.press(*(_NAMES.get(sign, sign) for sign in text))

    async def until(self, condition: Callable[[], object], what: str = "") -> None:
        deadline = time.monotonic() + 120.0
        while not condition():
            assert time.monotonic() < deadline, f"{what or 'it'} did not come:\n{self.text}\n{self.app.message}"
            await self.pilot.pause(0.01)

    async def shows(self, *texts: str) -> None:
        """Wait until all of these texts are on the screen."""
        await self.until(lambda: all(text in self.text for text in texts), repr(texts))

    async def steady(self) -> None:
        """Wait until the screen is unchanged over three refreshes, so that nothing is pending."""
        shown, same = "", 0
        while same < 3:
            before = self.app.snapshot
            await self.until(lambda before=before: self.app.snapshot is not before, "another look")
            await self.pilot.pause()
            shown, same = self.text, same + 1 if self.text == shown else 0


_NAMES = {".": "full_stop", "-": "minus", "=": "equals_sign", ",": "comma", " ": "space", "_": "underscore"}


def drive(
    run: FakeRun, script: Callable[[Driven], Awaitable[None]], *, size: tuple[int, int] = (80, 24), lang: str = "en",
    unicode: bool = True,
) -> TerminalUI:  # fmt: skip
    """Attach the app to the run, wait for the first refresh, then run the script."""
    app = TerminalUI(run.paths, lang=lang, unicode=unicode, interval_s=0.05)

    async def session() -> None:
        async with app.run_test(size=size) as pilot:
            driven = Driven(app, pilot)
            await driven.until(lambda: app.snapshot is not None, "the first look")
            await driven.until(lambda: "VSR++" in driven.text and "▕" not in driven.text)
            await pilot.pause(0.05)
            await script(driven)

    asyncio.run(session())
    return app
