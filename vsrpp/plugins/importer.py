"""Imports the files of a plug-in from the bytes that were hashed: neither a later edit nor cached bytecode can differ from
the record."""

from __future__ import annotations

import contextlib
import importlib
import sys
import sysconfig
from collections.abc import Collection, Iterator, Sequence
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

from vsrpp.plugins import messages
from vsrpp.plugins.source import PluginSource


class SourceFinder(MetaPathFinder, SourceLoader):  # type: ignore[misc]  # typeshed's two loaders disagree
    """Finds and loads the modules of one plug-in."""

    def __init__(self, source: PluginSource) -> None:
        self._source = source
        self.names = {_module_of(file): file for file in source.files}
        """Module -> file."""
        self._by_file_name = "" if source.module else _module_of(source.name)
        """How its own siblings may import a plug-in that is a file."""
        self.main = source.module or f"vsrpp_plugin_{source.main.stem}_{source.sha256[:12]}"
        """The module to import. A file gets a unique name, so that two files called alike can be used."""
        self.names[self.main] = source.main.relative_to(source.root).as_posix()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        folder = str(self._source.root / fullname.replace(".", "/"))
        if fullname in self.names:
            places = [folder] if self.names[fullname].endswith("/__init__.py") else None
            return spec_from_file_location(
                fullname, self.get_filename(fullname), loader=self, submodule_search_locations=places
            )
        if any(name.startswith(f"{fullname}.") for name in self.names):  # a folder without __init__.py
            spec = ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = [folder]
            return spec
        return None

    def get_filename(self, fullname: str) -> str:
        return str(self._source.root / self.names[fullname])

    def get_data(self, path: str | bytes) -> bytes:
        return self._source.files[Path(str(path)).relative_to(self._source.root).as_posix()]

    def others(self) -> Iterator[str]:
        """The files of those of its modules that are already imported, but from other contents."""
        for name, file in self.names.items():
            module = sys.modules.get(name)
            if module is None or name == self._by_file_name or getattr(module, "__loader__", None) is self:
                continue
            place, loader = Path(getattr(module, "__file__", None) or ""), getattr(module, "__loader__", None)
            if isinstance(loader, SourceFinder):
                content = loader.get_data(str(place))
            else:
                content = place.read_bytes() if place.is_file() else b""
            if content != self._source.files[file]:
                yield str(place)

    def unrecorded(self, before: Collection[str]) -> Iterator[str]:
        """Its own files that were imported (not in `before`) although no import statement names them."""
        if str(self._source.root) in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
            return  # of a distribution, which is on record with its version
        top = self._source.module.partition(".")[0]
        for name in sorted(set(sys.modules) - {*before, *self.names}):
            file = getattr(sys.modules[name], "__file__", None)
            path = name.replace(".", "/")
            if file and (not top or name.partition(".")[0] == top):
                own = (f"{path}.py", f"{path}/__init__.py")
                yield from (one for one in own if Path(file) == self._source.root / one)


def load(source: PluginSource) -> ModuleType:
    """Import a plug-in. What its code raises is passed on; Refused for code that is not the one of the source."""
    finder = SourceFinder(source)
    for place in finder.others():
        raise messages.SECOND_VERSION(source=source.name, path=place)
    before = set(sys.modules)
    sys.meta_path.insert(0, finder)
    try:
        module = importlib.import_module(finder.main)
        for file in finder.unrecorded(before):
            raise messages.UNSEEN_IMPORT(where=f"{source.main}:1", source=source.name, file=file)
    except BaseException:
        for name in set(finder.names) - before:
            sys.modules.pop(name, None)
        raise
    finally:
        with contextlib.suppress(ValueError):
            sys.meta_path.remove(finder)
    sys.meta_path.append(finder)  # for imports inside functions
    return module


def _module_of(file: str) -> str:
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
