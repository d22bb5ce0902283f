"""The plateau detectors, by the name used for `detector` in the run config."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from vsrpp.controller.detector import Detector
from vsrpp.controller.plateau_brief import BriefDetector
from vsrpp.controller.plateau_long import LongRunDetector
from vsrpp.controller.plateau_trend import TrendDetector
from vsrpp.plugins import registry

DETECTORS: dict[str, type[Detector]] = {"vsrpp": TrendDetector, "brief": BriefDetector}
_TRIED = 50
"""Losses that a plug-in's detector is tried on."""


def version(run_config: Mapping[str, Any]) -> int:
    """`controller_version` of a run; 1 for records from before there was a second one."""
    return int(run_config.get("controller_version") or 1)


def make(kind: str, run_config: Mapping[str, Any] | None = None) -> Detector:
    """A new detector: `vsrpp` (in the run's `controller_version`), `brief`, or that of a plug-in of the run.

    Raises ValueError for any other name.
    """
    run_config = run_config or {}
    if kind == LongRunDetector.kind and version(run_config) >= 2:
        return LongRunDetector()
    if kind in DETECTORS:
        return DETECTORS[kind]()
    provided = registry.provided(run_config, "detector", kind)
    if provided is None:
        raise ValueError(f"detector = {kind!r}: must be one of {', '.join(DETECTORS)}")
    detector: Detector = provided(**registry.parameters(run_config, "detector", kind, run_config))
    detector.kind = kind
    return detector


def check(run_config: Mapping[str, Any]) -> None:
    """Try a plug-in's detector on a few losses. Raises Refused, with file and line, if it does not fit."""
    name = str(run_config.get("detector"))
    trial = None if name in DETECTORS else registry.Trial.of(run_config, "detector", name)
    if trial is None:
        return
    with trial.attempt():
        detector: Any = make(name, run_config)
        fits = isinstance(detector, Detector)
        if fits:
            _try(detector)
    if not fits:
        raise trial.refusal(f"it makes a {type(detector).__name__}, not a Detector of vsrpp.plugins")


def _try(detector: Detector) -> None:
    """A short falling loss, a restart, and the way of its state through a checkpoint."""
    for step in range(_TRIED):
        detector.update(step, 1 / (1 + step), {"plateau_patience": 100.0})
    detector.restart("trial")
    detector.update(_TRIED, 1.0, {"plateau_patience": 100.0})
    detector.load(json.loads(json.dumps(detector.state())))
