"""Calls to `control` that may wait for an answer, each in a separate thread, so that the screen never waits."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from typing import Any

from textual.message import Message

from vsrpp.control.edits import on_sent
from vsrpp.control.refusals import error_text
from vsrpp.errors import VsrppError
from vsrpp.tui.messages import TerminalTexts
from vsrpp.tui.run_view import RunSnapshot

SEND_TIMEOUT_S = 5.0


class SnapshotTaken(Message):
    """The watcher's newest word: the run, or why it cannot be read."""

    def __init__(self, root: Any, snapshot: RunSnapshot | str) -> None:
        super().__init__()
        self.root = root
        self.snapshot = snapshot


class CallFinished(Message):
    """What became of a call: its result, or why there is none."""

    def __init__(self, what: str, screen: Any, number: int, result: Any, error: Exception | None) -> None:
        super().__init__()
        self.what = what
        self.screen = screen
        """The screen that takes the answer itself, or None: it is said at the bottom."""
        self.number = number
        """The number the screen gave its question."""
        self.result = result
        self.error = error

    def reads(self, t: TerminalTexts) -> str:
        """In one line why there is no result; empty if there is one."""
        if self.error is None:
            return ""
        if isinstance(self.error, VsrppError):
            return error_text(self.error, t)
        return str(self.error) or type(self.error).__name__


class ThreadFailed(Message):
    """A fault in a thread; the app ends with it."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class BackgroundCalls:
    """Runs calls in daemon threads: leaving the UI never waits for an answer that is still to come."""

    def __init__(self, post: Callable[[Message], object]) -> None:
        """`post` takes a message from any thread."""
        self._post = post
        self.waiting: set[str] = set()
        self._sent = threading.Event()
        """Set once the newest call has left its command with the run, or has none to leave."""
        self._sent.set()

    def ask(self, what: str, call: Callable[[], Any], screen: Any = None, number: int = 0) -> None:
        """Run `call` and post `CallFinished`."""
        before, self._sent = self._sent, threading.Event()
        arguments = (what, call, screen, number, before, self._sent)
        threading.Thread(target=self._run, args=arguments, name=f"ask {what}", daemon=True).start()

    def ask_once(self, what: str, call: Callable[[], Any]) -> bool:
        """The same, unless the same is being asked already."""
        if what in self.waiting:
            return False
        self.waiting.add(what)
        self.ask(what, call)
        return True

    def _run(
        self, what: str, call: Callable[[], Any], screen: Any, number: int, before: threading.Event, sent: threading.Event
    ) -> None:  # fmt: skip
        result: Any = None
        problem: Exception | None = None
        before.wait(SEND_TIMEOUT_S)  # what was asked first reaches the run first
        on_sent.set(sent.set)
        try:
            result = call()
        except (VsrppError, sqlite3.Error, OSError) as error:
            problem = error
        except Exception as error:  # noqa: BLE001 - handed on, or a thread's fault is lost
            self._post(ThreadFailed(error))
            return
        finally:
            sent.set()
        self.waiting.discard(what)
        self._post(CallFinished(what, screen, number, result, problem))
