"""One card: a title, a figure, a bar if the figure has a whole, and the line below."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Card:
    name: str
    title: str
    value: str
    below: str
    unit: str = ""
    """Shown smaller, after the value."""
    meter: float | None = None
    """0 to 1."""
    tone: str = ""
    """`good`, `warn`, `bad` or nothing."""


def card(
    name: str, title: str, value: str, below: str, *, unit: str = "", meter: float | None = None, tone: str = ""
) -> Card:
    """A card with its meter held in its range."""
    return Card(name, title, value, below, unit, None if meter is None else min(1.0, max(0.0, meter)), tone)
