"""Joins what the plug-ins of a run bring to the tables of degradations and readers."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from vsrpp.data.degradation_table import AddedDegradation, Draw, add_degradation
from vsrpp.data.readers import AddedReader, add_reader
from vsrpp.errors import VsrppError
from vsrpp.plugins import registry

_TRIED_SIDE = 24
"""Height and width of the small frames that a plug-in's degradation is tried on."""


def join(run_config: Mapping[str, Any]) -> None:
    """Add the degradations and readers of a run's plug-ins, which are loaded, in this process.

    A data worker gets a degradation by reference, and loads the plug-in's source itself.
    """
    for record in run_config.get("plugins") or ():
        for provided in record["provides"]:
            kind, name = provided["kind"], str(provided["name"])
            if kind == "degradation":
                function = registry.Reference.of(run_config, kind, name)
                settings = registry.parameters(run_config, kind, name, run_config)
                add_degradation(AddedDegradation(name, function, record["sha256"], settings))
            elif kind == "reader":
                reader = registry.provided(run_config, kind, name)
                made: Any = reader() if inspect.isclass(reader) else reader
                add_reader(AddedReader(name, made, record["sha256"]))


def check(run_config: Mapping[str, Any]) -> None:
    """Try the degradations of a run's plug-ins on two frames. Raises Refused, with file and line, for one that does not fit."""
    scale = int(run_config["scale"])
    side = _TRIED_SIDE * scale
    frames = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    for name, function in registry.all_of(run_config, "degradation").items():
        trial = registry.Trial.of(run_config, "degradation", name)
        assert trial is not None
        settings = registry.parameters(run_config, "degradation", name, run_config)
        method = AddedDegradation(name, function, trial.source.sha256, settings)
        try:
            first, again = (method.degrade(frames, Draw(0, 0), scale=scale) for _ in range(2))
        except VsrppError as error:
            cause = error.__cause__
            given = "it returned {given} instead of uint8 {shape}"
            why = f"it fails ({registry.cause_of(cause)})" if cause else given.format(**error.fields)
            raise trial.refusal(why, cause) from error
        if not np.array_equal(first, again):
            raise trial.refusal("the same draw gives other frames; take chance only from rng")
