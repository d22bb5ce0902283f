"""Joins what the plug-ins of a run bring to the tables of degradations and readers."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from vsrpp.data.degradation_table import AddedDegradation, add_degradation
from vsrpp.data.readers import AddedReader, add_reader
from vsrpp.plugins import registry


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
