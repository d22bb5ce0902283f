"""Edits: parses them, merges them with other changes, and warns about their effects."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vsrpp.config import messages, schema
from vsrpp.config.number import read_number, read_numbers
from vsrpp.config.problem import public_value
from vsrpp.config.text import show
from vsrpp.documents import RemarkDocument

_WORDS = {"on": True, "true": True, "yes": True, "off": False, "false": False, "no": False}
_BIG_STEP = 4.0
"""A change of the learning rate by more than this factor gives a warning."""


@dataclass(frozen=True, slots=True)
class Change:
    """One changed value."""

    key: str
    old: Any
    new: Any


def parse_assignments(assignments: Iterable[str], run_config: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Parse `["max_lr=2e-4", "adaptive=off"]`, typed by the run's schema (`schema.of`) for keys it knows.

    Values that do not have their parameter's type stay text, for `check_changes` to report. Raises Refused if there is
    no `=`, no key, or one key with two values.
    """
    values: dict[str, Any] = {}
    known = schema.of(run_config).parameters
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        key = key.strip()
        if not equals or not key:
            raise messages.NOT_AN_ASSIGNMENT(text=show(assignment))
        value = _parse(known.get(key), text)
        if key in values and not same(values[key], value):
            raise messages.SET_TWICE(
                key=key, first=show(public_value(key, values[key])), second=show(public_value(key, value))
            )
        values[key] = value
    return values


def _parse(parameter: schema.Parameter | None, text: str) -> Any:
    if parameter is None:
        return _guess(text)
    bare = text.strip()
    if parameter.nullable and bare.lower() in ("null", "none"):
        return None
    if parameter.type == "boolean":
        return {**_WORDS, "1": True, "0": False}.get(bare.lower(), text)
    if parameter.type == "string":
        return text
    if parameter.type == "choice":
        return next((choice for choice in parameter.choices if str(choice) == bare), text)
    return _number(bare, text)


def _number(bare: str, otherwise: str) -> int | float | str:
    try:
        return read_number(bare)
    except ValueError:
        return otherwise


def _guess(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _WORDS.get(text.strip().lower(), text)


def same(a: Any, b: Any) -> bool:
    """Whether two values are equal: 300 and 300.0 are, 1 and true are not, and NaN equals nothing."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    return bool(a == b)


def diff(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """The changes from one config to another, in the order of the new one. A key missing from one counts as None."""
    keys = list(new) + [key for key in old if key not in new]
    changes = [Change(key, old.get(key), new.get(key)) for key in keys]
    return [change for change in changes if not same(change.old, change.new)]


def merge(
    base: Mapping[str, Any], saved: Mapping[str, Any], current: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Three-way merge of a saved file: returns the edit, and the keys in conflict.

    The edit consists of the changes from `base` to `saved` that are not in force yet. A key that `current` also
    changed, to another value, is in conflict and not in the edit. A key missing from `saved` is unchanged. None of the
    three contains the revision.
    """
    changes: dict[str, Any] = {}
    conflicts: list[str] = []
    for key, value in saved.items():
        if key in base and same(value, base[key]):
            continue
        if key in current and same(value, current[key]):
            continue
        if key in current and (key not in base or not same(current[key], base[key])):
            conflicts.append(key)
        else:
            changes[key] = value
    return changes, conflicts


def warnings(
    live: Mapping[str, Any], changes: Mapping[str, Any], run_config: Mapping[str, Any] | None = None
) -> list[RemarkDocument]:
    """Warnings about allowed but notable changes. Expects an edit that `check_changes` accepts."""
    merged = {**live, **changes}
    found: list[RemarkDocument] = []
    for key, new in changes.items():
        parameter, old = schema.parameter(key, run_config), live.get(key)
        if parameter is None or old is None:
            continue
        if same(old, new):
            found.append(messages.ALREADY.filled(key=key, value=show(old)))
        elif parameter.scale == "log":
            found += _big_step(key, new / old)
    found += _uneven_weights(merged, changes, run_config)
    longer = "max_steps" in changes and not same(live.get("max_steps"), changes["max_steps"])
    if longer and _follows_max_steps(run_config or {}):
        found.append(messages.SCHEDULE_CHANGES.filled())
    return found


def _follows_max_steps(run_config: Mapping[str, Any]) -> bool:
    """Whether the run's schedule depends on max_steps: not if it is constant, or falls at given steps only."""
    name = run_config.get("lr_schedule")
    if name == "multi_step":
        return any(value <= 1 for value in read_numbers(run_config["lr_milestones"]))
    return name != "constant"


def _big_step(key: str, factor: float) -> list[RemarkDocument]:
    if factor > _BIG_STEP:
        return [messages.MUCH_HIGHER.filled(key=key, factor=f"{factor:.3g}")]
    if factor < 1 / _BIG_STEP:
        return [messages.MUCH_LOWER.filled(key=key, factor=f"{1 / factor:.3g}")]
    return []


def _uneven_weights(
    merged: Mapping[str, Any], changes: Mapping[str, Any], run_config: Mapping[str, Any] | None
) -> list[RemarkDocument]:
    """A warning for each rule on a sum that the edit affects, if the sum is allowed but not 1."""
    found = []
    for rule in schema.of(run_config).rules(schema.LIVE_SCHEMA):
        keys = rule["keys"]
        if rule["rule"] == "sum" and any(key in changes for key in keys) and all(key in merged for key in keys):
            total = round(math.fsum(merged[key] for key in keys), 9)
            if total != 1:
                found.append(messages.UNEVEN_SUM.filled(name=rule["name"], total=total))
    return found
