"""Scripts and tests follow the package: all their imports exist, even inside functions that rarely run."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = ("vsrpp", "tests", "ui", "mlproject")
SCRIPTS = [
    path for path in sorted((ROOT / "scripts").iterdir())
    if path.suffix == ".py" or (path.is_file() and path.read_bytes().startswith(b"#!/usr/bin/env python"))
]  # fmt: skip
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def imports(source: str) -> Iterator[tuple[str, str | None]]:
    """(module, name imported from it or None) of every import of this project."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names if alias.name.split(".")[0] in OURS)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in OURS:
            yield from ((node.module, alias.name) for alias in node.names)


def is_there(module: str, name: str | None) -> bool:
    try:
        found = importlib.import_module(module)
        if name is not None and not hasattr(found, name):
            importlib.import_module(f"{module}.{name}")
    except ImportError:
        return False
    return True


@pytest.mark.parametrize("file", [*SCRIPTS, *TESTS], ids=lambda path: path.name)
def test_what_it_imports_is_there(file: Path) -> None:
    wanted = set(imports(file.read_text(encoding="utf-8")))
    assert [f"{module}.{name}" for module, name in wanted if not is_there(module, name)] == []


def test_a_name_that_is_gone_is_noticed() -> None:
    source = "def f():\n    from vsrpp.paths import RunPaths, Gone\n    import vsrpp.nowhere\n"
    missing = {found for found in imports(source) if not is_there(*found)}
    assert missing == {("vsrpp.paths", "Gone"), ("vsrpp.nowhere", None)}
