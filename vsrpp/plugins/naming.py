"""From what a person names (`extras.py`, `mypkg.nets:MyNet`, a short name) to the record of a run's plug-ins."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from vsrpp.config import declared, schema
from vsrpp.plugins import messages, registry, source, trust
from vsrpp.plugins.declare import Declaration, declaration_of
from vsrpp.plugins.source import PluginSource

GROUPS = {kind: f"vsrpp.{kind}s" if kind != "loss" else "vsrpp.losses" for kind in declared.KINDS}
"""The entry-point group of each kind: `vsrpp.networks`, `vsrpp.losses`, `vsrpp.degradations`, …"""


LIVE_KINDS = frozenset({"network", "loss", "optimizer", "detector"})
"""Kinds whose parameters may be of tier safe or careful, i.e. edited while the run trains."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """One plug-in as a person named it."""

    text: str
    """As typed; the value of the key, if there is one."""
    place: str
    """A file (`extras.py`), or a module."""
    attribute: str = ""
    key: str = ""
    """The key whose value it is: `network`."""
    short: str = ""
    """The name of the entry point it was found by."""

    @property
    def is_file(self) -> bool:
        return self.place.endswith(".py")


def named_in(values: Mapping[str, Any]) -> list[Named]:
    """The plug-ins that the values of a config name, apart from its list of `plugins`."""
    found = []
    keys = schema.plugin_keys()
    set_values = [(key, values.get(key)) for key in keys]
    set_values += [("degradation", entry.get("degradation")) for entry in _sources(values.get("data"))]
    for key, value in dict.fromkeys(pair for pair in set_values if isinstance(pair[1], str)):
        kind, ours = keys[key], schema.load(schema.RUN_SCHEMA)["properties"][key]["enum"]
        if not isinstance(value, str) or value in ours:
            continue
        entry = _entry_point(value, (kind,))
        if ":" in value or value.endswith(".py"):
            place, _, attribute = value.rpartition(":") if ":" in value else (value, "", "")
            found.append(Named(text=value, place=place, attribute=attribute, key=key))
        elif entry is not None:
            found.append(Named(text=value, place=entry.module, attribute=entry.attr, key=key, short=value))
    return found


def _sources(data: object) -> list[Mapping[str, Any]]:
    """The entries of a data block."""
    lists = [data.get("train"), data.get("val")] if isinstance(data, Mapping) else []
    return [entry for entries in lists if isinstance(entries, list) for entry in entries if isinstance(entry, Mapping)]


def renamed(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The values of a config with what a person typed replaced by what the plug-ins provide it as."""
    keys, data = schema.plugin_keys(), values.get("data")
    new = {
        key: names.get(value, value) if key in keys and isinstance(value, str) else value
        for key, value in values.items()
    }
    if isinstance(data, Mapping):
        new["data"] = {
            part: [_renamed_source(entry, names) for entry in entries] if isinstance(entries, list) else entries
            for part, entries in data.items()
        }
    return new


def _renamed_source(entry: Any, names: Mapping[str, str]) -> Any:
    degradation = entry.get("degradation") if isinstance(entry, Mapping) else None
    return {**entry, "degradation": names.get(degradation, degradation)} if isinstance(degradation, str) else entry


def by_option(text: str) -> Named:
    """What `--plugin` names: a file, a module, or an entry point by its short name. Raises NotFound."""
    place, _, attribute = text.partition(":") if not text.endswith(".py") else (text, "", "")
    if place.endswith(".py"):
        return Named(text=text, place=place, attribute=attribute)
    entry = None if attribute else _entry_point(text, declared.KINDS)
    if entry is not None:
        return Named(text=text, place=entry.module, attribute=entry.attr, short=text)
    return Named(text=text, place=place, attribute=attribute)


def load(names: Sequence[Named], folders: Sequence[Path]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Import the named plug-ins; returns `plugins` of the run config, and for each value that named one
    what it is provided as: without the folder of its file, as in `extras.py:TinyNet`.

    `folders`: where files are looked for, in order. Remembers them as trusted. Raises NotFound or Refused, with the file and
    line where there is one.
    """
    records: dict[str, dict[str, Any]] = {}
    values: dict[str, str] = {}
    for one in names:
        found = find(one, folders)
        trust.remember(found.sha256, str(found.main))
        module = registry.load(found)
        record = records.setdefault(found.sha256, _record(found))
        provides = _provided(one, found, module)
        record["provides"] += [provided for provided in provides if provided not in record["provides"]]
        if one.key:
            values[one.text] = provides[0]["name"]
    taken = set(schema.own_keys())
    for sha256, record in records.items():
        loaded = registry.source_of(sha256)
        assert loaded is not None
        _check_names(record, loaded, taken)
    declared.read(list(records.values()))
    return list(records.values()), values


def find(one: Named, folders: Sequence[Path]) -> PluginSource:
    """The source of a named plug-in; imports nothing. Raises NotFound or Refused."""
    if one.is_file:
        path = Path(one.place).expanduser()
        looked = [path] if path.is_absolute() else [folder / path for folder in folders]
        file = next((place for place in looked if place.is_file()), None)
        if file is None:
            names = " and ".join(dict.fromkeys(str(place.parent) for place in looked))
            raise messages.NO_FILE(file=one.place, folders=names)
        return source.of_file(file)
    found = source.of_module(one.place, [Path.cwd()]) if one.place.replace(".", "").isidentifier() else None
    if found is None:
        raise messages.NO_MODULE(name=one.text)
    return found


def installed() -> Iterator[tuple[str, metadata.EntryPoint]]:
    """(kind, entry point) of everything that installed distributions offer."""
    everything = metadata.entry_points()
    for kind, group in GROUPS.items():
        for entry in sorted(everything.select(group=group), key=lambda entry: entry.name):
            yield kind, entry


def described(one: Named, folders: Sequence[Path]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The record of a plug-in that a person names, and all that it provides, used or not. Raises NotFound or Refused."""
    found = find(one, folders)
    trust.remember(found.sha256, str(found.main))
    module = registry.load(found)
    return _record(found), [_entry(found, *other) for other in _selected(one, found, _marked(found, module))]


def offered(kind: str, entry: metadata.EntryPoint) -> tuple[dict[str, Any], str]:
    """What the entry point of an installed distribution provides, and the SHA-256 of its source.

    Imports it, and does not remember it as trusted: nobody has named it. Raises NotFound or Refused.
    """
    one = Named(text=entry.name, place=entry.module, attribute=entry.attr, short=entry.name)
    found = find(one, ())
    module = registry.load(found)
    attribute, thing, about = _chosen(one, found, module, kind, _marked(found, module))
    provided = _entry(found, attribute, thing, about)
    return (provided if kind in declared.ACTIVE else {**provided, "name": entry.name}), found.sha256


def provided_again(
    found: PluginSource, recorded: Sequence[Mapping[str, Any]], folder: Path, *, renewed: bool = False
) -> list[dict[str, Any]]:  # fmt: skip
    """What a recorded plug-in, now loaded, provides: as recorded; with `renewed`, as its code declares it now.

    A record may come from elsewhere, and what it names is called with what it declares: `subprocess.Popen` with `args`, say,
    through any plug-in that imports it. So raises ProofFailed unless the code itself provides that thing with those
    parameters.
    """
    module, again = registry.load(found), []
    for one in recorded:
        attribute, kind = one["attribute"], one["kind"]
        thing = attribute_of(module, attribute)
        about = declaration_of(thing)
        unmarked = kind not in declared.ACTIVE and (registry.is_own(thing, found) or inspect.isclass(thing))
        if thing is None or (about.kind != kind if about else not unmarked):
            raise messages.OTHER_RECORD(source=found.name, folder=folder, why=f"it provides no {kind} {attribute}")
        now = _entry(found, attribute, thing, about or Declaration(kind=kind))
        if kind not in declared.ACTIVE:
            now["name"] = one["name"]
        if not renewed and (now["name"], _types(now)) != (one["name"], _types(one)):
            raise messages.OTHER_RECORD(source=found.name, folder=folder, why=f"{attribute} is declared otherwise")
        if not renewed and not set(one.get("takes") or ()) <= set(now.get("takes") or ()):
            raise messages.OTHER_RECORD(source=found.name, folder=folder, why=f"{attribute} takes other keys")
        again.append(now if renewed else dict(one))
    return again


def _types(entry: Mapping[str, Any]) -> dict[str, str]:
    """The keywords that its thing is called with, and their types."""
    return {key: about["type"] for key, about in (entry.get("parameters") or {}).items()}


def _entry_point(name: str, kinds: Sequence[str]) -> metadata.EntryPoint | None:
    for kind in kinds:
        for entry in metadata.entry_points(group=GROUPS[kind], name=name):
            return entry
    return None


def _record(found: PluginSource) -> dict[str, Any]:
    return {
        "source": found.name, "module": found.module, "path": str(found.main), "sha256": found.sha256,
        "distribution": _distribution(found.module), "files": found.digests, "provides": [],
    }  # fmt: skip


def _distribution(module: str) -> str | None:
    """`NAME VERSION` of the installed distribution a module belongs to."""
    owners = metadata.packages_distributions().get(module.partition(".")[0], []) if module else []
    return f"{owners[0]} {metadata.version(owners[0])}" if owners else None


def _provided(one: Named, found: PluginSource, module: ModuleType) -> list[dict[str, Any]]:
    """What a plug-in provides to this run: its losses, metrics and readers, and the thing that was named."""
    marked = _marked(found, module)
    if one.key:
        kind = schema.plugin_keys()[one.key]
        attribute, thing, about = _chosen(one, found, module, kind, marked)
        chosen = [{**_entry(found, attribute, thing, about), "name": one.short or f"{found.name}:{attribute}"}]
        return chosen + [
            _entry(found, *other) for other in marked if other[2].kind in declared.ACTIVE and not one.short
        ]
    return [_entry(found, *other) for other in _selected(one, found, marked) if other[2].kind in declared.ACTIVE]


def _selected(
    one: Named, found: PluginSource, marked: Sequence[tuple[str, Any, Declaration]]
) -> list[tuple[str, Any, Declaration]]:
    """What `--plugin` names: everything that is marked, or the one attribute. Raises Refused if there is none."""
    if not marked:
        raise messages.NOTHING_PROVIDED(where=f"{found.main}:1", source=found.name)
    selected = [other for other in marked if one.attribute in ("", other[0])]
    if not selected:
        names = ", ".join(name for name, _, _ in marked)
        raise messages.NO_ATTRIBUTE(where=f"{found.main}:1", source=found.name, name=one.attribute, provided=names)
    return selected


def _chosen(
    one: Named, found: PluginSource, module: ModuleType, kind: str, marked: Sequence[tuple[str, Any, Declaration]]
) -> tuple[str, Any, Declaration]:  # fmt: skip
    """The named attribute, marked or not; if none is named, the only one of the kind."""
    of_kind = [other for other in marked if other[2].kind == kind]
    attribute = one.attribute or (of_kind[0][0] if len(of_kind) == 1 else "")
    thing = attribute_of(module, attribute) if attribute else None
    if thing is None:
        names = ", ".join(name for name, _, about in marked if about.kind == kind) or f"no {kind}"
        raise messages.NO_ATTRIBUTE(
            where=f"{found.main}:1", source=found.name, name=attribute or f"single {kind}", provided=names
        )
    about = declaration_of(thing) or Declaration(kind=kind)
    if about.kind != kind or not callable(thing):
        article = about.kind if callable(thing) else type(thing).__name__
        raise messages.WRONG_KIND(
            where=registry.where(thing, found), name=attribute, declared=article, key=one.key or GROUPS[kind], kind=kind
        )
    return attribute, thing, about


def _marked(found: PluginSource, module: ModuleType) -> list[tuple[str, Any, Declaration]]:
    """(attribute, object, declaration) of everything a module marks, in the order it is written; also what it imports from
    its own files."""
    by_identity: dict[int, tuple[str, Any, Declaration]] = {}
    for name, thing in vars(module).items():
        about = declaration_of(thing)
        if about is not None:
            by_identity.setdefault(id(thing), (name, thing, about))  # a second name of the same thing adds nothing
    return list(by_identity.values())


def _entry(found: PluginSource, attribute: str, thing: Any, about: Declaration) -> dict[str, Any]:
    parameters = {key: parameter.to_json() for key, parameter in about.parameters.items()}
    for key, facts in parameters.items():
        why = declared.fault_of(key, facts)
        if why:
            raise messages.DOES_NOT_FIT(where=registry.where(thing, found), name=attribute, why=why)
    facts = {"kind": about.kind, "name": about.name or f"{found.name}:{attribute}", "attribute": attribute}
    if about.kind == "loss":
        facts |= {"colour": about.colour, "default": float(about.default_weight)}
    if about.kind == "metric":
        facts |= {"lower_is_better": about.lower_is_better}
    if about.kind == "network":
        facts |= {"takes": _takes(found, thing, attribute, parameters)}
    entry = facts | {"label": about.label, "description": about.description, "parameters": parameters}
    live = [key for key, facts in parameters.items() if facts["tier"] != "startup"]
    why = _fault(entry)
    if live and about.kind not in LIVE_KINDS:
        why = f"{live[0]} must be of tier startup: what a {about.kind} does cannot change while the run trains"
    if why:
        raise messages.DOES_NOT_FIT(where=registry.where(thing, found), name=attribute, why=why)
    return entry


def _takes(found: PluginSource, thing: Any, attribute: str, parameters: Mapping[str, Any]) -> list[str]:
    """The run config keys that a network's constructor names, besides `scale` and what it declares.

    Raises Refused for an argument without a default that is neither.
    """
    try:
        signature = inspect.signature(thing).parameters.values()
    except (TypeError, ValueError):
        return []
    named = [one for one in signature if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    known = schema.startup_parameters()
    for one in named:
        if one.default is one.empty and one.name != "scale" and one.name not in {**known, **parameters}:
            why = f"its constructor needs {one.name}, which is neither declared nor a key of the run config"
            raise messages.DOES_NOT_FIT(where=registry.where(thing, found), name=attribute, why=why)
    accepted = {one.name for one in signature}
    if not any(one.kind is one.VAR_KEYWORD for one in signature):
        for key in ("scale", *parameters):
            if key not in accepted:
                why = f"its constructor does not take {key}"
                raise messages.DOES_NOT_FIT(where=registry.where(thing, found), name=attribute, why=why)
    return [one.name for one in named if one.name in known and one.name not in (*parameters, "scale")]


def _fault(entry: Mapping[str, Any]) -> str:
    """Why a declaration is not valid; empty if it is."""
    if entry["kind"] in ("loss", "metric") and not declared.KEY.fullmatch(entry["name"]):
        return "its name must be made of lower-case letters, digits and _"
    if entry["kind"] == "loss" and entry["name"] == "total":
        return "its name must not be total, which is the sum of all terms"
    if entry["kind"] == "loss" and not declared.COLOUR.fullmatch(entry["colour"]):
        return "its colour must be of the form #rrggbb"
    if entry["kind"] == "loss" and not 0 <= entry["default"] <= 1:
        return "its default_weight must be between 0 and 1"
    if entry["kind"] == "loss" and not entry["label"]:
        return "it needs a label"
    return ""


def _check_names(record: Mapping[str, Any], found: PluginSource, taken: set[str]) -> None:
    """Raises Refused for a key that VSR++ or another plug-in already has."""
    module, ours = registry.load(found), set(schema.best_keys())
    for provided in record["provides"]:
        weight = [f"{provided['name']}_weight"] if provided["kind"] == "loss" else []
        metric = [f"val/{provided['name']}"] if provided["kind"] == "metric" else []
        for key in [*weight, *metric, *provided["parameters"]]:
            if key in taken or key in ours:
                where = registry.where(attribute_of(module, provided["attribute"]), found)
                raise messages.NAME_TAKEN(where=where, name=key, owner="VSR++ or another plug-in")
            taken.add(key)


def attribute_of(module: ModuleType, path: str) -> Any:
    """What `Name` or `Outer.Name` means in a module; None if there is no such thing."""
    thing: Any = module
    for part in path.split("."):
        thing = getattr(thing, part, None)
    return thing
