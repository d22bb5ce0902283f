"""Maps metric keys of the record to TensorBoard tags."""

from __future__ import annotations

EXACT = {
    "plateau/counter": "Plateau/Counter",
    "plateau/ema_loss": "Plateau/EMA_Loss",
    "plateau/best_quality": "Plateau/Best_Quality",
    "plateau/progress_percent": "Plateau/Progress_Percent",
    "plateau/progress": "Plateau/Progress_Percent",
}
TERMS = {"l1": "L1", "ms": "MS", "grad": "Grad", "perceptual": "Perceptual"}
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


def percent_tag(term: str) -> str:
    return f"{DISTRIBUTION}/{TERMS.get(term, term.capitalize())}_percent"


def _titled(name: str) -> str:
    return "_".join(word[:1].upper() + word[1:] for word in name.split("_"))
