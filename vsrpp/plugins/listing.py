"""What can be chosen here: what VSR++ brings, what installed distributions offer, and what a person names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from vsrpp.config import declared, schema
from vsrpp.errors import VsrppError
from vsrpp.plugins import naming

OURS = "vsrpp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One thing that a run can use."""

    name: str
    """As a config names it."""
    kind: str
    source: str
    """`vsrpp`, a file, or `NAME VERSION` of a distribution."""
    sha256: str | None = None
    """Of a plug-in's source."""
    parameters: tuple[Mapping[str, Any], ...] = ()
    """Its keys, each with `key`, `type`, `default`, `minimum`, `maximum`, `choices`, `unit`, `tier`, `description`."""
    description: str = ""
    error: str | None = None
    """Why it cannot be used; None if it can."""

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "parameters": [dict(one) for one in self.parameters]}


def offers(names: Sequence[str], folders: Sequence[Path]) -> list[Offer]:
    """Everything, by kind: ours, then that of distributions, then what `names` name (files are looked for in `folders`).

    Imports the plug-ins. One of a distribution that cannot be imported has an `error`; Refused or NotFound is raised only
    for one that is named.
    """
    found = [*ours(), *(_installed(kind, entry) for kind, entry in naming.installed())]
    for text in names:
        found += _named(text, folders)
    return sorted(found, key=lambda offer: declared.KINDS.index(offer.kind))


def ours() -> list[Offer]:
    """What VSR++ brings, as the schemas list it."""
    found = [
        Offer(
            name=term.name, kind="loss", source=OURS, parameters=(_of_schema(term.key),),
            description=schema.parameters()[term.key].description,
        )
        for term in schema.loss_terms()
    ]  # fmt: skip
    for entry in schema.load(schema.RUN_SCHEMA)["properties"].values():
        kind = entry.get("x-plugin")
        found += (
            [Offer(name=name.removeprefix("val/"), kind=kind, source=OURS) for name in entry["enum"]] if kind else []
        )
    return found


def _installed(kind: str, entry: metadata.EntryPoint) -> Offer:
    source = f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else entry.module
    try:
        provided, sha256 = naming.offered(kind, entry)
    except VsrppError as error:
        return Offer(name=entry.name, kind=kind, source=source, error=str(error))
    return _of_entry(provided, source, sha256)


def _named(text: str, folders: Sequence[Path]) -> list[Offer]:
    record, everything = naming.described(naming.by_option(text), folders)
    source = record["distribution"] or (record["source"] if record["module"] else record["path"])
    return [_of_entry(provided, source, record["sha256"]) for provided in everything]


def _of_entry(provided: Mapping[str, Any], source: str, sha256: str) -> Offer:
    """Of an entry of `provides`, as the record of a run has it."""
    parameters = [_of_declared(key, about) for key, about in provided["parameters"].items()]
    if provided["kind"] == "loss":
        weight = {"type": "number", "default": provided["default"], "minimum": 0.0, "maximum": 1.0, "tier": "careful"}
        about = f"Weight of the loss term {provided['name']}."
        parameters.insert(0, _of_declared(f"{provided['name']}_weight", {**weight, "description": about}))
    return Offer(
        name=provided["name"], kind=provided["kind"], source=source, sha256=sha256, parameters=tuple(parameters),
        description=provided["description"],
    )  # fmt: skip


def _of_declared(key: str, about: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "key": key, "type": about["type"], "default": about["default"], "minimum": about.get("minimum"),
        "maximum": about.get("maximum"), "choices": list(about.get("choices", ())), "unit": about.get("unit", ""),
        "tier": about.get("tier", "startup"), "description": about.get("description", ""),
    }  # fmt: skip


def _of_schema(key: str) -> dict[str, Any]:
    parameter = schema.parameters()[key]
    return {
        "key": key, "type": parameter.type, "default": parameter.default, "minimum": parameter.minimum,
        "maximum": parameter.maximum, "choices": list(parameter.choices), "unit": parameter.unit, "tier": parameter.tier,
        "description": parameter.description,
    }  # fmt: skip
