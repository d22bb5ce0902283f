"""The config form apart from its widgets: values to text and back, what was edited, what others changed meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vsrpp import config
from vsrpp.config.schema import loss_terms
from vsrpp.control import ConfigHistory
from vsrpp.control.narrate import narrate
from vsrpp.errors import VsrppError
from vsrpp.formats import whole

from .messages import Texts
from .views.config import shown_value

RunConfig = Mapping[str, Any] | None
"""Of the run that a form is for: it holds what the run's plug-ins declare."""


def keys(run_config: RunConfig = None) -> list[str]:
    """The live parameters in the order of the form: the safe tier, then the careful one, each in the schema's order.

    The weights of the loss terms stay together, ours before those of plug-ins.
    """
    parameters, weights = config.live_parameters(run_config), weight_keys(run_config)
    ordered: list[str] = []
    for tier in ("safe", "careful"):
        for key, parameter in parameters.items():
            if parameter.tier == tier and key not in ordered:
                ordered += weights if key in weights else [key]
    return ordered


def weight_keys(run_config: RunConfig = None) -> list[str]:
    """The live parameters that weight the terms of the loss."""
    return [term.key for term in loss_terms(run_config)]


def fixed_weights(run_config: Mapping[str, Any]) -> frozenset[str]:
    """The weights that stay 0: the run was started without the file that their terms need."""
    terms = loss_terms(run_config)
    return frozenset(term.key for term in terms if term.weights_file and run_config.get(term.weights_file) is None)


def to_widget(key: str, value: Any, run_config: RunConfig = None) -> Any:
    """A config value as its widget takes it: text for numbers, so that anything can be typed and judged."""
    if key in weight_keys(run_config) or isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, float):
        short = f"{value:.3g}"
        return _short(short if float(short) == value else repr(value))
    return str(value)


def _short(text: str) -> str:
    """1.5e-04 as 1.5e-4."""
    mantissa, e, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent)}" if e else text


def from_widget(key: str, raw: Any, run_config: RunConfig = None) -> Any:
    """What was typed, typed by the schema; text that is no such value stays text, to be refused with a reason."""
    if not isinstance(raw, str):
        return raw
    try:
        return config.parse_assignments([f"{key}={raw.strip()}"], run_config)[key]
    except VsrppError:
        return raw


def typed(values: Mapping[str, Any], run_config: RunConfig = None) -> dict[str, Any]:
    given = {key: from_widget(key, raw, run_config) for key, raw in values.items() if raw is not None}
    return config.normalise(given, run_config)


def edited(values: Mapping[str, Any], base: Mapping[str, Any], run_config: RunConfig = None) -> dict[str, Any]:
    """The keys whose typed value differs from the revision the form was filled with."""
    return {key: value for key, value in typed(values, run_config).items() if key not in base or value != base[key]}


@dataclass(frozen=True, slots=True)
class MergedForm:
    """The form after others changed the config: every value, and a sentence at each key that was touched."""

    values: dict[str, Any]
    notes: dict[str, str]


def merged(
    values: Mapping[str, Any], base_revision: int, history: ConfigHistory, t: Texts, run_config: RunConfig = None
) -> MergedForm:
    """Three-way: what others changed since `base_revision` comes into the form, what was edited here stays."""
    base = history.at(base_revision) or history.live
    edits = edited(values, base, run_config)
    merged_values, notes = {**history.live, **edits}, {}
    for key in history.live:
        event = history.last_change(key, after_revision=base_revision)
        if event is None or history.live[key] == base.get(key):
            continue
        conflict = key in edits and edits[key] != history.live[key]
        notes[key] = t(
            "stale_conflict" if conflict else "stale_merged",
            who=narrate(event).by(t), key=key, value=shown_value(key, history.live[key], t, run_config),
            step=whole(event.step), revision=event.revision,
        )  # fmt: skip
    return MergedForm(merged_values, notes)


def rebalanced(weights: Mapping[str, float], moved: str, *, fixed: frozenset[str] = frozenset()) -> dict[str, float]:
    """The weights after one was moved: the others keep their ratios and the sum becomes 1.

    Those in `fixed` stay; if all the others are 0 they share what is left. Values have three decimals.
    """
    others = [key for key in weights if key != moved and key not in fixed]
    remaining = max(0.0, 1.0 - min(1.0, weights[moved]) - sum(weights[key] for key in fixed if key != moved))
    total = sum(weights[key] for key in others)
    result = dict(weights)
    for key in others:
        share = weights[key] / total if total > 0 else 1 / len(others)
        result[key] = round(remaining * share, 3)
    if others:  # what rounding left over goes to the largest
        largest = max(others, key=lambda key: result[key])
        result[largest] = round(result[largest] + remaining - sum(result[key] for key in others), 3)
    return result


def label(parameter: config.Parameter, language: str) -> str:
    return parameter.title_in(language)
