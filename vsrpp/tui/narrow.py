"""Sends the changed cells of a row and nothing before them.

Textual 8.2 writes a changed stretch of a row from the start of its widget on (`ChopsUpdate.render_segments` crops the
end, not the start). Over a slow link that is most of what is sent: about four times the bytes.
"""

from __future__ import annotations

from rich.console import Console
from rich.control import Control
from textual._compositor import ChopsUpdate, CompositorUpdate


class Narrow(CompositorUpdate):
    """The same update, each stretch cropped on both sides."""

    def __init__(self, update: ChopsUpdate) -> None:
        self._update = update

    def render_segments(self, console: Console) -> str:
        """The update as text for the terminal."""
        parts = []
        for y, start, stop in self._update.spans:
            ends, chops = self._update.chop_ends[y], self._update.chops[y]
            for end, (x, strip) in zip(ends, chops.items(), strict=False):
                left, right = max(x, start), min(end, stop)
                if strip is None or left >= right:
                    continue
                parts.append(Control.move_to(left, y).segment.text)
                parts.append(strip.crop(left - x, right - x).render(console))
        return "".join(parts)
