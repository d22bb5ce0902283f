"""What the plug-ins of a run declare, as the run config records it: names, parameters, labels, colours. Nothing is imported.

`run_config["plugins"]` is a list of entries as `vsrpp.plugins` writes them. A record may come from anywhere, so that every
field is checked here before a schema or a page is made of it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vsrpp.config import messages
from vsrpp.errors import VsrppError

KINDS = ("network", "loss", "degradation", "schedule", "optimizer", "detector", "reader", "metric")
"""What a plug-in can provide."""
ACTIVE = frozenset({"loss", "metric", "reader"})
"""Kinds that take part because their plug-in is named; the others are chosen by the value of a key."""
TIERS = ("safe", "careful", "startup")
TYPES = ("number", "integer", "boolean", "string", "choice")
GROUP, GROUP_WEIGHTS = "Plug-ins", "Loss weights"
MAX_TEXT, MAX_NAME = 500, 60
MAX_ENTRIES = 200
"""Most plug-ins of a run, things that one provides, parameters of a thing, and choices of a parameter."""
MAX_PATH, MAX_PART = 1000, 200

KEY = re.compile(r"[a-z][a-z0-9_]{0,59}")
"""The form of the names that become keys: of parameters, loss terms and metrics."""
COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provided:
    """One thing that a plug-in provides."""

    kind: str
    """One of `KINDS`."""
    name: str
    """As a config names it: `extras.py:TinyNet`, the term `fft`, the short name of an entry point."""
    attribute: str
    """Its name in the plug-in's module."""
    label: str = ""
    colour: str = ""
    default: float = 0.0
    """The weight of a loss term in a run that does not set it."""
    lower_is_better: bool = False
    description: str = ""
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Key -> type, default, minimum, maximum, choices, unit, description, tier, title, scale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginRecord:
    """One plug-in of a run."""

    source: str
    """As it was named: `extras.py`, `mypkg.nets`."""
    module: str
    """The module to import: `mypkg.nets`; empty for a file."""
    path: str
    """The file it was imported from, where it was named."""
    sha256: str
    """Of its source: of the file's bytes, or of `NAME SHA256` lines if there are several."""
    distribution: str | None
    """`NAME VERSION` of the installed distribution that it belongs to."""
    files: Mapping[str, str]
    """Every file of the source, relative to its folder -> SHA-256."""
    provides: tuple[Provided, ...]


def read(plugins: object, taken: Collection[str] = ()) -> tuple[PluginRecord, ...]:
    """The entries of a run config's `plugins`. Raises Refused for one that is not valid, or declares a key in `taken`."""
    if not isinstance(plugins, Sequence) or isinstance(plugins, (str, bytes)) or len(plugins) > MAX_ENTRIES:
        raise messages.PLUGIN_RECORD(why=f"a list of at most {MAX_ENTRIES} is expected")
    records = tuple(_record(entry) for entry in plugins)
    known = set(taken)
    for provided in _all(records):
        weight = [f"{provided.name}_weight"] if provided.kind == "loss" else []
        for key in [*weight, *provided.parameters]:
            if key in known:
                raise messages.PLUGIN_RECORD(why=f"{key} is a name that VSR++ or another plug-in already uses")
            known.add(key)
    return records


def properties(plugins: Sequence[PluginRecord], presets: Collection[str]) -> dict[str, dict[str, Any]]:
    """The schema entries of all declared parameters, and of the weights of the loss terms."""
    entries: dict[str, dict[str, Any]] = {}
    for provided in _all(plugins):
        if provided.kind == "loss":
            entries[f"{provided.name}_weight"] = _weight(provided, presets)
        for key, declared in provided.parameters.items():
            entries[key] = _property(key, declared, presets)
    return entries


def names(plugins: Sequence[PluginRecord], kind: str | None) -> list[str]:
    """The names under which plug-ins provide things of a kind. For `metric`: the keys of the record."""
    prefix = "val/" if kind == "metric" else ""
    return [prefix + provided.name for provided in _all(plugins) if provided.kind == kind]


def lower_is_better(plugins: Sequence[PluginRecord]) -> frozenset[str]:
    """The keys of the metrics where lower is better."""
    return frozenset(f"val/{one.name}" for one in _all(plugins) if one.kind == "metric" and one.lower_is_better)


def find(plugins: Sequence[PluginRecord], kind: str, name: str) -> tuple[PluginRecord, Provided] | None:
    """The plug-in that provides a thing, and the thing; None if none does."""
    for record in plugins:
        for provided in record.provides:
            if (provided.kind, provided.name) == (kind, name):
                return record, provided
    return None


def in_short(plugins: object) -> str:
    """The plug-ins of a run config as one line of text: `extras.py 3f5a0c1d2e4b`."""
    try:
        return ", ".join(f"{record.source} {record.sha256[:12]}" for record in read(plugins))
    except VsrppError:
        return "?"


def _all(plugins: Sequence[PluginRecord]) -> Iterator[Provided]:
    return (provided for record in plugins for provided in record.provides)


def _weight(provided: Provided, presets: Collection[str]) -> dict[str, Any]:
    about = provided.description or f"Weight of the loss term {provided.name}, which a plug-in provides."
    german = (
        {} if provided.description else {"description": f"Gewicht des Verlustterms {provided.name} aus einem Plug-in."}
    )
    return {
        "title": f"{provided.label} weight", "type": "number", "minimum": 0, "maximum": 1, "description": about,
        "x-de": {"title": f"Gewicht {provided.label}", **german}, "x-tier": "careful", "x-scale": "linear",
        "x-group": GROUP_WEIGHTS, "x-presets": dict.fromkeys(presets, provided.default),
        "x-term": {"label": provided.label, "colour": provided.colour, "function": provided.name, "plugin": True},
    }  # fmt: skip


def _property(key: str, declared: Mapping[str, Any], presets: Collection[str]) -> dict[str, Any]:
    kind = declared["type"]
    entry = {
        "title": declared.get("title") or key.replace("_", " ").capitalize(),
        "description": declared.get("description") or f"A parameter of a plug-in: {key}.",
        "x-tier": declared.get("tier", "startup"), "x-unit": declared.get("unit", ""),
        "x-scale": declared.get("scale", "linear"), "x-group": GROUP,
        "x-presets": dict.fromkeys(presets, declared["default"]),
    }  # fmt: skip
    if kind == "choice":
        return {**entry, "enum": list(declared["choices"]), "type": "string"}
    bounds = {bound: declared[bound] for bound in ("minimum", "maximum") if declared.get(bound) is not None}
    return {**entry, "type": kind, **bounds, **({"maxLength": MAX_TEXT} if kind == "string" else {})}


def _record(entry: object) -> PluginRecord:
    if not isinstance(entry, Mapping):
        raise messages.PLUGIN_RECORD(why="an entry is not an object")
    files, provides = entry.get("files"), entry.get("provides")
    sha256 = entry.get("sha256")
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise messages.PLUGIN_RECORD(why="an entry has no SHA-256")
    if not isinstance(files, Mapping) or not files or not isinstance(provides, (list, tuple)):
        raise messages.PLUGIN_RECORD(why="an entry does not say its files, or what it provides")
    if len(provides) > MAX_ENTRIES:
        raise messages.PLUGIN_RECORD(why=f"it provides more than {MAX_ENTRIES} things")
    for name, digest in files.items():
        if not is_relative(name) or not isinstance(digest, str) or not _SHA256.fullmatch(digest):
            raise messages.PLUGIN_RECORD(why="a file of the source has an impossible name or SHA-256")
    source, module = _text(entry, "source", required=True), _text(entry, "module")
    path, distribution = module.replace(".", "/"), entry.get("distribution")
    if not {f"{path}.py", f"{path}/__init__.py"} & set(files) if module else source not in files:
        raise messages.PLUGIN_RECORD(why="the file to import is not one of its files")
    return PluginRecord(
        source=source, module=module, path=_text(entry, "path", limit=4096), sha256=sha256, files=dict(files),
        distribution=None if distribution is None else _plain(str(distribution))[:MAX_TEXT],
        provides=tuple(_provided(one) for one in provides),
    )  # fmt: skip


def is_relative(name: object) -> bool:
    """Whether a name is that of a Python file below a folder, and cannot lead out of it."""
    if not isinstance(name, str) or not name.endswith(".py") or "\\" in name or "\0" in name:
        return False
    parts = name.split("/")
    short = len(name.encode(errors="replace")) <= MAX_PATH and all(
        len(part.encode(errors="replace")) <= MAX_PART for part in parts
    )
    return short and name.isprintable() and all(part not in ("", ".", "..") for part in parts)


def _provided(one: object) -> Provided:
    if not isinstance(one, Mapping) or one.get("kind") not in KINDS:
        raise messages.PLUGIN_RECORD(why="it provides something of an unknown kind")
    kind, name = one["kind"], _text(one, "name", required=True)
    colour = str(one.get("colour") or "") if kind == "loss" else ""
    if kind in ("loss", "metric") and not KEY.fullmatch(name):
        raise messages.PLUGIN_RECORD(why=f"the name of a {kind} is not made of lower-case letters, digits and _")
    if kind == "loss" and not COLOUR.fullmatch(colour):
        raise messages.PLUGIN_RECORD(why="a loss term has no colour of the form #rrggbb")
    default = one.get("default", 0.0)
    if isinstance(default, bool) or not isinstance(default, (int, float)) or not 0 <= default <= 1:
        raise messages.PLUGIN_RECORD(why="the default weight of a loss term is not between 0 and 1")
    parameters = one.get("parameters") or {}
    if not isinstance(parameters, Mapping) or len(parameters) > MAX_ENTRIES:
        raise messages.PLUGIN_RECORD(why=f"its parameters are not an object of at most {MAX_ENTRIES}")
    for key, declared in parameters.items():
        why = fault_of(key, declared)
        if why:
            raise messages.PLUGIN_RECORD(why=why)
    return Provided(
        kind=kind, name=name, attribute=_text(one, "attribute", required=True),
        label=_text(one, "label", limit=MAX_NAME) or name, colour=colour, default=float(default),
        lower_is_better=one.get("lower_is_better") is True, description=_text(one, "description"),
        parameters={key: _cleaned(declared) for key, declared in parameters.items()},
    )  # fmt: skip


def fault_of(key: object, declared: object) -> str:
    """Why the declaration of a parameter is not valid; empty if it is."""
    if not isinstance(key, str) or not KEY.fullmatch(key):
        return f"parameter {str(key)[:MAX_NAME]!r}: a name is made of lower-case letters, digits and _"
    if not isinstance(declared, Mapping) or declared.get("type") not in TYPES:
        return f"parameter {key}: the type must be one of {', '.join(TYPES)}"
    kind, default, choices = declared["type"], declared.get("default"), declared.get("choices")
    if declared.get("tier", "startup") not in TIERS or declared.get("scale", "linear") not in ("linear", "log"):
        return f"parameter {key}: the tier must be one of {', '.join(TIERS)}, the scale linear or log"
    for name, limit in (("title", MAX_NAME), ("unit", MAX_NAME), ("description", MAX_TEXT)):
        if not isinstance(declared.get(name, ""), str) or len(declared.get(name, "")) > limit:
            return f"parameter {key}: {name} must be text of at most {limit} characters"
    if kind == "choice":
        texts = choices if isinstance(choices, (list, tuple)) and len(choices) <= MAX_ENTRIES else ()
        if not texts or not all(_is_plain(choice) for choice in texts) or default not in texts:
            return f"parameter {key}: choices must be short texts, and the default one of them"
        return ""
    if kind == "boolean":
        return "" if isinstance(default, bool) else f"parameter {key}: the default must be true or false"
    if kind == "string":
        return (
            ""
            if _is_plain(default, MAX_TEXT) or default == ""
            else f"parameter {key}: the default must be a short text"
        )
    return _number_fault(key, declared)


def _number_fault(key: str, declared: Mapping[str, Any]) -> str:
    types = int if declared["type"] == "integer" else (int, float)
    bounds = [declared.get("minimum"), declared.get("default"), declared.get("maximum")]
    for value in bounds:
        if value is not None and (isinstance(value, bool) or not isinstance(value, types) or not _is_finite(value)):
            return f"parameter {key}: default, minimum and maximum must be finite numbers of its type"
    low, default, high = bounds
    if default is None or low is None or high is None or not low <= default <= high or low >= high:
        return f"parameter {key}: needs minimum <= default <= maximum"
    return ""


def _text(entry: Mapping[str, Any], name: str, *, required: bool = False, limit: int = MAX_TEXT) -> str:
    value = entry.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or (required and not value) or len(value) > limit:
        raise messages.PLUGIN_RECORD(why=f"{name} is not a text of at most {limit} characters")
    return _plain(value)


def _cleaned(declared: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter without the characters by which its texts could steer a terminal."""
    return {
        name: _plain(value) if name in ("title", "unit", "description") else value for name, value in declared.items()
    }


def _plain(text: str) -> str:
    """On one line, printable signs only."""
    return "".join(sign for sign in " ".join(text.split()) if sign.isprintable())


def _is_plain(text: object, limit: int = MAX_NAME) -> bool:
    return isinstance(text, str) and 0 < len(text) <= limit and text.isprintable()


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number too large for a float
        return False
