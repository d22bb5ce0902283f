"""The one screen: what matters of a run, arranged for the room there is. 80×24 holds all of it."""

from __future__ import annotations

from vsrpp.tui.lines import Line, beside, line
from vsrpp.tui.messages import Texts
from vsrpp.tui.pages import blocks, progress
from vsrpp.tui.run_view import Seen

WIDE = 72
"""From this width on there are two columns of full blocks."""


def draw(seen: Seen, t: Texts, width: int, height: int) -> list[Line]:
    """At most `height` lines; what matters most comes first, and events take what is left."""
    lines = _wide(seen, t, width, height) if width >= WIDE else _narrow(seen, t, width, height)
    lines += blocks.events(seen, t, width, height - len(lines))
    return lines[:height]


def _wide(seen: Seen, t: Texts, width: int, height: int) -> list[Line]:
    left = max((width - 2) // 2, min(43, width - 37))
    right = width - 2 - left
    air: list[Line] = [[]] if height >= 26 else []
    lines = beside([(blocks.losses(seen, t, left), left), (blocks.steering(seen, t, right), right)])
    quality = [*blocks.quality(seen, t, left), *progress.score(seen, t, left)]
    machine = [*blocks.machine(seen, t, right), *progress.step_time(seen, t, right)]
    lines += [*air, *beside([(quality, left), (machine, right)])]
    lines += progress.spent(seen, t, width)
    if height >= 30:
        lines += [*air, *blocks.bars(seen, t, width)]
    rows = 5 if height >= 18 else 3
    lines += [*air, *beside([(blocks.peak(seen, t, left, rows=rows), left), (blocks.streams(seen, t, right), right)])]
    return lines + air


def _narrow(seen: Seen, t: Texts, width: int, height: int) -> list[Line]:
    if width < 52:
        lines = [*blocks.losses(seen, t, width), *blocks.steering(seen, t, width)[1:]]
    else:
        left = (width - 2) // 2
        right = width - 2 - left
        lines = beside([(blocks.losses(seen, t, left), left), (blocks.steering(seen, t, right), right)])
    psnr = blocks.quality(seen, t, width)[1:]
    lines += psnr[:1] if height < 18 else psnr
    lines += blocks.peak(seen, t, width, rows=3)[: 2 if height < 20 else 3]
    return lines + blocks.streams(seen, t, width)[1 if height < 18 else 0 :]


def waiting(text: str, height: int) -> list[Line]:
    """Before the first look at the run."""
    return [line(), line("  ", (text, "dim"))][:height]
