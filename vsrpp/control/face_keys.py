"""Catalogue keys that every face builds from a value of the run: `state.training`, `convergence.flat`."""

from __future__ import annotations

from vsrpp.control.delivery_status import KINDS
from vsrpp.control.narrate import FILTERS
from vsrpp.control.numbers import CONVERGENCE, SCORE_PARTS, TIME_PARTS
from vsrpp.control.run_view import STATES

FACE_KEYS: dict[str, tuple[str, ...]] = {
    "state.{}": STATES,
    "trouble.{}": KINDS,
    "means.{}": KINDS,
    "group.{}": FILTERS,
    "score.{}": SCORE_PARTS,
    "time.{}": TIME_PARTS,
    "convergence.{}": CONVERGENCE,
    "level.{}": ("low", "moderate", "high", "unusual", "extreme"),
}
"""Pattern of a key -> what stands for `{}`."""
