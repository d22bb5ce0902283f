"""What every screen has: the run's header above, message and keys below, and the run's newest state in between."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import ActiveBinding, Binding
from textual.containers import Horizontal, Vertical
from textual.geometry import Size
from textual.message_pump import MessagePump
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from vsrpp.tui.actions import CallFinished
from vsrpp.tui.host import ScreenHost
from vsrpp.tui.messages import TerminalTexts
from vsrpp.tui.pages.header import header, message_lines, notice, progress
from vsrpp.tui.run_view import RunSnapshot
from vsrpp.tui.widgets import KEY_GAP, Canvas, Gauge, Keys, Rows, key_widths

SETTLE_S = 5.0
"""Longest wait for a widget to handle what was typed."""
SHORT_LABELS = ("menu", "pause", "resume", "validate", "checkpoint", "rollback", "view", "runs", "stop", "help", "quit",
                "sort", "filter", "scroll")  # fmt: skip


def on(keys: str, action: str, name: str = "", display: str | None = None) -> Binding:
    """A key that acts in the order of typing, whatever has the focus; with a name, `key.…`, it stands in the footer.

    Textual hands an ordinary key to the widget that has the focus at that moment and does not wait; what is typed ahead
    of a change of screens would land in the wrong one. Priority bindings run one after the other, and `RunScreen.typed`
    waits for what was typed before.
    """
    return Binding(keys, action, name, show=bool(name), key_display=display, priority=True)


async def processed(pump: MessagePump) -> None:
    """Wait until the pump has handled what it has been sent so far."""
    done = asyncio.Event()
    if pump.call_later(done.set):
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(done.wait(), SETTLE_S)


class RunScreen(Screen[None]):
    """Header, body, message, keys. `draw` fills the body; it is called whenever something changed."""

    AUTO_FOCUS: ClassVar[str | None] = None
    rows: Rows
    """The screen's table, if its body has one."""
    _composed = False
    """Whether the canvases are there to draw on."""

    def __init__(self) -> None:
        super().__init__()
        self._canvases: dict[str, Canvas] = {}
        self._keys_shown: object = None
        self._progress = Gauge()
        self._body = Vertical(id="body")
        self._fields: dict[str, Field] = {}

    def compose(self) -> ComposeResult:
        yield self.canvas("header")
        with Horizontal(classes="row"):
            yield self._progress
            yield self.canvas("progress-text", classes="hugging")
        with self._body:
            yield from self.body()
        yield self.canvas("message")
        yield Keys(show_command_palette=False)

    def body(self) -> ComposeResult:
        """The widgets between header and message."""
        yield self.canvas("main")

    def draw(self, snapshot: RunSnapshot) -> None:
        """Fill the body's canvases."""

    def key_name(self, binding: Binding) -> str:
        """What the key does now, as a name `key.…`."""
        return binding.description

    def makes_sense(self, binding: Binding) -> bool:
        """Whether the key does something now; pressed nevertheless, it says why not."""
        return True

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

    @property
    def run_config(self) -> Mapping[str, Any] | None:
        """The run's startup config, which declares the parameters of its plug-ins; None before the first look."""
        return self.snapshot.run_config if self.snapshot else None

    def canvas(self, id: str, classes: str | None = None) -> Canvas:
        """A new canvas, which `fill` finds again."""
        canvas = self._canvases[id] = Canvas(id=id, classes=classes)
        return canvas

    @property
    def room(self) -> Size:
        """Cells of the body."""
        return self._body.size

    def fill(self, id: str) -> Canvas:
        return self._canvases[id]

    def table(self, *, cursor: bool = False, header: bool = True) -> Rows:
        """The screen's table, `rows` from now on; the screen is drawn again when another part of it is seen."""
        self.rows = table = Rows(cursor=cursor, header=header)
        for part in ("scroll_y", "virtual_size"):
            self.watch(table, part, self._draw_soon, init=False)
        return table

    def field(self, id: str, *, hint: str = "", value: str = "", leaves: str = "") -> Field:
        """A new entry, which `entry` finds again, also while the screen is being taken down."""
        field = self._fields[id] = Field(id=id, hint=hint, value=value, leaves=leaves)
        return field

    def entry(self, id: str) -> Field:
        return self._fields[id]

    # ---- drawing
    def redraw(self) -> None:
        """Redraw everything; only what differs reaches the terminal."""
        if not self._composed or not self.size.width:
            return
        width = self.size.width
        snapshot = self.snapshot
        text, style = self.ui.message
        self._progress.visible = snapshot is not None
        if snapshot is None:
            self.fill("header").show([[("VSR++", "brand")]])
            if not text:
                text, style = self.t("says.reading"), "dim"
        else:
            self.fill("header").show([header(snapshot, self.t, width)])
            self._progress.show(snapshot.progress, "good" if snapshot.live else "")
            if not text:
                text, style = notice(snapshot, self.t)
        self.fill("progress-text").show([progress(snapshot, self.t, width)] if snapshot else [])
        self.fill("message").show(message_lines(text, style, width))
        if snapshot is not None:
            self.draw(snapshot)
        keys = [(binding, enabled) for _, binding, enabled, _ in self.active_bindings.values() if binding.show]
        if keys != self._keys_shown:
            self._keys_shown = keys
            self.refresh_bindings()

    @property
    def active_bindings(self) -> dict[str, ActiveBinding]:
        """The keys with what they do in words: in full, or in short where the row has no room for that."""
        found = super().active_bindings
        for short in (False, True):
            shown = {key: self._in_words(active, short) for key, active in found.items()}
            if sum(key_widths(self.app, shown.values())) - KEY_GAP <= self.size.width:
                break
        return shown

    def _draw_soon(self) -> None:
        self.call_after_refresh(self.redraw)

    def _in_words(self, active: ActiveBinding, short: bool) -> ActiveBinding:
        if not active.binding.show:
            return active
        name = self.key_name(active.binding)
        words = self.t(f"short.{name}") if short and name in SHORT_LABELS else self.t(f"key.{name}")
        binding = dataclasses.replace(active.binding, description=words)
        return active._replace(binding=binding, enabled=self.makes_sense(active.binding))

    def on_mount(self) -> None:
        self._composed = True
        self._draw_soon()

    def on_unmount(self) -> None:
        self._composed = False

    def on_resize(self) -> None:
        self._keys_shown = None
        self._draw_soon()

    def on_screen_resume(self) -> None:
        self._draw_soon()


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
    return Horizontal(label, field, classes="row entry")
