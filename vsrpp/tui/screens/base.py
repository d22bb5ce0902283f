"""What every screen has: the run's header above, message and keys below, and the run's newest state in between."""

from __future__ import annotations

import asyncio
import contextlib
from typing import ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.message_pump import MessagePump
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from vsrpp.tui.actions import CallFinished
from vsrpp.tui.canvas import Canvas
from vsrpp.tui.host import ScreenHost
from vsrpp.tui.messages import TerminalTexts
from vsrpp.tui.pages import overview
from vsrpp.tui.pages.header import Key, header, key_lines, message_lines, notice
from vsrpp.tui.run_view import RunSnapshot

SETTLE_S = 5.0
"""Longest wait for a widget to handle what was typed."""
SHORT_LABELS = ("menu", "pause", "resume", "validate", "checkpoint", "rollback", "view", "runs", "stop", "help", "quit",
                "sort", "filter", "scroll")  # fmt: skip


def on(keys: str, action: str) -> Binding:
    """A key that acts in the order of typing, whatever has the focus.

    Textual hands an ordinary key to the widget that has the focus at that moment and does not wait; what is typed ahead
    of a change of screens would land in the wrong one. Priority bindings run one after the other, and `RunScreen.typed`
    waits for what was typed before.
    """
    return Binding(keys, action, show=False, priority=True)


async def processed(pump: MessagePump) -> None:
    """Wait until the pump has handled what it has been sent so far."""
    done = asyncio.Event()
    if pump.call_later(done.set):
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(done.wait(), SETTLE_S)


class RunScreen(Screen[None]):
    """Header, body, message, keys. `draw` fills the body; it is called whenever something changed."""

    AUTO_FOCUS: ClassVar[str | None] = None
    _composed = False
    """Whether the canvases are there to draw on."""

    def __init__(self) -> None:
        super().__init__()
        self._canvases: dict[str, Canvas] = {}
        self._fields: dict[str, Field] = {}

    def compose(self) -> ComposeResult:
        yield self.canvas("header")
        with Vertical(id="body"):
            yield from self.body()
        yield self.canvas("message")
        yield self.canvas("keys")

    def body(self) -> ComposeResult:
        """The widgets between header and message."""
        yield self.canvas("main")

    def draw(self, snapshot: RunSnapshot) -> None:
        """Fill the body's canvases."""

    def keys(self) -> list[tuple[str, str, bool]]:
        """(key as written, name of what it does, whether it makes sense now)"""
        return []

    async def typed(self) -> None:
        """Wait until the field that has the focus holds all that was typed so far."""
        if isinstance(self.focused, Field):
            await processed(self.focused)

    async def take(self, event: CallFinished) -> None:
        """The answer to what this screen asked for with itself as token."""

    # ---- for subclasses
    @property
    def ui(self) -> ScreenHost:
        return cast("ScreenHost", self.app)

    @property
    def t(self) -> TerminalTexts:
        return self.ui.texts

    @property
    def snapshot(self) -> RunSnapshot | None:
        return self.ui.snapshot

    def canvas(self, id: str) -> Canvas:
        """A new canvas, which `fill` finds again."""
        canvas = self._canvases[id] = Canvas(unicode=self.ui.unicode, id=id)
        return canvas

    def fill(self, id: str) -> Canvas:
        return self._canvases[id]

    def field(self, id: str, *, hint: str = "", value: str = "", leaves: str = "") -> Field:
        """A new entry, which `entry` finds again, also while the screen is being taken down."""
        field = self._fields[id] = Field(id=id, hint=hint, value=value, leaves=leaves)
        return field

    def entry(self, id: str) -> Field:
        return self._fields[id]

    # ---- drawing
    def redraw(self) -> None:
        """Draw everything anew; only what differs reaches the terminal."""
        if not self._composed or not self.size.width:
            return
        width = self.size.width
        snapshot = self.snapshot
        text, style = self.ui.message
        if snapshot is None:
            self.fill("header").show([[("VSR++", "brand")], []])
            if not text:
                text, style = self.t("says.reading"), "dim"
        else:
            self.fill("header").show(header(snapshot, self.t, width))
            if not text:
                text, style = notice(snapshot, self.t)
        self.fill("message").show(message_lines(text, style, width))
        self.fill("keys").show(self._key_lines(width))
        if snapshot is not None:
            self.draw(snapshot)
        elif "main" in self._canvases:
            main = self.fill("main")
            main.show(overview.waiting("", main.size.height))

    def _key_lines(self, width: int):  # type: ignore[no-untyped-def]
        wide: list[Key] = []
        narrow: list[Key] = []
        for key, name, on in self.keys():
            wide.append((key, self.t(f"key.{name}"), on))
            narrow.append((key, self.t(f"short.{name}" if name in SHORT_LABELS else f"key.{name}"), on))
        return key_lines(wide, narrow, width)

    def on_mount(self) -> None:
        self._composed = True
        self.call_after_refresh(self.redraw)

    def on_unmount(self) -> None:
        self._composed = False

    def on_resize(self) -> None:
        self.call_after_refresh(self.redraw)

    def on_screen_resume(self) -> None:
        self.call_after_refresh(self.redraw)


class Field(Input):
    """A one-line entry without a frame and without a blinking cursor, which would be sent twice a second."""

    def __init__(self, *, id: str, hint: str = "", value: str = "", leaves: str = "") -> None:
        """`leaves`: characters that are no input but keys of the screen."""
        super().__init__(value=value, placeholder=hint, id=id, compact=True)
        self.cursor_blink = False
        self._leaves = leaves

    def check_consume_key(self, key: str, character: str | None) -> bool:
        return not (character and character in self._leaves) and super().check_consume_key(key, character)


def labelled(label: Widget, field: Field) -> Horizontal:
    """A label and its entry on one row."""
    return Horizontal(label, field, classes="row")
