"""Tests use public names only: a test that needs a private one shows that a seam is in the wrong place."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

PUBLIC_BY_THEIR_DOCS = {"_asdict", "_exit", "_fields", "_make", "_replace"}
"""Of named tuples and of `os`."""

INTERNALS_OF_LIBRARIES = {
    (
        "tests/support/tui_driving.py",
        "_compositor",
    ): "Textual has no public call that gives the composed screen as text",
    ("tests/training/test_activity.py", "_forward_hooks"): "torch has no public count of a module's hooks",
    ("tests/training/test_step.py", "_dynamo"): "torch's own count of what it compiled",
    ("tests/training/test_step.py", "_debug_get_cache_entry_list"): "the same",
    ("tests/test_packaging.py", "_PythonEnv"): "what MLflow reads conda.yaml with",
    ("tests/test_packaging.py", "_project_spec"): "what `mlflow run` reads MLproject with",
    ("tests/test_api.py", "_repr_html_"): "the name that Jupyter calls",
    ("tests/tui/test_tui_terminal.py", "_input"): "imported early, so that Textual's own import is not timed as ours",
}
"""(file, name) -> why no public name does."""


DOTTED = re.compile(r"\b[A-Za-z]\w*\.(_[A-Za-z]\w*)")


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_" and name not in PUBLIC_BY_THEIR_DOCS


def private_uses(source: str) -> Iterator[tuple[int, str]]:
    """(line, name) of every private attribute of something else, private import, and private name inside a string.

    A string may be code for another process, a path for monkeypatch, or the name given to getattr and setattr.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            names = [] if own else [node.attr]
        elif isinstance(node, ast.ImportFrom):
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [part for alias in node.names for part in alias.name.split(".")]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names = DOTTED.findall(node.value)
        elif isinstance(node, ast.Call) and "attr" in ast.unparse(node.func):
            names = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        else:
            continue
        for name in names:
            if is_private(name):
                yield node.lineno, name


def uses_by_file() -> dict[str, list[tuple[int, str]]]:
    files = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "tests").rglob("*.py"))]
    kept = [file for file in files if file != "tests/test_seams.py"]
    return {file: list(private_uses((ROOT / file).read_text(encoding="utf-8"))) for file in kept}


def test_no_test_uses_a_private_name() -> None:
    refused = [
        f"{file}:{line}: {name}"
        for file, uses in uses_by_file().items()
        for line, name in uses
        if (file, name) not in INTERNALS_OF_LIBRARIES
    ]
    assert refused == [], "give the code a public seam, or test through what it does"


def test_every_exception_is_still_needed() -> None:
    used = {(file, name) for file, uses in uses_by_file().items() for _, name in uses}
    assert set(INTERNALS_OF_LIBRARIES) - used == set()


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("run._step", ["_step"]), ("self.run._step", ["_step"]), ("self._step", []), ("run.__class__", []),
        ("from vsrpp.store import _link", ["_link"]), ("import vsrpp._hidden", ["_hidden"]),
        ("monkeypatch.setattr('vsrpp.store.db._clock', 1)", ["_clock"]), ("setattr(run, '_step', 1)", ["_step"]),
        ("'import sys; run._step()'", ["_step"]), ("point._replace(x=1)", []), ("for _, name in pairs: name", []),
    ],
)  # fmt: skip
def test_a_private_use_is_told_from_a_public_one(source: str, names: list[str]) -> None:
    assert [name for _, name in private_uses(source)] == names
