"""What the ranks of a host say on standard error, read aloud as it comes: rank 0's as it is, others' with their number."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

_LAST_WORD = "vsrpp: "
"""What the line begins with that a command says when it fails: held back, until it is known whose counts."""
_FILE = re.compile(r"rank_(\d+)\.err")


class Tails:
    """The growing files of one start of the world after another."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._read: dict[Path, int] = {}
        self._held: dict[int, list[str]] = {}

    def read(self, folder: Path) -> None:
        """Show every whole line that is new."""
        for rank, file in _files(folder):
            for line in self._new_lines(file, whole=True):
                self._take(rank, line)

    def last_words(self, folder: Path) -> dict[int, list[str]]:
        """Show the rest, whole lines or not; returns by rank what was held back."""
        for rank, file in _files(folder):
            for line in self._new_lines(file, whole=False):
                self._take(rank, line)
        return self._held

    def forget(self) -> None:
        """Let go of last words: their world is started again."""
        self._held = {}

    @staticmethod
    def last_line(folder: Path, rank: int) -> str | None:
        """The last thing a rank said, on standard error or else on standard output."""
        for suffix in ("err", "out"):
            try:
                text = (folder / f"rank_{rank}.{suffix}").read_text(encoding="utf-8", errors="replace")
            except FileNotFoundError:
                continue
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            if lines:
                return lines[-1]
        return None

    def _take(self, rank: int, line: str) -> None:
        if line.startswith(_LAST_WORD):
            self._held.setdefault(rank, []).append(line)
        elif line.strip():
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
