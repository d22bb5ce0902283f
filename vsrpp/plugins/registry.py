"""The plug-ins that are loaded in this process, and what they provide. Needs nothing but the errors, so that a logged
model can carry it."""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

from vsrpp.errors import VsrppError
from vsrpp.plugins import importer, messages
from vsrpp.plugins.source import PluginSource

_loaded: dict[str, tuple[ModuleType, PluginSource]] = {}
"""SHA-256 -> the module, and its source."""


def load(source: PluginSource) -> ModuleType:
    """Import a plug-in, once per process. Raises Refused, with file and line, if it cannot be imported."""
    if source.sha256 not in _loaded:
        _loaded[source.sha256] = (_imported(source), source)
    return _loaded[source.sha256][0]


def source_of(sha256: str) -> PluginSource | None:
    """The source of a loaded plug-in."""
    return _loaded[sha256][1] if sha256 in _loaded else None


def entry_of(run_config: Mapping[str, Any], kind: str, name: str) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    """The recorded plug-in that provides a thing, and what it declares of it; None if no plug-in of the run does."""
    for record in run_config.get("plugins") or ():
        for provided in record["provides"]:
            if (provided["kind"], provided["name"]) == (kind, name):
                return record, provided
    return None


def provided(run_config: Mapping[str, Any], kind: str, name: str) -> Any | None:
    """The object that a run's plug-in provides; None if no plug-in of the run does. Raises Refused if it is not loaded."""
    entry = entry_of(run_config, kind, name)
    if entry is None:
        return None
    record, about = entry
    if record["sha256"] not in _loaded:
        raise messages.NOT_LOADED(name=name)
    return attrgetter(str(about["attribute"]))(_loaded[record["sha256"]][0])


@dataclass(frozen=True, slots=True)
class Reference:
    """A plug-in's function that other processes can call: it is pickled with the source, and loads it where it is called."""

    source: PluginSource
    attribute: str

    @classmethod
    def of(cls, run_config: Mapping[str, Any], kind: str, name: str) -> Reference:
        """Raises Refused if it is not loaded, KeyError if no plug-in of the run provides it."""
        entry = entry_of(run_config, kind, name)
        if entry is None:
            raise KeyError(name)
        record, about = entry
        if record["sha256"] not in _loaded:
            raise messages.NOT_LOADED(name=name)
        return cls(_loaded[record["sha256"]][1], str(about["attribute"]))

    def resolve(self) -> Any:
        """The object itself."""
        return attrgetter(self.attribute)(load(self.source))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.resolve()(*args, **kwargs)


def all_of(run_config: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Everything of a kind that the plug-ins of a run provide, by name. Raises Refused if one is not loaded."""
    names = [
        one["name"] for record in run_config.get("plugins") or () for one in record["provides"] if one["kind"] == kind
    ]
    return {name: provided(run_config, kind, name) for name in names}


def parameters(run_config: Mapping[str, Any], kind: str, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the parameters that a plug-in declares for a thing, taken from a config; absent ones by default."""
    entry = entry_of(run_config, kind, name)
    declared = (entry[1].get("parameters") or {}) if entry else {}
    return {key: values.get(key, about["default"]) for key, about in declared.items()}


def live_parameters(run_config: Mapping[str, Any], kind: str, name: str) -> tuple[str, ...]:
    """The keys that a plug-in declares for a thing and that can be edited while the run trains."""
    entry = entry_of(run_config, kind, name)
    declared = (entry[1].get("parameters") or {}) if entry else {}
    return tuple(key for key, about in declared.items() if about.get("tier", "startup") != "startup")


def where(thing: Any, source: PluginSource) -> str:
    """`FILE:LINE` of a class or function; the first line of the plug-in's file for anything else."""
    import inspect

    try:
        lines = inspect.getsourcelines(thing)[1]
        return f"{inspect.getsourcefile(thing)}:{lines}"
    except (OSError, TypeError):
        return f"{source.main}:1"


def is_own(thing: Any, source: PluginSource) -> bool:
    """Whether a class or function is written in one of a plug-in's files."""
    import inspect

    try:
        file = Path(inspect.getsourcefile(thing) or "")
    except TypeError:
        return False
    return file.is_relative_to(source.root) and file.relative_to(source.root).as_posix() in source.files


def place_of(error: BaseException, source: PluginSource, thing: Any = None) -> str:
    """`FILE:LINE` where an exception left the plug-in's code: the innermost of its own lines.

    For one that does not come from its code: the first line of `thing`, which was tried, else of the file.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(source.root)]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else where(thing, source)


def cause_of(error: BaseException) -> str:
    """An exception on one line."""
    text = str(error.msg if isinstance(error, SyntaxError) else error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text[:200]}".rstrip(": ").rstrip(".")


@dataclass(frozen=True, slots=True)
class Trial:
    """A thing of a plug-in that is tried before there is a run; what it is refused for names file and line."""

    name: str
    thing: Any
    source: PluginSource

    @classmethod
    def of(cls, run_config: Mapping[str, Any], kind: str, name: str) -> Trial | None:
        """None if no plug-in of the run provides it. Raises Refused if the plug-in is not loaded."""
        thing, entry = provided(run_config, kind, name), entry_of(run_config, kind, name)
        return None if entry is None else cls(name, thing, _loaded[entry[0]["sha256"]][1])

    def refusal(self, why: str, error: BaseException | None = None) -> VsrppError:
        """That it does not fit, and why; `error`: the exception that showed it."""
        place = where(self.thing, self.source) if error is None else place_of(error, self.source, self.thing)
        return messages.DOES_NOT_FIT(where=place, name=self.name, why=why)

    @contextlib.contextmanager
    def attempt(self, doing: str = "it fails") -> Iterator[None]:
        """Raises the refusal for any exception of the code inside: other people's code may raise anything."""
        try:
            yield
        except Exception as error:
            raise self.refusal(f"{doing} ({cause_of(error)})", error) from error


def _imported(source: PluginSource) -> ModuleType:
    with _known_as_vsrpp():
        try:
            return importer.load(source)
        except (KeyboardInterrupt, MemoryError, VsrppError):
            raise
        except BaseException as error:
            raise messages.NOT_IMPORTED(
                where=place_of(error, source), source=source.name, error=cause_of(error)
            ) from error


@contextlib.contextmanager
def _known_as_vsrpp() -> Iterator[None]:
    """In a logged model the package has another name: `from vsrpp.plugins import …` means the model's own copy there."""
    own = __name__.split(".")[0]
    if own == "vsrpp":
        yield
        return
    aliases = {
        name.replace(own, "vsrpp", 1): module for name, module in sys.modules.items() if name.split(".")[0] == own
    }
    before = {name: sys.modules[name] for name in list(sys.modules) if name.split(".")[0] == "vsrpp"}
    for name in before:
        del sys.modules[name]
    sys.modules.update(aliases)
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "vsrpp"]:
            del sys.modules[name]
        sys.modules.update(before)
