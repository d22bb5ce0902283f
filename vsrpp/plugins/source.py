"""The source of a plug-in: which files it consists of, their SHA-256, and how they are written down and taken up again.

The files are found by reading the import statements, without running anything: the file or module itself, and those of
its own folder or package that it imports, directly or in turn. Other distributions are dependencies, not source.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path

from vsrpp.plugins import messages

OURS = frozenset({"vsrpp", "ui"})
"""Packages that are never part of a plug-in, even beside it in a checkout."""
MAX_FILES, MAX_BYTES = 200, 1_000_000


@dataclass(frozen=True, slots=True)
class PluginSource:
    """The files of one plug-in."""

    name: str
    """The file's name (`extras.py`) or the module (`mypkg.nets`)."""
    module: str
    """The module to import; empty for a file."""
    root: Path
    """The folder that file names are relative to."""
    files: Mapping[str, bytes]
    """Relative name -> contents."""

    @property
    def sha256(self) -> str:
        """Of the file's bytes; of one line `SHA256  NAME` per file, sorted by name, if there are several."""
        return sha256_of({name: hashlib.sha256(text).hexdigest() for name, text in self.files.items()})

    @property
    def digests(self) -> dict[str, str]:
        return {name: hashlib.sha256(text).hexdigest() for name, text in sorted(self.files.items())}

    @property
    def main(self) -> Path:
        """The file to import first."""
        return self.root / main_file(self.name, self.module, self.files)


def sha256_of(digests: Mapping[str, str]) -> str:
    """The SHA-256 of a plug-in, from those of its files."""
    if len(digests) == 1:
        return next(iter(digests.values()))
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def main_file(name: str, module: str, files: Mapping[str, object]) -> str:
    """Which of a plug-in's files is imported first."""
    if not module:
        return name
    path = module.replace(".", "/")
    return f"{path}.py" if f"{path}.py" in files else f"{path}/__init__.py"


def of_file(file: Path) -> PluginSource:
    """The source of a plug-in that is a file. Raises Refused for one that is not Python."""
    file = file.resolve()
    return PluginSource(file.name, "", file.parent, _closure(file.parent, [file.name], None, file.name))


def of_module(module: str, folders: Sequence[Path] = ()) -> PluginSource | None:
    """The source of an importable module, looked for in `folders` too; None if there is none. Imports nothing."""
    top = module.partition(".")[0]
    spec = PathFinder.find_spec(top, [str(folder) for folder in folders]) if folders else None
    try:
        spec = spec or importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    if spec is None or (not places and not (spec.origin or "").endswith(".py")):
        return None
    root = Path(places[0] if places else str(spec.origin)).parent
    start = _file_of(root, module)
    return (
        None
        if start is None
        else PluginSource(module, module, root, _closure(root, [*_parents(root, module), start], top, module))
    )


def unpack(name: str, module: str, texts: Mapping[str, str], folder: Path) -> PluginSource:
    """Write recorded files below a folder, which is theirs alone, and return them as a source."""
    files = {file: text.encode("utf-8") for file, text in texts.items()}
    for file, content in files.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_bytes() != content:
            path.write_bytes(content)
    return PluginSource(name, module, folder, files)


def difference(then: Mapping[str, str] | None, now: PluginSource, digests: Mapping[str, str]) -> str:
    """In words, where a source differs from the recorded one: its first changed line, or the files that differ."""
    for name in sorted(set(digests) | set(now.files)):
        if name not in now.files:
            return f"{name} is gone"
        if name not in digests:
            return f"{name} is new"
        text = now.files[name].decode("utf-8", "replace")
        if hashlib.sha256(now.files[name]).hexdigest() == digests[name]:
            continue
        before = then.get(name) if then else None
        if before is None:
            return f"{name} differs"
        return f"{name}, line {_first_changed_line(before, text)} differs"
    return "its files differ"


def _first_changed_line(before: str, after: str) -> int:
    import difflib  # 7 ms, only for a changed source

    matcher = difflib.SequenceMatcher(None, before.splitlines(), after.splitlines(), autojunk=False)
    return next((j1 + 1 for tag, _, _, j1, _ in matcher.get_opcodes() if tag != "equal"), 1)


def _closure(root: Path, start: Sequence[str], top: str | None, named: str) -> dict[str, bytes]:
    """The files that are imported from `root`, beginning with `start`; `top`: only those of this package."""
    files: dict[str, bytes] = {}
    waiting = list(start)
    while waiting:
        name = waiting.pop()
        if name in files:
            continue
        size = (root / name).stat().st_size + sum(map(len, files.values()))
        if len(files) >= MAX_FILES or size > MAX_BYTES:
            why = f"its source is over {MAX_FILES} files or {MAX_BYTES:,} bytes"
            raise messages.DOES_NOT_FIT(where=f"{root / name}:1", name=named, why=why)
        files[name] = (root / name).read_bytes()
        tree = _parsed(files[name], root / name, named)
        package = name.removesuffix(".py").removesuffix("/__init__").split("/")
        package = package if name.endswith("__init__.py") else package[:-1]
        for module in _imports(tree, package):
            first = module.partition(".")[0]
            if first in OURS or (top is not None and first != top):
                continue
            found = _file_of(root, module)
            if found is not None:
                waiting += [*_parents(root, module), found]
    return dict(sorted(files.items()))


def _parsed(content: bytes, file: Path, named: str) -> ast.Module:
    """Raises Refused, with file and line, for what is not Python in UTF-8."""
    line: int | None = 1
    try:
        content.decode("utf-8")
        return ast.parse(content)
    except UnicodeDecodeError as error:
        line, why = content[: error.start].count(b"\n") + 1, "it is not UTF-8"
    except SyntaxError as error:
        line, why = error.lineno, f"SyntaxError: {error.msg}"
    except (ValueError, RecursionError, MemoryError) as error:
        why = f"{type(error).__name__}: {error}".rstrip(": ")
    raise messages.NOT_IMPORTED(where=f"{file}:{line or 1}", source=named, error=why)


def _imports(tree: ast.AST, package: Sequence[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            if origin:
                yield origin
            yield from (f"{origin}.{alias.name}".lstrip(".") for alias in node.names)


def _parents(root: Path, module: str) -> list[str]:
    """The `__init__.py` files that are run on the way to a module."""
    parts = module.split(".")
    places = ["/".join([*parts[:depth], "__init__.py"]) for depth in range(1, len(parts))]
    return [place for place in places if (root / place).is_file()]


def _file_of(root: Path, module: str) -> str | None:
    """The file of a module below a folder, relative to it; None if it is not there or belongs to Python."""
    path = module.replace(".", "/")
    for name in (f"{path}.py", f"{path}/__init__.py"):
        if (root / name).is_file() and not _is_standard(root):
            return name
    return None


def _is_standard(root: Path) -> bool:
    return root == Path(sysconfig.get_path("stdlib"))
