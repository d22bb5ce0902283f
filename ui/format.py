"""Markup from text; figures come from `vsrpp.formats`."""

from __future__ import annotations

import html


def esc(value: object) -> str:
    """Text made safe for HTML, attributes included. Names and reasons come from people: nothing is shown without it."""
    return html.escape(str(value), quote=True)
