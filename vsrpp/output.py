"""Printing, for the command line and the launcher: one console for each stream, lines, tables and a live line.

rich is imported when something is first printed in colour or as a table, so that importing this costs nothing.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from vsrpp.safe_text import printable, redact_text, safe

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


class OutputLost(OSError):
    """Standard output cannot be written: a full disk, or a closed pipe."""


class OutputClosed(OutputLost, BrokenPipeError):
    """The reader of standard output has closed the pipe."""


class _Stream:
    """Standard output or standard error. After a failed write, nothing more is written."""

    def __init__(self, stream: Any, *, required: bool) -> None:
        self._stream = stream
        self._required = required
        """Whether the first failure is raised; otherwise text that cannot be shown is dropped."""
        self.lost: OutputLost | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self._attempt(lambda: self._stream.write(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        self._attempt(self._stream.flush)

    def _attempt(self, action: Callable[[], object]) -> None:
        if self.lost is not None:
            return
        try:
            action()
        except OSError as error:
            kind = OutputClosed if isinstance(error, BrokenPipeError) else OutputLost
            self.lost = kind(error.errno, error.strerror or str(error))
            self._discard()
            if self._required:
                raise self.lost from None

    def _discard(self) -> None:
        """Send to nowhere what is still buffered, so that the interpreter's last flush succeeds."""
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


class StandardStreams:
    """Standard output and standard error of one command."""

    def __init__(self, out: _Stream | None) -> None:
        self._out = out
        self.may_be_lost = False
        """Whether the command succeeds even if its output is lost, as a training does."""

    def lost(self) -> OutputLost | None:
        """Why standard output is incomplete, after writing what is buffered; None if it is complete."""
        if self._out is not None:
            with contextlib.suppress(OutputLost):
                self._out.flush()
        return None if self._out is None else self._out.lost


_streams = StandardStreams(None)


@contextlib.contextmanager
def standard_streams() -> Iterator[StandardStreams]:
    """Within this, a failed write to standard output raises OutputLost once; one to standard error is ignored."""
    global _streams
    before = sys.stdout, sys.stderr, _streams
    out = None if sys.stdout is None else _Stream(sys.stdout, required=True)
    error = None if sys.stderr is None else _Stream(sys.stderr, required=False)
    sys.stdout, sys.stderr, _streams = out, error, StandardStreams(out)
    try:
        yield _streams
    finally:
        sys.stdout, sys.stderr, _streams = before
        if out is not None and out.lost is not None:
            console.cache_clear()  # rich keeps what it could not write, and would write it next time


def output_may_be_lost() -> None:
    """State that the current command has done its work, whether or not its output could be written."""
    _streams.may_be_lost = True


_COLOURS = re.compile(r"(\x1b\[(?:0|1|2|31|32|33)m)")
"""The escapes of `green` and its kin; no other reaches the terminal."""


@cache
def console(*, stderr: bool = False) -> Console:
    """The console of standard output or standard error: it knows the terminal's width, its colours, NO_COLOR and TERM."""
    from rich.console import Console

    class Quiet(Console):
        def on_broken_pipe(self) -> None:
            """rich calls this where it handles BrokenPipeError, and would exit with 1: the caller decides."""
            raise

    return Quiet(stderr=stderr, highlight=False, markup=False, emoji=False, legacy_windows=False)


def has_terminal() -> bool:
    """Whether a person sees standard output now; what must not stand in a log is shown only there."""
    return sys.stdout is not None and bool(sys.stdout.isatty())


def terminal_width() -> int:
    """Columns of the terminal; without one, enough that nothing is cut."""
    target = console()
    return target.width if target.is_terminal else 10_000


def say(text: str = "", *, stderr: bool = False, hang: int | None = None) -> None:
    """Print lines as they are, never read as markup; colours of `green` and its kin are kept, addresses redacted.

    What a person or a file provided goes through `safe` first: here a line break is one of ours.
    With `hang`, a line that is too long for a terminal is wrapped between words and continued with that
    many columns of indent.
    """
    text, target = redact_text(text), console(stderr=stderr)
    if text.isprintable() and not target.is_terminal:  # nothing to lay out: a long history is many lines
        target.file.write(f"{text}\n")
        target.file.flush()
        return
    from rich.text import Text

    lines = Text.from_ansi("\n".join(map(_shown, text.split("\n"))), no_wrap=True)
    if hang is not None and target.is_terminal and lines.cell_len > target.width > 2 * hang:
        first, *rest = lines.wrap(target, target.width - hang, no_wrap=False, overflow="fold")
        lines = Text("\n").join([first, *(Text(" " * hang).append_text(part) for part in rest)])
    target.print(lines, soft_wrap=True)
    target.file.flush()


def _shown(line: str) -> str:
    """A line, printable except for our own colours."""
    return "".join(part if _COLOURS.fullmatch(part) else printable(part) for part in _COLOURS.split(line))


def announce(line: str) -> None:
    """Print a line of a server, such as its address; on standard error if standard output cannot be written."""
    try:
        print(line, flush=True)
    except OutputLost:
        print(line, file=sys.stderr)


def say_over(text: str, *, stderr: bool = False) -> None:
    """Print lines in place of a live line that another process is drawing in the same terminal; it draws it again below."""
    if has_live_line(stderr=stderr):
        from rich.control import Control
        from rich.segment import ControlType

        console(stderr=stderr).control(Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2)))
    say(text, stderr=stderr)


def coloured(*, stderr: bool = False) -> bool:
    """Whether colours are shown there."""
    target = console(stderr=stderr)
    return target.is_terminal and not target.no_color and target.color_system is not None


def has_live_line(*, stderr: bool = False) -> bool:
    """Whether a line can be drawn over again there; not without a terminal, nor under TERM=dumb."""
    target = console(stderr=stderr)
    return target.is_terminal and not target.is_dumb_terminal


def _paint(style: str, text: str) -> str:
    text = "\n".join(map(printable, text.split("\n")))
    if not coloured():
        return text
    from rich.color import ColorSystem
    from rich.style import Style

    return Style.parse(style).render(text, color_system=ColorSystem.STANDARD)


def green(text: str) -> str:
    return _paint("green", text)


def red(text: str) -> str:
    return _paint("red", text)


def yellow(text: str) -> str:
    return _paint("yellow", text)


def bold(text: str) -> str:
    return _paint("bold", text)


def dim(text: str) -> str:
    return _paint("dim", text)


# ---- tables
@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table for people."""

    title: str
    right: bool = False
    """Aligned to the right, as numbers are."""
    keep: bool = False
    """Never cut or wrapped: what a person copies."""
    widest: int | None = None
    """Characters of a cell before it is wrapped."""


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, indent: int = 0) -> None:
    """Print rows under bold titles. In a terminal, long cells wrap at its width; elsewhere a row is one line."""
    table = _table(columns, indent)
    from rich.text import Text

    for row in rows:
        table.add_row(*(Text.from_ansi(_shown(redact_text(cell))) for cell in row))
    for line in _lines(table, terminal_width()):
        console().print(line, end="", soft_wrap=True)


def _table(columns: Sequence[Column], indent: int) -> Table:
    from rich.padding import Padding
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=Padding.unpack((0, 2, 0, 0)), header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(
            " " * indent * (number == 0) + column.title, justify="right" if column.right else "left",
            no_wrap=column.keep, overflow="crop" if column.keep else "fold", max_width=column.widest,
        )  # fmt: skip
    return table


def _lines(table: Table, width: int) -> Iterator[Any]:
    """The rendered lines, without the spaces at their ends."""
    from rich.segment import Segment, Segments

    target = console()
    for line in target.render_lines(table, target.options.update(width=width), pad=False):
        while line and not line[-1].text.strip():
            line.pop()
        if line:
            last = line[-1]
            line[-1] = Segment(last.text.rstrip(), last.style, last.control)
        yield Segments([*line, Segment.line()])


# ---- a line that is drawn over
class LiveLine:
    """One line below what is printed: cut to the terminal's width, following its size, and gone when it is cleared."""

    def __init__(self, *, stderr: bool = False) -> None:
        self._stderr = stderr
        self._cells = 0
        """Width of what stands there now; 0: nothing."""

    def draw(self, text: str, share: float | None = None) -> None:
        """Replace the line; `share` from 0 to 1 puts a bar before the text."""
        from rich.segment import Segment, Segments
        from rich.text import Text

        target = console(stderr=self._stderr)
        width = max(1, target.width - 1)
        body = Text(safe(text), no_wrap=True)
        segments: list[Segment] = []
        if share is not None and width >= 40:
            segments = [*_bar(target, share, max(8, min(24, width - body.cell_len - 1))), Segment(" ")]
        body.truncate(width - Segment.get_line_length(segments), overflow="ellipsis")
        segments += list(body.render(target, end=""))
        with target:
            self.clear()
            target.print(Segments(segments), end="", soft_wrap=True)
            self._cells = Segment.get_line_length(segments)
        target.file.flush()

    def clear(self) -> None:
        """Remove the line, all rows of it where the terminal has become narrower since."""
        if not self._cells:
            return
        from rich.control import Control
        from rich.segment import ControlType

        target = console(stderr=self._stderr)
        rows = -(-self._cells // max(1, target.width))
        target.control(
            Control(
                ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2),
                *((ControlType.CURSOR_UP, 1), (ControlType.ERASE_IN_LINE, 2)) * (rows - 1),
            )
        )  # fmt: skip
        self._cells = 0


def _bar(target: Console, share: float, width: int) -> list[Any]:
    from rich.progress_bar import ProgressBar

    bar = ProgressBar(total=1.0, completed=min(1.0, max(0.0, share)), width=width, complete_style="green",
                      finished_style="green")  # fmt: skip
    return list(target.render(bar, target.options.update(width=width)))
