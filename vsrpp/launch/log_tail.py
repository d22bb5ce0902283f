"""What the ranks of a host write to standard error, shown as it comes: rank 0's as it is, others' with their number."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

_ERROR_LINE = "vsrpp: "
"""What the line begins with that a command says when it fails: held back, until it is known whose counts."""
_TRACEBACK = "Traceback (most recent call last):"
_LIBRARY = re.compile(r"^\[(?:[EWI]\d{4} |/\S+\.(?:cc|cpp|h):\d+\])")
"""How lines of torch's C++ side begin: they stay in the file, and whatever they mean is said by the rank that failed."""
_FILE = re.compile(r"rank_(\d+)\.err")


class LogTail:
    """The growing files of one start of the world after another."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._read: dict[Path, int] = {}
        self._held: dict[int, list[str]] = {}
        self._in_traceback: set[int] = set()

    def read(self, folder: Path) -> None:
        """Show every whole line that is new."""
        for rank, file in _files(folder):
            for line in self._new_lines(file, whole=True):
                self._take(rank, line)

    def errors(self, folder: Path) -> dict[int, list[str]]:
        """Show the rest, whole lines or not; returns by rank what was held back."""
        for rank, file in _files(folder):
            for line in self._new_lines(file, whole=False):
                self._take(rank, line)
        return self._held

    def forget(self) -> None:
        """Drop the errors held back: their world is started again."""
        self._held = {}

    @staticmethod
    def last_line(folder: Path, rank: int) -> str | None:
        """What a rank failed with, as far as it said so; else the last thing it said."""
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
