"""Validates by the schemas: JSON Schema draft 2020-12, plus finite numbers and rules over several keys (`x-rules`).

A rule lists its keys and is skipped if one of them is missing, so that a partial config can be checked, too. Importing
this module imports `jsonschema`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend

from vsrpp.config import messages, schema
from vsrpp.errors import Reason

Rule = Mapping[str, Any]
Values = Mapping[str, Any]


def is_number(value: object) -> bool:
    """A finite number, and not a boolean."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def is_integer(value: object) -> bool:
    """A whole number, including 300.0."""
    return is_number(value) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))


def _is_below(rule: Rule, values: Values) -> bool:
    low, high = rule["keys"]
    return values[low] < values[high]


def _sums_up(rule: Rule, values: Values) -> bool:
    total, tolerance = _total(rule, values), rule["tolerance"]
    return rule["minimum"] - tolerance <= total <= rule["maximum"] + tolerance


def _is_multiple(rule: Rule, values: Values) -> bool:
    product, factor = rule["keys"]
    return values[product] % values[factor] == 0


def _has_what_it_needs(rule: Rule, values: Values) -> bool:
    key, needed = rule["keys"]
    return not values[key] or values[needed] is not None


RULES = {"below": _is_below, "sum": _sums_up, "multiple": _is_multiple, "needs": _has_what_it_needs}
"""Checks for `x-rules` entries, by their `rule`: whether values satisfy it."""


def explain(rule: Rule, values: Values, key: str) -> tuple[Reason, dict[str, Any]]:
    """Why the values violate a rule, seen from `key`, which was set: the reason and its fields."""
    if rule["rule"] == "sum":
        total = round(_total(rule, values), 9)
        bounds = {"minimum": rule["minimum"], "maximum": rule["maximum"]}
        return messages.SUM, {"name": rule["name"], "total": total, **bounds}
    first, second = rule["keys"]
    other = second if key == first else first
    reason = {
        "below": (messages.BELOW, messages.ABOVE),
        "multiple": (messages.MULTIPLE, messages.DIVIDES),
        "needs": (messages.NEEDS_OTHER, messages.NEEDED_BY),
    }[rule["rule"]][0 if key == first else 1]
    value_text = "" if values[other] is None else f" ({values[other]})"
    return reason, {"other": f"{other}{value_text}"}


def _total(rule: Rule, values: Values) -> float:
    return math.fsum(values[key] for key in rule["keys"])


def _x_rules(
    validator: Validator, rules: list[Rule], instance: object, _schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    if not isinstance(instance, Mapping):
        return
    for rule in rules:
        keys = rule["keys"]
        if all(key in instance for key in keys) and not RULES[rule["rule"]](rule, instance):
            reason, fields = explain(rule, instance, keys[0])
            yield ValidationError(reason.sentence(**fields), validator="x-rules", validator_value=rule)


ConfigValidator = extend(
    Draft202012Validator,
    validators={"x-rules": _x_rules},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"number": lambda _, value: is_number(value), "integer": lambda _, value: is_integer(value)}
    ),
)


@lru_cache(maxsize=128)
def of_values(ours: schema.Schema, name: str) -> Validator:
    """Validates each value of one of a run's configs separately."""
    return ConfigValidator({keyword: rule for keyword, rule in ours.files[name].items() if keyword != "x-rules"})


@lru_cache(maxsize=128)
def of_rules(ours: schema.Schema, name: str) -> Validator:
    """Validates only the rules over several keys."""
    return ConfigValidator({"x-rules": ours.rules(name)})
