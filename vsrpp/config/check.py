"""Checks whether a config or an edit is valid; explains why not, in the words of the person who made it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from vsrpp.config import declared, messages, schema
from vsrpp.config.problem import Problem
from vsrpp.config.text import one_of
from vsrpp.errors import Reason

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

MAX_KEYS = 200
"""Maximum keys in one edit; more than there are parameters."""
_LONGEST_NAME = 100
_DEEPEST = 3
"""Maximum levels below a parameter with parts: `data`, its lists, their sources."""
_A_TYPE = {
    "number": "a finite number",
    "integer": "a whole number",
    "boolean": "true or false",
    "string": "text",
    "object": "an object",
    "array": "a list",
    "null": "null",
}
_NOT_A = {str: "text", list: "a list", tuple: "a list", dict: "an object", type(None): "null"}


def check_live(live: Mapping[str, Any], run_config: Mapping[str, Any] | None = None) -> list[Problem]:
    """The problems of a complete live config; an empty list if it is valid.

    Without `run_config`, rules that involve it are skipped.
    """
    return _check_whole(schema.of(run_config), schema.LIVE_SCHEMA, live, run_config)


def check_run(run_config: Mapping[str, Any]) -> list[Problem]:
    """The problems of a complete run config; an empty list if it is valid. Raises Refused for an invalid plug-in record."""
    return _check_whole(schema.of(run_config), schema.RUN_SCHEMA, run_config, None)


def check_changes(
    live: Mapping[str, Any], changes: object, run_config: Mapping[str, Any] | None = None
) -> list[Problem]:
    """All problems of an edit to the live config in force, in the order of the edit's keys.

    Checks each value, then the rules over several keys on the resulting config. Without `run_config`, rules that
    involve it are skipped. Never raises, whatever `changes` is.
    """
    if not isinstance(changes, Mapping):
        return [Problem.of("", changes, messages.EDIT_NOT_OBJECT)]
    if len(changes) > MAX_KEYS:  # computing hints for thousands of names would delay training by minutes
        return [Problem.of("", None, messages.TOO_MANY_KEYS, count=len(changes), limit=MAX_KEYS)]
    ours = schema.of(run_config)
    problems = _check_values(ours, schema.LIVE_SCHEMA, changes)
    merged = {**(run_config or {}), **live, **changes}
    for rule in _broken_rules(ours, schema.LIVE_SCHEMA, merged, problems):
        if any(key in changes for key in rule["keys"]):
            problems.append(_blame(rule, merged, changes))
    return _in_order(problems, changes)


def check_start(
    run_config: Mapping[str, Any], live: Mapping[str, Any], set_by_person: Collection[str]
) -> list[Problem]:
    """The problems of the two configs of a new run.

    A violated rule is reported at a key in `set_by_person` rather than at one with its default.
    """
    ours, problems = schema.of(run_config), []
    for name, values in ((schema.RUN_SCHEMA, run_config), (schema.LIVE_SCHEMA, live)):
        problems += _missing(ours, name, values) + _check_values(ours, name, values)
    merged = {**run_config, **live}
    broken = [rule for name in schema.CONFIG_SCHEMAS for rule in _broken_rules(ours, name, merged, problems)]
    return problems + [_blame(rule, merged, set_by_person) for rule in broken]


def check_known(values: Mapping[str, Any]) -> list[Problem]:
    """The problems of those of `values` that are parameters of ours, before a plug-in is imported that may add others.

    A choice that a plug-in can extend is not judged if it has another value.
    """
    ours = schema.of()
    problems: list[Problem] = []
    for name in schema.CONFIG_SCHEMAS:
        properties = ours.files[name]["properties"]
        known = {
            key: value
            for key, value in values.items()
            if key in properties and not ("x-plugin" in properties[key] and isinstance(value, str))
        }
        problems += _check_values(ours, name, known)
    return problems


def normalise(values: Mapping[str, Any], run_config: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Convert values to their parameters' types: 300.0 becomes 300 for an integer, 1 becomes 1.0 for a number.

    Other values are returned unchanged, so that only checked values are certain to have the right type.
    """
    known = schema.of(run_config).parameters
    return {key: _normal(known.get(key) if isinstance(key, str) else None, value) for key, value in values.items()}


def unknown(key: str, value: Any, candidates: Collection[str], *, place: str = "") -> Problem:
    """The problem of an unknown name, with the nearest of `candidates`; `place`: the parent of a nested key."""
    import difflib  # 7 ms, only for typos

    from vsrpp.config.aliases import alias_of

    alias = alias_of(key[:_LONGEST_NAME], candidates)
    if alias is not None:
        return Problem.of(place or key, value, messages.UNKNOWN_NEAR, nearest=alias)
    near = difflib.get_close_matches(key[:_LONGEST_NAME].lower(), candidates, n=1, cutoff=0.6)
    if near:
        return Problem.of(place or key, value, messages.UNKNOWN_NEAR, nearest=near[0])
    return Problem.of(place or key, value, messages.UNKNOWN)


def _normal(parameter: schema.Parameter | None, value: Any) -> Any:
    if parameter is None or isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    whole = parameter.type == "integer" or (parameter.type == "choice" and isinstance(parameter.choices[0], int))
    if whole and isinstance(value, float) and value.is_integer():
        return int(value)
    if parameter.type == "number" and isinstance(value, int):
        try:
            return float(value)
        except OverflowError:
            return value
    return value


def _check_whole(ours: schema.Schema, name: str, config: Any, run_config: Mapping[str, Any] | None) -> list[Problem]:
    if not isinstance(config, Mapping):
        return [Problem.of("", config, messages.CONFIG_NOT_OBJECT)]
    problems = _missing(ours, name, config) + _check_values(ours, name, config)
    merged = {**(run_config or {}), **config}
    return problems + [_blame(rule, merged, config) for rule in _broken_rules(ours, name, merged, problems)]


def _missing(ours: schema.Schema, name: str, config: Mapping[str, Any]) -> list[Problem]:
    required = ours.live if name == schema.LIVE_SCHEMA else ours.startup
    return [Problem.of(key, None, messages.MISSING) for key in required if key not in config]


def _check_values(ours: schema.Schema, name: str, values: Mapping[str, Any]) -> list[Problem]:
    """Check each value: unknown, wrong tier, wrong type, out of range."""
    from vsrpp.config import validator

    properties = ours.files[name]["properties"]
    problems = [
        _not_here(ours, name, key, value)
        for key, value in values.items()
        if key not in properties or properties[key].get("readOnly")
    ]
    reported = {problem.key for problem in problems}
    known = {
        key: _outline(value, _DEEPEST if "properties" in properties[key] else 0)
        for key, value in values.items()
        if key in properties and key not in reported
    }
    for error in validator.of_values(ours, name).iter_errors(known):
        key = str(error.path[0])
        if key not in reported:
            reported.add(key)
            problems.append(_problem(error, values, properties))
    return _in_order(problems, values)


def _broken_rules(
    ours: schema.Schema, name: str, merged: Mapping[str, Any], problems: Collection[Problem]
) -> list[Mapping[str, Any]]:
    """The violated rules over several keys, except those that involve a value refused already."""
    from vsrpp.config import validator

    bad = {problem.key for problem in problems}
    sound = {key: value for key, value in merged.items() if key not in bad}
    return [error.validator_value for error in validator.of_rules(ours, name).iter_errors(sound)]  # type: ignore[misc]


def _blame(rule: Mapping[str, Any], merged: Mapping[str, Any], set_keys: Collection[str]) -> Problem:
    """The problem of a violated rule, reported at the first of `set_keys` that the rule involves."""
    from vsrpp.config import validator

    key: str = next((key for key in set_keys if key in rule["keys"]), rule["keys"][0])
    reason, fields = validator.explain(rule, merged, key)
    return Problem.of(key, merged[key], reason, **fields)


def _not_here(ours: schema.Schema, name: str, key: object, value: Any) -> Problem:
    """The problem of a key that this config does not accept."""
    if not isinstance(key, str):
        return Problem.of(str(key), value, messages.NAME_NOT_TEXT)
    if not key:
        return Problem.of(key, value, messages.NAME_EMPTY)
    if key == "revision":
        return Problem.of(key, value, messages.REVISION_KEY)
    if name == schema.LIVE_SCHEMA and (key in ours.startup or key == "plugins"):
        return Problem.of(key, value, messages.STARTUP)
    return unknown(key, value, list(ours.parameters if name == schema.LIVE_SCHEMA else ours.startup))


def _problem(error: ValidationError, values: Mapping[str, Any], properties: Mapping[str, Any]) -> Problem:
    """The problem of a refused value, or of a part of one: `data.train[0].weight`."""
    key = str(error.path[0])
    if len(error.path) == 1 and error.validator not in ("additionalProperties", "required"):
        reason, fields = _why(error, properties[key])
        return Problem.of(key, values[key], reason, **fields)
    place = key + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in list(error.path)[1:])
    description: Mapping[str, Any] = error.schema if isinstance(error.schema, Mapping) else {}
    given: Any = error.instance
    if error.validator == "additionalProperties":
        name = next(name for name in given if name not in description["properties"])
        return unknown(str(name), given[name], list(description["properties"]), place=f"{place}.{name}")
    if error.validator == "required":
        name = next(name for name in description["required"] if name not in given)
        return Problem.of(f"{place}.{name}", None, messages.MISSING)
    reason, fields = _why(error, description)
    return Problem.of(place, given, reason, **fields)


def _outline(value: Any, depth: int = 0) -> Any:
    """The value with lists and objects emptied below `depth`, because deep nesting must not reach the validator."""
    if isinstance(value, Mapping):
        return {key: _outline(item, depth - 1) for key, item in value.items()} if depth else {}
    if isinstance(value, (list, tuple)):
        return [_outline(item, depth - 1) for item in value] if depth else []
    return value


def _why(error: ValidationError, description: Mapping[str, Any]) -> tuple[Reason, dict[str, Any]]:
    """The reason for a refused value, with its fields. `description` is the schema entry of its key."""
    match error.validator:
        case "type":
            return _wrong_type(error.instance, description)
        case "minimum" | "maximum":
            if "maximum" not in description:
                return messages.MINIMUM, {"minimum": description["minimum"]}
            return messages.RANGE, {"minimum": description["minimum"], "maximum": description["maximum"]}
        case "enum" if description.get("x-plugin") in declared.KINDS and description["x-plugin"] not in declared.ACTIVE:
            return messages.CHOICE_OR_PLUGIN, {"choices": one_of(description["enum"])}
        case "enum":
            return messages.CHOICE, {"choices": one_of(description["enum"])}
        case "minLength" | "minItems":
            return messages.EMPTY, {}
        case "pattern":
            return messages.FORM, {"form": str(description.get("x-form", error.message))}
        case "maxLength":
            return messages.TOO_LONG, {"limit": description["maxLength"]}
        case _:
            return messages.FORM, {"form": error.message}


def _wrong_type(value: object, description: Mapping[str, Any]) -> tuple[Reason, dict[str, Any]]:
    types: list[str] = description["type"] if isinstance(description["type"], list) else [description["type"]]
    expected = one_of(description["enum"]) if "enum" in description else " or ".join(_A_TYPE[name] for name in types)
    given = _given(value, types)
    if given:
        return messages.TYPE_GIVEN, {"expected": expected, "given": given}
    return messages.TYPE, {"expected": expected}


def _given(value: object, types: Collection[str]) -> str:
    """What a value of the wrong type is instead; empty for a fraction instead of a whole number."""
    numeric = "number" in types or "integer" in types
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, (int, float)):
        return "" if numeric else "a number"
    if isinstance(value, str) and numeric and _reads_as_number(value):
        return "text (write it without quotes)"
    return _NOT_A.get(type(value), f"a {type(value).__name__}")


def _reads_as_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _in_order(problems: list[Problem], values: Mapping[str, Any]) -> list[Problem]:
    position = {str(key): place for place, key in enumerate(values)}
    return sorted(problems, key=lambda problem: position.get(problem.key, position.get(problem.key.split(".")[0], 0)))
