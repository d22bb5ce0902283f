"""The one screen: what matters of a run, arranged for the room there is. 80×24 holds all of it."""

from __future__ import annotations

from vsrpp.tui.lines import Line, beside, line
from vsrpp.tui.messages import TerminalTexts
from vsrpp.tui.pages import blocks, progress
from vsrpp.tui.run_view import RunSnapshot

WIDE = 72
"""From this width on there are two columns of full blocks."""


def draw(snapshot: RunSnapshot, t: TerminalTexts, width: int, height: int) -> list[Line]:
    """At most `height` lines; what matters most comes first, and events take what is left."""
    lines = _wide(snapshot, t, width, height) if width >= WIDE else _narrow(snapshot, t, width, height)
    lines += blocks.events(snapshot, t, width, height - len(lines))
    return lines[:height]


def _wide(snapshot: RunSnapshot, t: TerminalTexts, width: int, height: int) -> list[Line]:
    left = max((width - 2) // 2, min(43, width - 37))
    right = width - 2 - left
    air: list[Line] = [[]] if height >= 26 else []
    lines = beside([(blocks.losses(snapshot, t, left), left), (blocks.steering(snapshot, t, right), right)])
    quality = [*blocks.quality(snapshot, t, left), *progress.score(snapshot, t, left)]
    machine = [*blocks.machine(snapshot, t, right), *progress.step_time(snapshot, t, right)]
    lines += [*air, *beside([(quality, left), (machine, right)])]
    lines += progress.spent(snapshot, t, width)
    if height >= 30:
        lines += [*air, *blocks.bars(snapshot, t, width)]
    rows = 5 if height >= 18 else 3
    lines += [
        *air,
        *beside([(blocks.peak(snapshot, t, left, rows=rows), left), (blocks.streams(snapshot, t, right), right)]),
    ]
    return lines + air


def _narrow(snapshot: RunSnapshot, t: TerminalTexts, width: int, height: int) -> list[Line]:
    if width < 52:
        lines = [*blocks.losses(snapshot, t, width), *blocks.steering(snapshot, t, width)[1:]]
    else:
        left = (width - 2) // 2
        right = width - 2 - left
        lines = beside([(blocks.losses(snapshot, t, left), left), (blocks.steering(snapshot, t, right), right)])
    psnr = blocks.quality(snapshot, t, width)[1:]
    lines += psnr[:1] if height < 18 else psnr
    lines += blocks.peak(snapshot, t, width, rows=3)[: 2 if height < 20 else 3]
    return lines + blocks.streams(snapshot, t, width)[1 if height < 18 else 0 :]


def waiting(text: str, height: int) -> list[Line]:
    """Before the first look at the run."""
    return [line(), line("  ", (text, "dim"))][:height]
