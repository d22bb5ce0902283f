"""The schemas' contents as plain values: every parameter with its tier, range, defaults and description.

The files under `schemas/` are the only definition of a parameter. Values are checked in `check`, which imports
`jsonschema` (0.15 s) and is therefore loaded only when needed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from vsrpp import paths

LIVE_SCHEMA = "runtime_config.schema.json"
RUN_SCHEMA = "run_config.schema.json"
EVENTS_SCHEMA = "events.schema.json"

CONFIG_SCHEMAS = (LIVE_SCHEMA, RUN_SCHEMA)
LIVE_TIERS = ("safe", "careful")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter, as described by its schema."""

    key: str
    title: str
    """A label for forms and menus."""
    tier: str
    """`safe` or `careful`: can change during training; `startup`: cannot."""
    type: str
    """`number`, `integer`, `boolean`, `string` or `choice`."""
    minimum: float | int | None
    maximum: float | int | None
    choices: tuple[Any, ...]
    """The values of a `choice`, otherwise empty."""
    nullable: bool
    """Whether null is allowed."""
    presets: Mapping[str, Any]
    """The default in each preset."""
    unit: str
    """Unit of the value, or an empty string."""
    description: str
    menu: int | None
    """Number in the terminal menu; None for startup parameters."""
    scale: str
    """`linear` or `log`: how a slider is scaled, and how values are written."""
    group: str
    lists_numbers: bool = False
    """Whether its text is a comma-separated list of numbers."""
    german: Mapping[str, str] = field(default_factory=dict)
    """`title`, `description` and `unit` in German (`x-de`), if available."""

    def title_in(self, language: str) -> str:
        return self.german.get("title", self.title) if language == "de" else self.title

    def description_in(self, language: str) -> str:
        return self.german.get("description", self.description) if language == "de" else self.description

    def unit_in(self, language: str) -> str:
        return self.german.get("unit", self.unit) if language == "de" else self.unit

    @property
    def live(self) -> bool:
        """Whether it can change during training."""
        return self.tier in LIVE_TIERS

    @property
    def default(self) -> Any:
        """The default in preset `base`, the field's usual network."""
        return self.presets["base"]

    def default_for(self, preset: str) -> Any:
        """The default in a preset. Raises KeyError for an unknown preset."""
        return self.presets[preset]


@cache
def load(name: str) -> dict[str, Any]:
    """A schema by its file name. Shared by all callers and must not be modified."""
    return json.loads(paths.schema_file(name).read_text(encoding="utf-8"))


def parameters() -> dict[str, Parameter]:
    """All parameters by key: the live ones in menu order, then those fixed at the start."""
    return dict(_parameters())


def live_parameters() -> dict[str, Parameter]:
    """The parameters that can change during training, in menu order."""
    return {key: parameter for key, parameter in _parameters().items() if parameter.live}


def startup_parameters() -> dict[str, Parameter]:
    """The parameters that are fixed when a run starts."""
    return {key: parameter for key, parameter in _parameters().items() if not parameter.live}


def parameter(key: str) -> Parameter | None:
    """One parameter, or None for an unknown name."""
    return _parameters().get(key)


def presets() -> tuple[str, ...]:
    """The names of the presets."""
    return tuple(load(RUN_SCHEMA)["properties"]["preset"]["enum"])


def best_keys() -> tuple[str, ...]:
    """The validation metrics that can rank checkpoints."""
    return tuple(load(RUN_SCHEMA)["properties"]["keep_best_by"]["enum"])


def lower_is_better() -> frozenset[str]:
    """Those of `best_keys` where lower is better."""
    return frozenset(load(RUN_SCHEMA)["properties"]["keep_best_by"]["x-lower-is-better"])


def default_preset() -> str:
    """The preset used by default."""
    return load(RUN_SCHEMA)["properties"]["preset"]["default"]


def defaults(preset: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The run config and the live config of a preset. Raises KeyError for an unknown preset."""
    run_config = {key: parameter.default_for(preset) for key, parameter in startup_parameters().items()}
    live_config = {key: parameter.default_for(preset) for key, parameter in live_parameters().items()}
    return run_config, live_config


@cache
def _parameters() -> dict[str, Parameter]:
    known = [
        _read(key, description)
        for name in CONFIG_SCHEMAS
        for key, description in load(name)["properties"].items()
        if "x-tier" in description  # not the revision in runtime_config.json
    ]
    known.sort(key=lambda parameter: (not parameter.live, parameter.menu or 0))
    return {parameter.key: parameter for parameter in known}


def _read(key: str, description: Mapping[str, Any]) -> Parameter:
    types = description["type"] if isinstance(description["type"], list) else [description["type"]]
    kind = next(name for name in types if name != "null")
    return Parameter(
        key=key,
        title=description["title"],
        tier=description["x-tier"],
        type="choice" if "enum" in description else kind,
        minimum=description.get("minimum"),
        maximum=description.get("maximum"),
        choices=tuple(description.get("enum", ())),
        nullable="null" in types,
        presets=description["x-presets"],
        unit=description.get("x-unit", ""),
        description=description["description"],
        menu=description.get("x-menu"),
        scale=description.get("x-scale", "linear"),
        group=description["x-group"],
        lists_numbers=description.get("x-list", False),
        german=description.get("x-de", {}),
    )
