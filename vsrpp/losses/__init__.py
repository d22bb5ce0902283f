"""The training losses: four terms, each 0 for a perfect prediction, weighted by the live config."""

from __future__ import annotations

from vsrpp.losses.losses import TERMS, Losses, build, term_of_key

__all__ = ["TERMS", "Losses", "build", "term_of_key"]
