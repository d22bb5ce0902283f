"""What a screen may ask of the app it is shown in, so that no screen has to know the app."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from textual.screen import Screen

from vsrpp.paths import RunPaths
from vsrpp.store import Answer
from vsrpp.tui.actions import BackgroundCalls
from vsrpp.tui.messages import TerminalTexts
from vsrpp.tui.run_view import RunSnapshot


class ScreenHost(Protocol):
    """The app as its screens see it: `vsrpp.tui.app.TerminalUI`."""

    paths: RunPaths
    """Of the run that is watched."""
    unicode: bool
    texts: TerminalTexts
    snapshot: RunSnapshot | None
    """The newest one; None until the record has been read once."""
    message: tuple[str, str]
    calls: BackgroundCalls

    def attach(self, paths: RunPaths) -> None:
        """Watch another run."""

    def watch_for(self, needs: str) -> None:
        """Have the watcher read what the shown view alone needs."""

    def ask(self, kind: str, call: Callable[[], Answer]) -> None:
        """Have `call` ask the run; its answer appears on the message line."""

    def say(self, text: str, style: str = "") -> None:
        """Put a text on the message line."""

    def clear_message(self) -> None: ...

    async def open(self, screen: Screen[Any]) -> None:
        """Show a screen on top; returns when it takes keys."""

    async def close(self) -> None:
        """Back to the run."""

    async def replace(self, screen: Screen[Any]) -> None:
        """Show another screen instead of the one on top."""
