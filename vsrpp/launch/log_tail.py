"""Shows the standard error of a host's ranks as it is written: rank 0's unchanged, the others' with their rank."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

_ERROR_LINE = "vsrpp: "
"""Prefix of the line a failing command prints. It is held back until the launcher knows which rank caused the failure."""
_TRACEBACK = "Traceback (most recent call last):"
_LIBRARY = re.compile(r"^\[(?:[EWI]\d{4} |/\S+\.(?:cc|cpp|h):\d+\])")
"""Log lines of torch's C++ code. They stay in the file; the failing rank reports the cause itself."""
_FILE = re.compile(r"rank_(\d+)\.err")


class LogTail:
    """Follows the growing log files of one attempt after another."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._read: dict[Path, int] = {}
        self._held: dict[int, list[str]] = {}
        self._in_traceback: set[int] = set()

    def read(self, folder: Path) -> None:
        """Show every new complete line."""
        for rank, file in _files(folder):
            for line in self._new_lines(file, whole=True):
                self._take(rank, line)

    def errors(self, folder: Path) -> dict[int, list[str]]:
        """Show the rest, including incomplete lines; returns the error lines held back, by rank."""
        for rank, file in _files(folder):
            for line in self._new_lines(file, whole=False):
                self._take(rank, line)
        return self._held

    def forget(self) -> None:
        """Drop the error lines held back, because the ranks are restarted."""
        self._held = {}

    @staticmethod
    def last_line(folder: Path, rank: int) -> str | None:
        """The error line of a rank if it printed one, else the last line it printed."""
        for suffix in ("err", "out"):
            try:
                text = (folder / f"rank_{rank}.{suffix}").read_text(encoding="utf-8", errors="replace")
            except FileNotFoundError:
                continue
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            errors = [line for line in lines if line.startswith(_ERROR_LINE)]
            lines = errors or [line for line in lines if not _LIBRARY.match(line)] or lines
            if lines:
                return lines[-1]
        return None

    def _take(self, rank: int, line: str) -> None:
        if line.startswith(_TRACEBACK):
            self._in_traceback.add(rank)
        elif rank in self._in_traceback and line.startswith(" "):
            return
        elif line.startswith(_ERROR_LINE) or rank in self._in_traceback:
            self._in_traceback.discard(rank)
            self._held.setdefault(rank, []).append(line)
        elif line.strip() and not (rank and _LIBRARY.match(line)):
            self._show(f"[rank {rank}] {line}" if rank else line)

    def _new_lines(self, file: Path, *, whole: bool) -> list[str]:
        with file.open("rb") as stream:
            stream.seek(self._read.get(file, 0))
            new = stream.read()
        if whole:
            new = new[: new.rfind(b"\n") + 1]
        self._read[file] = self._read.get(file, 0) + len(new)
        return new.decode("utf-8", errors="replace").splitlines()


def _files(folder: Path) -> Iterator[tuple[int, Path]]:
    for file in sorted(folder.glob("rank_*.err")):
        match = _FILE.fullmatch(file.name)
        if match:
            yield int(match[1]), file
