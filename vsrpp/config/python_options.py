"""Reads a Python config of mmagic or mmedit as data: literals, `dict(…)`, names set above, and the files of `_base_`.

The text is parsed, never run. What is not plain data is left out and listed.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vsrpp.config.option_files import Options, check_size, config_names, merged, read_base_imports
from vsrpp.errors import VsrppError

_DEEPEST = 10
"""Levels of `_base_`."""
_LONGEST = 100_000
"""Characters or items of a sum of texts or lists."""
_NUMBERS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
}  # fmt: skip


class NotData(Exception):
    """An expression that is not plain data."""


@dataclass(slots=True, kw_only=True)
class PythonOptions:
    """A config with its bases."""

    values: Options = field(default_factory=Options)
    bases: list[str] = field(default_factory=list)
    """Names of the files that `_base_` led to."""
    not_read: list[str] = field(default_factory=list)
    """What was left out, one line each, with its place."""


def read_python(file: Path, read_text: Callable[[Path], str]) -> PythonOptions:
    """Raises ValueError if the text is not Python, and whatever `read_text` raises for the file itself."""
    options = PythonOptions()
    options.values = _file(file, read_text, options, ())
    return options


def _file(file: Path, read_text: Callable[[Path], str], options: PythonOptions, above: tuple[Path, ...]) -> Options:
    try:
        body = ast.parse(read_text(file)).body
    except SyntaxError as error:
        raise ValueError(f"{error.msg} (line {error.lineno})") from None
    base, own = Options(), _Names(file.name)
    for statement in body:
        for path, line in _bases(statement, own, file.parent):
            place = f"{file.name}:{line}"
            if path.resolve() in above or len(above) >= _DEEPEST:
                options.not_read.append(f"{place}: _base_ {path.name} leads back to itself")
                continue
            try:
                base = merged(base, _file(path, read_text, options, (*above, file.resolve())))
            except (VsrppError, ValueError, RecursionError) as error:
                options.not_read.append(f"{place}: _base_ {path} ({error})")
                continue
            options.bases.append(path.name)
            own.below = base
        own.run(statement, options.not_read)
    check_size(own.block)
    return merged(base, own.block)


def _bases(statement: ast.stmt, names: _Names, folder: Path) -> list[tuple[Path, int]]:
    imports = read_base_imports(statement)
    if imports is not None:
        return [(folder / path, line) for path, line in imports]
    if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "_base_":
        try:
            return [(path, statement.lineno) for path in config_names(folder, names.value(statement.value))]
        except NotData:
            return []
    return []


class _Names:
    """The names that one file has set so far."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.block = Options()
        self.below = Options()
        """What its bases set."""
        self.imported: dict[str, str] = {}

    def run(self, statement: ast.stmt, not_read: list[str]) -> None:
        """Take over an assignment; list anything else that may change values."""
        place = f"{self.name}:{statement.lineno}"
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            self.imported |= {one.asname or one.name: one.name for one in statement.names}
        elif isinstance(statement, ast.Assign) and all(isinstance(one, ast.Name) for one in statement.targets):
            names = [one.id for one in statement.targets if isinstance(one, ast.Name)]
            try:
                value = self.value(statement.value)
            except NotData as error:
                not_read.append(f"{place}: {', '.join(names)} ({error})")
                return
            for name in names:
                if name != "_base_":
                    self.block.put(name, value, place)
        elif isinstance(statement, ast.Delete):
            for one in statement.targets:
                if isinstance(one, ast.Name):
                    self.block.pop(one.id, None)
        elif read_base_imports(statement) is None and not _is_text(statement):
            not_read.append(f"{place}: {_short(statement)}")

    def value(self, node: ast.expr) -> Any:
        """What an expression stands for. Raises NotData."""
        match node:
            case ast.Constant(value=value) if value is not Ellipsis:
                return value
            case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
                return [self.value(item) for item in items]
            case ast.Dict(keys=keys, values=values):
                return self._block([(key, value) for key, value in zip(keys, values, strict=True)])
            case ast.Call(func=ast.Name(id="dict"), args=[], keywords=keywords):
                return self._block([(one.arg, one.value) for one in keywords])
            case ast.Name(id=name):
                return self._named(name)
            case ast.Attribute(value=ast.Name(id="_base_"), attr=name) if name in self.below:
                return self.below[name]
            case ast.Subscript(value=whole, slice=index):
                return self._part(self.value(whole), self.value(index))
            case ast.Attribute(value=whole, attr=name):
                return self._part(self.value(whole), name)
            case ast.UnaryOp(op=ast.USub(), operand=operand) if _is_number(number := self.value(operand)):
                return -number
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return not self.value(operand)
            case ast.BinOp(left=left, op=op, right=right):
                return self._calculated(self.value(left), op, self.value(right), node)
            case ast.JoinedStr(values=parts):
                return "".join(self._text(part) for part in parts)[:_LONGEST]
        raise NotData(f"{_short(node)} is not plain data")

    def _block(self, pairs: list[tuple[ast.expr | str | None, ast.expr]]) -> Options:
        made = Options()
        for key, value in pairs:
            place = f"{self.name}:{value.lineno}"
            if key is None:  # **other
                other = self.value(value)
                if not isinstance(other, Options):
                    raise NotData(f"{_short(value)} is not plain data")
                for name, inner in other.items():
                    made.put(name, inner, other.places.get(name, place))
            else:
                name = key if isinstance(key, str) else str(self.value(key))
                made.put(name, self.value(value), place)
        return made

    def _named(self, name: str) -> Any:
        for known in (self.block, self.below, self.imported):
            if name in known:
                return known[name]
        raise NotData(f"{name} is not set in this file")

    def _part(self, whole: Any, key: Any) -> Any:
        try:
            return whole[key]
        except (KeyError, IndexError, TypeError):
            raise NotData(f"no {key} there") from None

    def _calculated(self, left: Any, op: ast.operator, right: Any, node: ast.expr) -> Any:
        calculate = _NUMBERS.get(type(op))
        try:
            if calculate and _is_number(left) and _is_number(right):
                result = calculate(left, right)
                if math.isfinite(result) and abs(result) < 1e15:
                    return result
            elif isinstance(op, ast.Add) and isinstance(left, (str, list)) and type(left) is type(right):
                return _joined(left, right)
        except ArithmeticError:
            pass
        raise NotData(f"{_short(node)} is not calculated")

    def _text(self, part: ast.expr) -> str:
        if isinstance(part, ast.FormattedValue) and part.format_spec is None:
            return str(self.value(part.value))[:_LONGEST]
        return str(self.value(part))


def _joined(left: Any, right: Any) -> Any:
    """The sum of two texts or lists. Raises NotData if it is too long."""
    if len(left) + len(right) > _LONGEST:
        raise NotData(f"a sum of more than {_LONGEST:,}")
    return left + right


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _short(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 60 else f"{text[:59]}…"
