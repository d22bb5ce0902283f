"""The training losses: terms, each 0 for a perfect prediction, weighted by the live config.

The one table of terms (name, label, colour, function, default weight) is the `x-term` of their weights in the schema.
"""

from __future__ import annotations

from vsrpp.losses.losses import Losses, build, check

__all__ = ["Losses", "build", "check"]
