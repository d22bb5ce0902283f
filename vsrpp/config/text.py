"""Formats values and refusals as text, in one way for all interfaces."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from vsrpp.config import schema
from vsrpp.config.declared import in_short
from vsrpp.config.problem import Problem
from vsrpp.safe_text import printable, redact_text, safe

_LONGEST = 60
_PLACE = re.compile(r"[^\W\d]\w*(?:\[\d+\]|\.\w+)*")
"""A parameter's name, or the path of a part of one: data.train[0].weight."""


def show(value: Any) -> str:
    """Any value on one short line, written as in JSON: `0.0002`, `"abc"`, `true`, `nan`."""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, str):
        value = redact_text(value)[:_LONGEST]
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):  # a date from YAML, an integer of 5000 digits
        text = f"a {type(value).__name__}"
    text = printable(text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def one_of(choices: Sequence[Any]) -> str:
    """`none, reduce_lr or boost_lr`."""
    *others, last = map(str, choices)
    return f"{', '.join(others)} or {last}" if others else last


def format_value(key: str, value: Any, run_config: Mapping[str, Any] | None = None) -> str:
    """A parameter's value for people: `1.50e-04` on a logarithmic scale, `on` and `off`, otherwise plain.

    `parse_assignments` reads it back as the same value.
    """
    if key == "plugins":
        return in_short(value)
    parameter = schema.parameter(key, run_config)
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, str):
        return value
    if parameter is not None and parameter.scale == "log" and isinstance(value, (int, float)):
        return _exponential(float(value))
    return show(value)


def _exponential(value: float) -> str:
    """Exponent notation with at least two decimals, and as many as needed to be exact."""
    texts = (f"{value:.{decimals}e}" for decimals in range(2, 17))
    return next((text for text in texts if float(text) == value), repr(value))


def refusal(problems: Collection[Problem]) -> str:
    """All refused values with their reasons: `max_lr = 0.5 refused: must be between 1e-05 and 0.001.`"""
    text = "; ".join(_one(problem) for problem in problems).replace("?; ", "? ")
    return text if text.endswith("?") else f"{text}."


def refusal_line(problems: Collection[Problem], revision: int, live: Mapping[str, Any]) -> str:
    """The one-line answer to a refused edit: what, why, and the values that stay in force."""
    in_force = {problem.key: live[problem.key] for problem in problems if problem.key in live}
    values = ", ".join(f"{key} = {show(value)}" for key, value in in_force.items())
    return f"{refusal(problems)} Still at revision {revision}{f' ({values})' if values else ''}."


def dump_runtime(live: Mapping[str, Any], revision: int, run_config: Mapping[str, Any] | None = None) -> str:
    """The text of `runtime_config.json`: one flat object, the revision first, then the parameters in menu order."""
    known = schema.of(run_config)
    order = [key for key in known.live if key in live] + [key for key in live if key not in known.parameters]
    return json.dumps({"revision": revision, **{key: live[key] for key in order}}, indent=2) + "\n"


def _one(problem: Problem) -> str:
    if not problem.key:
        return f"edit refused: {safe(problem.message)}"
    key = problem.key if _PLACE.fullmatch(problem.key) and len(problem.key) <= _LONGEST else show(problem.key)
    return f"{key} = {show(problem.value)} refused: {safe(problem.message)}"
