"""The plateau detectors, by the name used for `detector` in the run config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vsrpp.controller.detector import Detector
from vsrpp.controller.plateau_brief import BriefDetector
from vsrpp.controller.plateau_trend import TrendDetector
from vsrpp.plugins import registry

DETECTORS: dict[str, type[Detector]] = {"vsrpp": TrendDetector, "brief": BriefDetector}


def make(kind: str, run_config: Mapping[str, Any] | None = None) -> Detector:
    """A new detector: `vsrpp` (trend test), `brief`, or that of a plug-in of the run. Raises ValueError for any other name."""
    if kind in DETECTORS:
        return DETECTORS[kind]()
    run_config = run_config or {}
    provided = registry.provided(run_config, "detector", kind)
    if provided is None:
        raise ValueError(f"detector = {kind!r}: must be one of {', '.join(DETECTORS)}")
    detector: Detector = provided(**registry.parameters(run_config, "detector", kind, run_config))
    detector.kind = kind
    return detector
