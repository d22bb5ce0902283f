"""The plateau detectors, by the name used for `detector` in the run config."""

from __future__ import annotations

from vsrpp.controller.detector import Detector
from vsrpp.controller.plateau_brief import BriefDetector
from vsrpp.controller.plateau_trend import TrendDetector

DETECTORS: dict[str, type[Detector]] = {"vsrpp": TrendDetector, "brief": BriefDetector}


def make(kind: str) -> Detector:
    """A new detector: `vsrpp` (trend test) or `brief`. Raises ValueError for any other name."""
    if kind not in DETECTORS:
        raise ValueError(f"detector = {kind!r}: must be one of {', '.join(DETECTORS)}")
    return DETECTORS[kind]()
