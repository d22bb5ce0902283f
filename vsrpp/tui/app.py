"""The terminal UI's app: one run watched, screens on top of each other, answers brought to the bottom line.

`run` is what `vsrpp top RUN` and `vsrpp train --tui` call, in a separate process attached to the terminal.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from rich.console import Console
from textual.app import App
from textual.binding import Binding, BindingType
from textual.filter import LineFilter
from textual.message import Message
from textual.screen import Screen

from vsrpp.control.refusals import answer_text, remark_text
from vsrpp.paths import RunPaths
from vsrpp.store import Answer
from vsrpp.texts import language_of_environment
from vsrpp.tui import terminal
from vsrpp.tui.actions import BackgroundCalls, CallFinished, SnapshotTaken, ThreadFailed
from vsrpp.tui.host import ScreenHost
from vsrpp.tui.messages import TerminalTexts
from vsrpp.tui.run_view import RunSnapshot
from vsrpp.tui.run_watcher import RunWatcher
from vsrpp.tui.screens.base import RunScreen, processed
from vsrpp.tui.screens.home import Home
from vsrpp.tui.widgets import TerminalFilter

END_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
HANGUP_GRACE_S = 15.0
"""After a hang-up nobody reads what is written: if leaving takes longer than this, the process just ends."""


class TerminalUI(App[None]):
    """Watches `paths`; `snapshot` is the newest look at it."""

    CSS = """
    Screen { background: ansi_default; color: ansi_default; overflow: hidden; }
    #body { height: 1fr; overflow: hidden; }
    #scrolled { height: 1fr; scrollbar-size: 0 0; }
    .row { height: 1; }
    .entry Canvas { width: 25; padding-right: 1; }
    .hugging { width: auto; }
    Field, Field:focus {
        width: 1fr; height: 1; border: none; padding: 0;
        background: ansi_default; color: ansi_default; text-style: underline;
    }
    Field > .input--placeholder { color: ansi_default; text-style: dim; }
    Field > .input--cursor { background: ansi_default; color: ansi_default; text-style: reverse; }
    Field > .input--selection { background: ansi_default; color: ansi_default; text-style: reverse; }
    """
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c,ctrl+q", "leave", show=False, priority=True),
        Binding("ctrl+z", "suspend_process", show=False, priority=True),
    ]

    def __init__(self, paths: RunPaths, *, lang: str = "en", unicode: bool = True, interval_s: float = 1.0) -> None:
        super().__init__(ansi_color=True)
        self.theme = "ansi-dark"
        self.animation_level = "none"
        self.paths = paths
        self.unicode = unicode
        self.texts = TerminalTexts(lang, unicode=unicode)
        self._filter = TerminalFilter(unicode=unicode)
        self.set_class(self.no_color or not unicode, "-plain")
        self.snapshot: RunSnapshot | None = None
        self.message: tuple[str, str] = ("", "")
        """(what is said at the bottom, its style); empty: the state of the run speaks there."""
        self.trace = io.StringIO()
        """What Textual says of a fault: for whoever called `run`, not for the terminal."""
        self.error_console = Console(file=self.trace, width=120, no_color=True)
        self.calls = BackgroundCalls(self._post)
        self._unreadable = ("", "")
        self._interval_s = interval_s
        self._watcher = self._watch(paths)

    def get_default_screen(self) -> Home:
        return Home()

    def on_mount(self) -> None:
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # not in the main thread: in a test
            for number in END_SIGNALS:
                asyncio.get_running_loop().add_signal_handler(number, self._end, number)
        self._watcher.start()

    def on_unmount(self) -> None:
        self._watcher.stop()

    # ---- what is watched
    def attach(self, paths: RunPaths) -> None:
        """Watch another run."""
        self._watcher.stop()
        self.paths, self.snapshot = paths, None
        self.clear_message()
        self._watcher = self._watch(paths)
        self._watcher.start()
        self.redraw()

    def watch_for(self, needs: str) -> None:
        """Have the watcher read what the shown view alone needs."""
        self._watcher.wants_curves = needs == "curves"
        self._watcher.wants_layers = needs == "layers"
        if needs:
            self._watcher.look_now()

    def _watch(self, paths: RunPaths) -> RunWatcher:
        def publish(snapshot: RunSnapshot | str | Exception) -> None:
            self._post(
                ThreadFailed(snapshot) if isinstance(snapshot, Exception) else SnapshotTaken(paths.root, snapshot)
            )

        return RunWatcher(paths, publish, interval_s=self._interval_s)

    def _post(self, message: Message) -> None:
        with contextlib.suppress(RuntimeError):  # the UI has ended, and so has its event loop
            self.post_message(message)

    def on_snapshot_taken(self, event: SnapshotTaken) -> None:
        if event.root != self.paths.root:
            return
        if isinstance(event.snapshot, str):
            self.message = self._unreadable = (self.texts("says.unreadable", why=event.snapshot), "bad")
        else:
            died = event.snapshot.state in ("dead", "failed") and self.snapshot is not None and self.snapshot.live
            if died or self.message == self._unreadable:  # the notice of its state says more now
                self.clear_message()
            self.snapshot = event.snapshot
        self.redraw()

    # ---- what is asked
    def ask(self, kind: str, call: Callable[[], Answer]) -> None:
        """Have `call` ask the run, and say at the bottom what became of it."""
        what = self.texts(f"do.{kind}")
        if kind == "edit":
            self.calls.ask(kind, call)
        elif not self.calls.ask_once(kind, call):
            self.say(self.texts("asked.already", what=what), "warn")
            return
        self.say(self.texts("asked", what=what), "dim")

    async def on_call_finished(self, event: CallFinished) -> None:
        if event.screen is not None:
            if self.screen_stack and self.screen is event.screen:
                await cast("RunScreen", event.screen).take(event)
        elif event.error:
            self.say(event.reads(self.texts), "bad")
        elif isinstance(event.result, Answer):
            self._say_answer(event.what, event.result)
            self._watcher.look_now()

    def _say_answer(self, kind: str, answer: Answer) -> None:
        what, t = self.texts(f"do.{kind}"), self.texts
        match answer.status:
            case "applied" if answer.changes:
                remarks = (f" ! {remark_text(row, t)}" for row in answer.remarks)
                text = t.changes(answer.changes) + "".join(remarks)
                self.say(f"✔ {t('applied', step=answer.step, revision=answer.revision, what=text)}", "good")
            case "applied":
                self.say(t("applied.nothing"), "good")
            case "done":
                self.say(f"✔ {t('done', what=what, step=answer.step)}", "good")
            case "refused":
                self.say(f"✖ {t('answer.refused', what=what, why=self._why(answer))}", "bad")
            case _:
                self.say(t("pending", what=what, why=self._why(answer)), "warn")

    def _why(self, answer: Answer) -> str:
        return answer_text(answer, self.snapshot.values if self.snapshot else {}, self.texts)

    def on_thread_failed(self, event: ThreadFailed) -> None:
        raise event.error

    # ---- what is said and shown
    def say(self, text: str, style: str = "") -> None:
        self.message = (text, style)
        self.redraw()

    def clear_message(self) -> None:
        self.message = ("", "")

    def redraw(self) -> None:
        if self.screen_stack and isinstance(self.screen, RunScreen):  # none: a late message while it closes
            self.screen.redraw()

    async def open(self, screen: Screen[Any]) -> None:
        """Show a screen on top; returns when it takes keys."""
        self.clear_message()
        self.push_screen(screen)
        await processed(screen)

    async def close(self) -> None:
        """Back to the run."""
        self.pop_screen()
        await processed(self.screen)

    async def replace(self, screen: Screen[Any]) -> None:
        """Show another screen instead of the one on top."""
        self.switch_screen(screen)
        await processed(screen)

    def get_line_filters(self) -> Sequence[LineFilter]:
        return [*super().get_line_filters(), self._filter]

    # ---- how it ends
    def action_leave(self) -> None:
        self.exit()

    def _end(self, number: int) -> None:
        if number == signal.SIGHUP:
            timer = threading.Timer(HANGUP_GRACE_S, os._exit, (128 + number,))
            timer.daemon = True
            timer.start()
        self.exit(return_code=128 + number)


if TYPE_CHECKING:

    def _is_host(app: TerminalUI) -> ScreenHost:
        """Held by mypy: the app has what its screens ask for."""
        return app


def run(paths: RunPaths, *, lang: str | None = None) -> int:
    """Show a run until the person leaves; returns the exit status. Training never notices.

    Speaks `lang`, or the language of the environment.

    Raises Refused where there is no terminal. Whatever ends it, the terminal is left as it was.
    """
    terminal.require_terminal()
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)  # a shell may export them: they would outrank the real size after a resize
    stdout = sys.__stdout__
    assert stdout is not None
    unicode = terminal.speaks_unicode(encoding=stdout.encoding)
    stdout.reconfigure(errors="replace")
    app = TerminalUI(paths, lang=lang or language_of_environment(), unicode=unicode)
    with _drawing_on_standard_output():
        app.run(mouse=False)
    if trace := app.trace.getvalue().partition("\nNOTE:")[0].strip():
        raise RuntimeError(f"{trace.splitlines()[-1].strip()}\n{trace}")
    if app.return_code:
        return app.return_code
    if app.snapshot is not None:
        t = app.texts
        then = t("left.live") if app.snapshot.live else t("left.ended", state=t(f"state.{app.snapshot.state}"))
        print(t("left", run=app.paths.run_id, then=then))
    return 0


@contextlib.contextmanager
def _drawing_on_standard_output() -> Iterator[None]:
    """Textual draws on the process's standard error, which may be on its way to a file."""
    original, sys.__stderr__ = sys.__stderr__, sys.__stdout__  # type: ignore[misc]
    try:
        yield
    finally:
        sys.__stderr__ = original  # type: ignore[misc]
