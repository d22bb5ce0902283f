"""One card: a title, a figure, a bar if the figure has a whole, and the line below."""

from __future__ import annotations

from ..format import esc


def card(
    name: str, title: str, value: str, below: str, *, meter: float | None = None, tone: str = "", raw: bool = False
) -> str:
    """`tone`: good, warn or bad; `raw`: the value is markup."""
    bar = ""
    if meter is not None:
        bar = f'<div class="meter"><i style="width:{min(1.0, max(0.0, meter)) * 100:.1f}%"></i></div>'
    text = value if raw else esc(value)
    return (
        f'<section class="card {tone}" data-card="{name}"><h3>{esc(title)}</h3><p class="big">{text}</p>'
        f'{bar}<p class="below">{esc(below)}</p></section>'
    )
