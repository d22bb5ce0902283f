"""Finds the tests that start processes, servers or a browser by their imports, so that none is marked manually."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
STARTERS = (
    "http.server", "multiprocessing", "playwright", "psutil", "pty", "subprocess", "vsrpp.tracking.Delivery",
    "vsrpp.tracking.process",
)  # fmt: skip
"""Modules, and names in modules, that start or manage a process."""


def is_outside(item: pytest.Item) -> bool:
    """Whether a test's file, or a conftest.py fixture that it uses directly or indirectly, starts something."""
    shared = (folder / "conftest.py" for folder in item.path.parents if folder == TESTS or TESTS in folder.parents)
    fixtures = {name for path in shared if path.is_file() for name in starting_definitions(path)}
    return bool(starting_imports(item.path)) or not fixtures.isdisjoint(getattr(item, "fixturenames", ()))


@cache
def starting_imports(path: Path) -> frozenset[str]:
    """The names that a file binds, at any level, by importing a starter or a helper that uses one."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported = [(alias.name, alias.asname or alias.name.split(".")[0]) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imported = [(f"{node.module}.{alias.name}", alias.asname or alias.name) for alias in node.names]
        else:
            continue
        names |= {bound for full, bound in imported if _starts_something(full)}
    return frozenset(names)


@cache
def starting_definitions(path: Path) -> frozenset[str]:
    """The functions and classes of a file that use such a name, directly or through each other."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    uses = {
        node.name: {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
        | {
            alias.asname or alias.name
            for inner in ast.walk(node)
            if isinstance(inner, ast.ImportFrom)
            for alias in inner.names
        }
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    }
    starting = set(starting_imports(path))
    while more := {name for name, used in uses.items() if used & starting} - starting:
        starting |= more
    return frozenset(starting & uses.keys())


def _starts_something(full: str) -> bool:
    if any(full == starter or full.startswith(f"{starter}.") for starter in STARTERS):
        return True
    package, _, rest = full.partition("tests.support.")
    module, _, name = rest.partition(".")
    helper = TESTS / "support" / f"{module}.py"
    if package or not helper.is_file():
        return False
    return name in starting_definitions(helper) if name else bool(starting_imports(helper))
