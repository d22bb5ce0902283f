"""What the overview shows below losses and steering, arranged for the room there is. 80×24 holds all of it."""

from __future__ import annotations

from vsrpp.tui.lines import Line
from vsrpp.tui.messages import TerminalTexts
from vsrpp.tui.pages import blocks, progress
from vsrpp.tui.run_view import RunSnapshot

WIDE = 72
"""From this width on there are two columns of full blocks."""


def left_column(width: int) -> int:
    """Cells of the left one of two columns."""
    return max((width - 2) // 2, min(43, width - 37)) if width >= WIDE else (width - 2) // 2


def columns(snapshot: RunSnapshot, t: TerminalTexts, width: int, height: int) -> tuple[list[Line], list[Line]]:
    """What stands below losses and steering in two columns; nothing where there is no room for two."""
    if width < WIDE:
        return [], []
    left = left_column(width)
    right = width - 2 - left
    air: list[Line] = [[]] if height >= 26 else []
    quality = [*blocks.quality(snapshot, t, left), *progress.score(snapshot, t, left)]
    machine = [*blocks.machine(snapshot, t, right), *progress.step_time(snapshot, t, right)]
    first = max(len(quality), len(machine))
    quality, machine = (block + [[]] * (first - len(block)) for block in (quality, machine))
    peak = blocks.peak(snapshot, t, left, rows=5 if height >= 18 else 3)
    return [*air, *quality, *air, *peak], [*air, *machine, *air, *blocks.streams(snapshot, t, right)]


def below(snapshot: RunSnapshot, t: TerminalTexts, width: int, height: int, taken: int) -> list[Line]:
    """What stands below the columns, in a body of `height` rows of which they have `taken`.

    What matters most comes first, and events take what is left.
    """
    air: list[Line] = [[]] if height >= 26 else []
    if width < WIDE:
        lines = _narrow(snapshot, t, width, height)
    else:
        bars = [*air, *blocks.bars(snapshot, t, width)] if height >= 30 else []
        lines = [*progress.spent(snapshot, t, width), *bars, *air]
    lines += blocks.events(snapshot, t, width, height - taken - len(lines))
    return lines[: max(0, height - taken)]


def _narrow(snapshot: RunSnapshot, t: TerminalTexts, width: int, height: int) -> list[Line]:
    psnr = blocks.quality(snapshot, t, width)[1:]
    lines = psnr[:1] if height < 18 else psnr
    lines += blocks.peak(snapshot, t, width, rows=3)[: 2 if height < 20 else 3]
    return lines + blocks.streams(snapshot, t, width)[1 if height < 18 else 0 :]
