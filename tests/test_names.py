"""No two public classes of the package share a name."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

MAY_SHARE = {
    "ResidualBlock": "a building block of one network; each network's file holds its own and can be read alone",
    "Parameter": "what the schema knows of a parameter, and what a plug-in writes to declare one; the word of both guides",
    "Trunk": "likewise: what a direction is made of differs from network to network",
}


def shared_names(files: Iterable[Path]) -> dict[str, list[str]]:
    """Names that several files give to a public class -> where; a class inside a function or a class counts too."""
    places: dict[str, list[str]] = defaultdict(list)
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path))
    return {name: where for name, where in places.items() if len(where) > 1}


def test_no_two_public_classes_share_a_name() -> None:
    files = [*(ROOT / "vsrpp").rglob("*.py"), *(ROOT / "ui").rglob("*.py"), ROOT / "mlproject.py"]
    shared = shared_names(files)
    assert {name: where for name, where in shared.items() if name not in MAY_SHARE} == {}
    assert MAY_SHARE.keys() <= shared.keys()  # an entry that is no longer needed is deleted


def test_a_shared_name_is_found(tmp_path: Path) -> None:
    for name, source in {
        "a": "class Run: ...\nclass _Own: ...\n",
        "b": "class _Own: ...\nif True:\n    class Run: ...\n",
    }.items():
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
    files = sorted(tmp_path.glob("*.py"))
    assert shared_names(files) == {"Run": [str(path) for path in files]}
