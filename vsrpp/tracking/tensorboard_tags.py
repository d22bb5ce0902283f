"""Maps metric keys of the record to TensorBoard tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vsrpp.config.schema import loss_terms

EXACT = {
    "plateau/counter": "Plateau/Counter",
    "plateau/ema_loss": "Plateau/EMA_Loss",
    "plateau/best_quality": "Plateau/Best_Quality",
    "plateau/progress_percent": "Plateau/Progress_Percent",
    "plateau/progress": "Plateau/Progress_Percent",
}
FROM_EVENTS = frozenset({"events/config_change", "events/validation", "events/validation_run", "events/timeline"})
"""Markers that are written from the events; as scalars, two of them would have the tag of a text."""
CONFIG_CHANGES, CONFIG_PARAMETERS, INITIAL = "Config/Changes", "Config/Parameters/", "Config/Initial_Configuration"
CONFIG_CHANGE, VALIDATION_RUN = "Events/Config_Change", "Events/Validation_Run"
VALIDATION, TIMELINE = "Events/Validation", "Events/Timeline"
DISTRIBUTION, WEIGHT_SUM = "Weights/Distribution", "Weights/Sum"
STEP_PERCENT, REMAINING = "Progress/Step_Percent", "Progress/Remaining_s"
SPEEDS = {
    "speed/steps_per_s": "Progress/Steps_per_s", "speed/frames_per_s": "Progress/Frames_per_s",
}  # fmt: skip
"""Metrics that also appear under Progress, for the run's pace."""


def scalar_tag(key: str) -> str | None:
    """The tag of a metric key; None if it is not written as a scalar."""
    if key in FROM_EVENTS:
        return None
    if key in EXACT:
        return EXACT[key]
    group, _, name = key.partition("/")
    if group == "config":
        return CONFIG_PARAMETERS + name
    if group in ("plateau", "events", "activity", "progress"):
        return f"{group.capitalize()}/{_titled(name)}" if group != "activity" else f"Activity/{name}"
    return key


def percent_tags(run_config: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Loss term -> the tag of its part of the weights, named by the term's label: `Weights/Distribution/L1_percent`.

    In labels of plug-ins, other signs than letters, digits, `.`, `-` and `_` become `_`; a label that is taken is followed by
    the term's name.
    """
    labels: dict[str, str] = {}
    for term in loss_terms(run_config):
        label = "".join(sign if sign.isalnum() or sign in ".-_" else "_" for sign in term.label)
        labels[term.name] = f"{label}_{term.name}" if label in labels.values() else label
    return {name: f"{DISTRIBUTION}/{label}_percent" for name, label in labels.items()}


def percent_tag(term: str) -> str:
    """The tag of a term that the run's config does not declare."""
    return f"{DISTRIBUTION}/{term.capitalize()}_percent"


def _titled(name: str) -> str:
    return "_".join(word[:1].upper() + word[1:] for word in name.split("_"))
