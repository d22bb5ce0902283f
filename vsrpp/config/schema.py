"""The schemas' contents as plain values: every parameter with its tier, range, defaults and description.

The files under `schemas/` are the only definition of a parameter of ours. A run with plug-ins has more: what they declare
stands, as data, in its run config (`plugins`), and `of(run_config)` is the schema of that run. Nothing is imported for it.
Values are checked in `check`, which imports `jsonschema` (0.15 s) and is therefore loaded only when needed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from typing import Any

from vsrpp import paths
from vsrpp.config import declared
from vsrpp.errors import VsrppError

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
    """`title`, `description` and `unit` in German (`x-de`)."""
    german_group: str = ""
    """The group in German (the schema's `x-groups-de`)."""

    def title_in(self, language: str) -> str:
        return self.german.get("title", self.title) if language == "de" else self.title

    def description_in(self, language: str) -> str:
        return self.german.get("description", self.description) if language == "de" else self.description

    def unit_in(self, language: str) -> str:
        return self.german.get("unit", self.unit) if language == "de" else self.unit

    def group_in(self, language: str) -> str:
        return self.german_group or self.group if language == "de" else self.group

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


@dataclass(frozen=True, slots=True, kw_only=True)
class LossTerm:
    """One term of the loss, as described at its weight (`x-term`)."""

    name: str
    """`l1`: what `loss/l1`, `weight/l1` and `share/l1` are called after."""
    key: str
    """The live parameter that weights it: `l1_weight`."""
    label: str
    colour: str
    """`#rrggbb`."""
    function: str
    """MODULE:NAME of ours; the name of what a plug-in provides."""
    weights_file: str | None = None
    """The run config key of the weight file it needs; the term is an object made of that file."""
    plugin: bool = False
    german: str | None = None

    def label_in(self, language: str) -> str:
        return self.german if language == "de" and self.german else self.label


@cache
def load(name: str) -> dict[str, Any]:
    """A schema by its file name. Shared by all callers and must not be modified."""
    schema: dict[str, Any] = json.loads(paths.schema_file(name).read_text(encoding="utf-8"))
    return _with_term_keys(schema)


def _with_term_keys(schema: dict[str, Any]) -> dict[str, Any]:
    """With the keys of all loss weights in the rules that say `x-term` instead of a list of keys."""
    if "x-rules" not in schema:
        return schema
    keys = [key for key, description in schema["properties"].items() if "x-term" in description]
    rules = [{**rule, "keys": keys} if rule["keys"] == "x-term" else rule for rule in schema["x-rules"]]
    return {**schema, "x-rules": rules}


class Schema:
    """The parameters, rules and loss terms of one run: ours, and those of its plug-ins."""

    def __init__(self, plugins: Sequence[Mapping[str, Any]] = ()) -> None:
        """Raises Refused for a record of plug-ins that is not valid."""
        self.plugins = declared.read(plugins, own_keys() if plugins else ())

    @cached_property
    def files(self) -> dict[str, dict[str, Any]]:
        """The JSON Schemas by file name."""
        if not self.plugins:
            return {name: load(name) for name in CONFIG_SCHEMAS}
        files = {name: json.loads(paths.schema_file(name).read_text(encoding="utf-8")) for name in CONFIG_SCHEMAS}
        live, run = (files[name]["properties"] for name in CONFIG_SCHEMAS)
        menu = 1 + max(description.get("x-menu", 0) for description in live.values())
        for key, entry in declared.properties(self.plugins, presets()).items():
            if entry["x-tier"] in LIVE_TIERS:
                live[key] = {**entry, "x-menu": menu}
                menu += 1
            else:
                run[key] = entry
        of_sources = files[RUN_SCHEMA]["$defs"]["source"]["properties"]
        for description in (*run.values(), *of_sources.values()):
            names = declared.names(self.plugins, description.get("x-plugin"))
            if names:
                description["enum"] = [*description["enum"], *names]
        return {name: _with_term_keys(file) for name, file in files.items()}

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """All parameters by key: the live ones in menu order, then those fixed at the start."""
        known = [
            _read(key, description, file["x-groups-de"])
            for file in self.files.values()
            for key, description in file["properties"].items()
            if "x-tier" in description  # not the revision in runtime_config.json
        ]
        known.sort(key=lambda parameter: (not parameter.live, parameter.menu or 0))
        return {parameter.key: parameter for parameter in known}

    @cached_property
    def live(self) -> dict[str, Parameter]:
        """The parameters that can change during training, in menu order."""
        return {key: parameter for key, parameter in self.parameters.items() if parameter.live}

    @cached_property
    def startup(self) -> dict[str, Parameter]:
        """The parameters that are fixed when a run starts."""
        return {key: parameter for key, parameter in self.parameters.items() if not parameter.live}

    @cached_property
    def terms(self) -> tuple[LossTerm, ...]:
        """The terms of the loss, in menu order."""
        return tuple(
            _term(key, description)
            for key, description in self.files[LIVE_SCHEMA]["properties"].items()
            if "x-term" in description
        )

    def rules(self, name: str) -> list[Mapping[str, Any]]:
        """The rules over several keys of one of the two configs."""
        return list(self.files[name]["x-rules"])


@lru_cache(maxsize=64)
def _of(plugins: str) -> Schema:
    try:
        return Schema(json.loads(plugins))
    except VsrppError:
        return _OURS


_OURS = Schema()


def of(run_config: Mapping[str, Any] | None = None) -> Schema:
    """The schema of the run with this run config; without one, ours alone.

    Ours alone, too, if its record of plug-ins is not valid: pages and lists show such a run as far as they can. To start,
    resume or use one is refused where its plug-ins are loaded (`vsrpp.plugins.record`).
    """
    plugins = run_config.get("plugins") if run_config else None
    return _of(json.dumps(plugins, sort_keys=True, default=str)) if plugins else _OURS


def fault_of_plugins(run_config: Mapping[str, Any]) -> str:
    """Why a run's record of plug-ins is not valid, so that `of` leaves it out; empty if it is valid."""
    plugins = run_config.get("plugins")
    if not plugins or of(run_config).plugins:
        return ""
    try:
        Schema(plugins)
    except VsrppError as error:
        return str(error)
    return ""


@cache
def own_keys() -> frozenset[str]:
    """All keys of ours in the two configs, which no plug-in can declare."""
    return frozenset(key for name in CONFIG_SCHEMAS for key in load(name)["properties"]) | {"plugins", "live"}


def parameters(run_config: Mapping[str, Any] | None = None) -> dict[str, Parameter]:
    """All parameters by key: the live ones in menu order, then those fixed at the start."""
    return dict(of(run_config).parameters)


def live_parameters(run_config: Mapping[str, Any] | None = None) -> dict[str, Parameter]:
    """The parameters that can change during training, in menu order."""
    return dict(of(run_config).live)


def startup_parameters(run_config: Mapping[str, Any] | None = None) -> dict[str, Parameter]:
    """The parameters that are fixed when a run starts."""
    return dict(of(run_config).startup)


def parameter(key: str, run_config: Mapping[str, Any] | None = None) -> Parameter | None:
    """One parameter, or None for an unknown name."""
    return of(run_config).parameters.get(key)


def loss_terms(run_config: Mapping[str, Any] | None = None) -> tuple[LossTerm, ...]:
    """The terms of the loss, in menu order."""
    return of(run_config).terms


def presets() -> tuple[str, ...]:
    """The names of the presets."""
    return tuple(load(RUN_SCHEMA)["properties"]["preset"]["enum"])


def plugin_keys() -> dict[str, str]:
    """The startup keys whose choices a plug-in can extend by what they name -> its kind: `network` -> `network`."""
    properties = load(RUN_SCHEMA)["properties"]
    kinds = {key: entry["x-plugin"] for key, entry in properties.items() if "x-plugin" in entry}
    return {key: kind for key, kind in kinds.items() if kind not in declared.ACTIVE}


def best_keys(run_config: Mapping[str, Any] | None = None) -> tuple[str, ...]:
    """The validation metrics that can rank checkpoints."""
    return tuple(of(run_config).files[RUN_SCHEMA]["properties"]["keep_best_by"]["enum"])


def lower_is_better(run_config: Mapping[str, Any] | None = None) -> frozenset[str]:
    """Those of `best_keys` where lower is better."""
    ours = load(RUN_SCHEMA)["properties"]["keep_best_by"]["x-lower-is-better"]
    return frozenset(ours) | declared.lower_is_better(of(run_config).plugins)


def default_preset() -> str:
    """The preset used by default."""
    return load(RUN_SCHEMA)["properties"]["preset"]["default"]


def defaults(preset: str, run_config: Mapping[str, Any] | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The run config and the live config of a preset. Raises KeyError for an unknown preset."""
    schema = of(run_config)
    startup = {key: parameter.default_for(preset) for key, parameter in schema.startup.items()}
    return startup, {key: parameter.default_for(preset) for key, parameter in schema.live.items()}


def preset_values(preset: str) -> dict[str, Any]:
    """The values that make a preset: those in which presets differ. Raises KeyError for an unknown preset."""
    own = _OURS.parameters.values()
    return {
        one.key: one.default_for(preset) for one in own if any(each != one.default for each in one.presets.values())
    }


def _term(key: str, description: Mapping[str, Any]) -> LossTerm:
    term = description["x-term"]
    return LossTerm(
        name=key.removesuffix("_weight"), key=key, label=term["label"], colour=term["colour"],
        function=term["function"], weights_file=term.get("weights-file"), plugin=bool(term.get("plugin")),
        german=term.get("label-de"),
    )  # fmt: skip


def _read(key: str, description: Mapping[str, Any], german_groups: Mapping[str, str]) -> Parameter:
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
        german_group=german_groups.get(description["x-group"], ""),
    )
