"""Who may know whom: a room imports only rooms above it, and what must open at once loads nothing heavy."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "vsrpp"

LEAVES = {"errors", "paths", "resize"}
SCIENCE = {"models", "losses", "data", "metrics"}
CONTROL = {"config", "schedule", "store", "control"}
FACES = {"api", "cli", "tui", "ui"}
ENGINE = {"controller", "distributed", "checkpoints", "inference", "training", "launch"}
EVERYTHING_BELOW_FACES = LEAVES | CONTROL | SCIENCE | ENGINE | {"tracking"}

MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "paths": set(),
    "resize": set(),
    "config": {"errors", "paths"},
    "schedule": {"config"},
    "store": {"errors", "paths"},
    "control": LEAVES | {"config", "schedule", "store"},
    **{room: {"config", "resize", "errors"} for room in SCIENCE},
    "controller": {"control"},
    "distributed": {"errors"},
    "checkpoints": LEAVES | {"config"},
    "inference": LEAVES | SCIENCE | {"checkpoints"},
    "training": LEAVES | CONTROL | SCIENCE | {"controller", "distributed", "checkpoints", "inference"},
    "tracking": {"errors", "paths", "config", "store", "control"},
    "launch": LEAVES | CONTROL | SCIENCE | ENGINE | {"tracking", "cli"},
    "api": {"errors", "paths", "store", "control"},
    "cli": EVERYTHING_BELOW_FACES | {"tui", "ui"},
    "tui": EVERYTHING_BELOW_FACES,
    "ui": EVERYTHING_BELOW_FACES,
    "mlproject": {*EVERYTHING_BELOW_FACES, "cli"},
    "__main__": {"cli"},
    "__init__": {"api"},
}

# MLflow copies this file into every logged model and runs it where the model is loaded; there it needs `models`.
MODEL_CODE = PACKAGE / "tracking" / "upscaler.py"

NEVER_TORCH = LEAVES | CONTROL | {"api", "tui", "ui"}
TORCH_IN_DATA = PACKAGE / "data" / "loader.py"


def room_files() -> list[tuple[str, Path]]:
    files = [(path.relative_to(PACKAGE).parts[0].removesuffix(".py"), path) for path in sorted(PACKAGE.rglob("*.py"))]
    files += [("ui", path) for path in sorted((ROOT / "ui").rglob("*.py"))]
    return [*files, ("mlproject", ROOT / "mlproject.py")]


FILES = room_files()


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imported_names(tree: ast.AST, module: str, is_package: bool) -> Iterator[str]:
    """Dotted names a file imports, wherever in it; `from a import b` gives a.b, relative imports are made absolute."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def names_of(path: Path, *, at_import_only: bool = False) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    if at_import_only:
        tree = without_functions(tree)
    module = module_of(path).removesuffix(".__init__")
    return set(imported_names(tree, module, is_package=path.name == "__init__.py"))


def without_functions(tree: ast.Module) -> ast.Module:
    """What runs when the module is imported: no function bodies, no `if TYPE_CHECKING:`."""

    class Strip(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
            return None

        def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
            return None

        def visit_If(self, node: ast.If) -> ast.AST | None:
            return None if "TYPE_CHECKING" in ast.unparse(node.test) else self.generic_visit(node)

    return ast.fix_missing_locations(Strip().visit(tree))


def room_of(name: str) -> str | None:
    """The room an imported name belongs to; None if it is none of ours, or only `vsrpp` itself (its version)."""
    parts = name.split(".")
    if parts[0] in {"ui", "mlproject"}:
        return parts[0]
    if parts[0] != "vsrpp" or len(parts) < 2 or parts[1].startswith("__version"):
        return None
    return parts[1]


def test_every_room_is_on_the_list() -> None:
    assert {room for room, _ in FILES} <= MAY_IMPORT.keys()


@pytest.mark.parametrize(("room", "path"), FILES, ids=lambda value: module_of(value) if isinstance(value, Path) else "")
def test_a_room_imports_only_rooms_above_it(room: str, path: Path) -> None:
    known = {found for name in names_of(path) if (found := room_of(name)) is not None}
    allowed = MAY_IMPORT[room] | ({"models", "inference"} if path == MODEL_CODE else set())
    assert known - {room} - allowed == set()


@pytest.mark.parametrize(("room", "path"), FILES, ids=lambda value: module_of(value) if isinstance(value, Path) else "")
def test_light_rooms_never_import_torch(room: str, path: Path) -> None:
    uses_torch = any(name.split(".")[0] == "torch" for name in names_of(path))
    if room in NEVER_TORCH or (room == "data" and path != TORCH_IN_DATA):
        assert not uses_torch
    if room in FACES | {"mlproject", "__main__", "__init__"}:
        heavy = {name.split(".")[0] for name in names_of(path, at_import_only=True)} & {"torch", "mlflow"}
        assert not heavy


@pytest.mark.parametrize("path", [p for room, p in FILES if room in LEAVES | CONTROL], ids=module_of)
def test_control_and_below_import_no_mlflow(path: Path) -> None:
    assert not any(name.split(".")[0] == "mlflow" for name in names_of(path, at_import_only=True))


REPORT = """
import contextlib, io, json, sys
quiet = io.StringIO()
with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet), contextlib.suppress(SystemExit):
    {statement}
print(json.dumps(sorted({{name.split(".")[0] for name in sys.modules}})))
"""


def modules_after(statement: str, cwd: Path) -> set[str]:
    """Top-level modules loaded once a fresh interpreter has run a statement (whatever it prints or exits with)."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n" + REPORT.format(statement=statement)],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=True,
        timeout=240,
    )
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "statement",
    [
        "import vsrpp.errors, vsrpp.paths, vsrpp.config, vsrpp.schedule, vsrpp.store, vsrpp.control",
        "import vsrpp.cli",
        "from vsrpp import Run",
        "import mlproject; mlproject.command_line('main', ['--max_lr', '2e-4'])",
        "from vsrpp.cli import main; main(['--help'])",
        *(
            f"from vsrpp.cli import main; main([{command!r}, '--help'])"
            for command in ("train", "status", "config", "history", "runs", "set")
        ),
    ],
)
def test_what_must_open_at_once_loads_nothing_heavy(statement: str, tmp_path: Path) -> None:
    heavy = {"torch", "mlflow", "numpy", "pandas", "gradio", "tensorboard", "av"}
    assert modules_after(statement, tmp_path) & heavy == set()


def test_importing_data_and_metrics_loads_no_torch(tmp_path: Path) -> None:
    assert modules_after("import vsrpp.data, vsrpp.metrics", tmp_path) & {"torch", "mlflow"} == set()


def test_the_check_itself_sees_through_relative_and_late_imports() -> None:
    source = "def f():\n    from ..training import loop\n    import torch.nn\nfrom . import sibling\n"
    assert set(imported_names(ast.parse(source), "vsrpp.store.db", is_package=False)) == {
        "vsrpp.training.loop",
        "torch.nn",
        "vsrpp.store.sibling",
    }
    assert set(imported_names(without_functions(ast.parse(source)), "vsrpp.store.db", is_package=False)) == {
        "vsrpp.store.sibling"
    }
