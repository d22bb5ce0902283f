"""The configs of a run: their parameters, the rules they must satisfy, and the effects of an edit.

Importing this is cheap (a few milliseconds): `jsonschema` and `yaml` are loaded only by the calls that need them.
"""

from __future__ import annotations

from vsrpp.config.check import check_changes, check_known, check_live, check_run, normalise
from vsrpp.config.edits import Change, diff, merge, parse_assignments, same, warnings
from vsrpp.config.number import read_whole
from vsrpp.config.problem import PRIVATE, Problem, public_value
from vsrpp.config.schema import (
    Parameter,
    best_keys,
    default_preset,
    defaults,
    live_parameters,
    lower_is_better,
    parameters,
    plugin_keys,
    presets,
    startup_parameters,
)
from vsrpp.config.sources import assigned_values, config_file, plugins_in, refused, resolve
from vsrpp.config.text import dump_runtime, format_value, refusal, refusal_line

__all__ = [
    "PRIVATE",
    "Change",
    "Parameter",
    "Problem",
    "assigned_values",
    "best_keys",
    "check_changes",
    "check_known",
    "check_live",
    "check_run",
    "config_file",
    "default_preset",
    "defaults",
    "diff",
    "dump_runtime",
    "format_value",
    "live_parameters",
    "lower_is_better",
    "merge",
    "normalise",
    "parameters",
    "parse_assignments",
    "plugin_keys",
    "plugins_in",
    "presets",
    "public_value",
    "read_whole",
    "refusal",
    "refusal_line",
    "refused",
    "resolve",
    "same",
    "startup_parameters",
    "warnings",
]
