"""Import rules: a room imports only rooms above it, files do not form rings, and quick commands import little."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "vsrpp"

LEAVES = {
    "errors", "paths", "resize", "formats", "documents", "texts", "safe_text", "private_files", "smallfiles", "manifest",
    "frame_schedule", "digests",
}  # fmt: skip
SCIENCE = {"models", "losses", "data", "metrics"}
CONTROL = {"config", "schedule", "store", "control"}
FACES = {"api", "cli", "tui", "ui"}
ENGINE = {"controller", "distributed", "checkpoints", "inference", "training", "launch"}
SCIENCE_MAY_IMPORT = {
    "config", "resize", "errors", "documents", "formats", "plugins", "private_files", "safe_text", "frame_schedule",
    "digests",
}  # fmt: skip
FACES_MAY_IMPORT = (LEAVES | CONTROL | SCIENCE | ENGINE | {"output", "tracking", "media"}) - {"training", "models"}

MAY_IMPORT: dict[str, set[str]] = {
    "safe_text": set(),
    "private_files": set(),
    "errors": {"documents", "safe_text"},
    "documents": set(),
    "paths": set(),
    "resize": set(),
    "frame_schedule": set(),
    "smallfiles": set(),
    "digests": set(),
    "manifest": {"paths", "smallfiles"},
    "output": {"safe_text"},
    "texts": {"safe_text"},
    "formats": {"config", "safe_text"},
    "config": {"errors", "paths", "documents", "safe_text", "smallfiles"},
    "plugins": {"errors", "paths", "config"},
    "schedule": {"config", "plugins"},
    "media": {"errors"},
    "store": {"errors", "paths", "documents", "safe_text", "smallfiles"},
    "control": LEAVES | {"config", "schedule", "store"},
    **dict.fromkeys(SCIENCE, SCIENCE_MAY_IMPORT),
    "data": SCIENCE_MAY_IMPORT | {"media"},
    "controller": {"config", "control", "plugins", "formats"},
    "distributed": {"errors"},
    "checkpoints": LEAVES | {"config", "plugins"},
    "inference": LEAVES | SCIENCE | {"checkpoints", "plugins", "media"},
    "training": LEAVES | CONTROL | SCIENCE | {"plugins"} | {"controller", "distributed", "checkpoints", "inference"},
    "tracking": LEAVES | {"config", "store", "control"},
    "launch": LEAVES | CONTROL | SCIENCE | ENGINE | {"output", "tracking", "plugins"},
    "api": {"errors", "paths", "documents", "formats", "store", "control", "launch", "notebook"},
    "cli": FACES_MAY_IMPORT | {"tui", "ui", "plugins"},
    "tui": FACES_MAY_IMPORT,
    "ui": FACES_MAY_IMPORT,
    "mlproject": {*FACES_MAY_IMPORT, "cli"},
    "notebook": {"formats", "control"},
    "__main__": {"cli"},
    "__init__": {"api"},
}

# MLflow copies this file into every logged model and runs it where the model is loaded; there it needs `models`.
MODEL_CODE = PACKAGE / "tracking" / "upscaler.py"

NEVER_TORCH = LEAVES | CONTROL | {"media", "plugins", "output", "api", "tui", "ui"}
NEVER_TRAINING = FACES | {"mlproject"}
"""Faces ask `control` and start processes through `launch`; how a network is made and trained is none of their business."""
TORCH_IN_DATA = PACKAGE / "data" / "loader.py"


def room_files() -> list[tuple[str, Path]]:
    files = [(path.relative_to(PACKAGE).parts[0].removesuffix(".py"), path) for path in sorted(PACKAGE.rglob("*.py"))]
    files += [("ui", path) for path in sorted((ROOT / "ui").rglob("*.py"))]
    return [*files, ("mlproject", ROOT / "mlproject.py")]


FILES = room_files()


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imported_names(tree: ast.AST, module: str, is_package: bool) -> Iterator[str]:
    """Dotted names that a file imports, anywhere in it; `from a import b` gives a.b, relative imports are made absolute."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def names_of(path: Path, module: str | None = None, *, at_import_only: bool = False) -> set[str]:
    """The dotted names a file imports; `module` is its own name if its path does not give it."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    if at_import_only:
        tree = without_functions(tree)
    module = module or module_of(path).removesuffix(".__init__")
    return set(imported_names(tree, module, is_package=path.name == "__init__.py"))


def without_functions(tree: ast.Module) -> ast.Module:
    """The code that runs when the module is imported: no function bodies, no `if TYPE_CHECKING:`."""

    class Strip(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
            return None

        def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
            return None

        def visit_If(self, node: ast.If) -> ast.AST | None:
            return None if "TYPE_CHECKING" in ast.unparse(node.test) else self.generic_visit(node)

    return ast.fix_missing_locations(Strip().visit(tree))


def room_of(name: str) -> str | None:
    """The room an imported name belongs to; None for other packages, or for `vsrpp` itself (its version)."""
    parts = name.split(".")
    if parts[0] in {"ui", "mlproject"}:
        return parts[0]
    if parts[0] != "vsrpp" or len(parts) < 2 or parts[1].startswith("__version"):
        return None
    return parts[1]


def import_graph(files: Mapping[str, Path]) -> dict[str, set[str]]:
    """Which of these files (by dotted name, a package's `__init__` by the package's) each of them imports, wherever in it.

    Counted is the file that holds what is imported: `from a.b import c` and `import a.b.c` need `a/b/c.py` if there is
    such a file, else `a/b.py` or `a/b/__init__.py`. The packages on the way down are run by Python, too, but needed for
    nothing but their name: counting them would make a ring of every package whose `__init__` re-exports its files.
    """
    graph: dict[str, set[str]] = {}
    for module, path in files.items():
        needed = (file_of(name, files) for name in names_of(path, module))
        graph[module] = {other for other in needed if other is not None and other != module}
    return graph


def file_of(name: str, files: Mapping[str, Path]) -> str | None:
    """The longest beginning of a dotted name that is a file; None for other packages."""
    parts = name.split(".")
    return next((known for n in range(len(parts), 0, -1) if (known := ".".join(parts[:n])) in files), None)


def rings(graph: Mapping[str, set[str]]) -> list[set[str]]:
    """The sets of files of which each needs, through others, each (strongly connected components, after Tarjan)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    open_files: list[str] = []
    found: list[set[str]] = []

    def visit(module: str) -> None:
        number[module] = lowest[module] = len(number)
        open_files.append(module)
        for other in sorted(graph[module]):
            if other not in number:
                visit(other)
                lowest[module] = min(lowest[module], lowest[other])
            elif other in open_files:
                lowest[module] = min(lowest[module], number[other])
        if lowest[module] == number[module]:
            place = open_files.index(module)
            component = set(open_files[place:])
            del open_files[place:]
            if len(component) > 1:
                found.append(component)

    for module in sorted(graph):
        if module not in number:
            visit(module)
    return found


def test_no_two_files_need_each_other_directly_or_in_a_ring() -> None:
    files = {module_of(path).removesuffix(".__init__"): path for _, path in FILES}
    assert [sorted(ring) for ring in rings(import_graph(files))] == []


def test_the_ring_finder_finds_rings_through_late_typed_and_relative_imports(tmp_path: Path) -> None:
    sources = {
        "room": "from room.first import A\n",
        "room.first": "def f():\n    from room import second\n",
        "room.second": "if TYPE_CHECKING:\n    from .third import C\n",
        "room.third": "import room.first\n",
        "room.inner": "from room import A\n",
        "room.alone": "import room.inner, os\nfrom room.first import A\n",
    }
    files = {}
    for module, source in sources.items():
        files[module] = tmp_path / f"{module}.py"
        files[module].write_text(source, encoding="utf-8")
    graph = import_graph(files)
    assert graph["room.first"] == {"room.second"}
    assert graph["room.inner"] == {"room"}
    assert graph["room.alone"] == {"room.inner", "room.first"}
    assert rings(graph) == [{"room.first", "room.second", "room.third"}]
    files["room.first"].write_text("from room import A\n", encoding="utf-8")
    assert rings(import_graph(files)) == [{"room", "room.first"}]


@pytest.mark.parametrize(
    ("room", "path"),
    [(room, path) for room, path in FILES if room in NEVER_TRAINING],
    ids=lambda value: module_of(value) if isinstance(value, Path) else "",
)
def test_a_face_knows_neither_training_nor_models(room: str, path: Path) -> None:
    assert {room_of(name) for name in names_of(path)} & {"training", "models"} == set()


def test_every_room_is_on_the_list() -> None:
    assert {room for room, _ in FILES} <= MAY_IMPORT.keys()


@pytest.mark.parametrize(("room", "path"), FILES, ids=lambda value: module_of(value) if isinstance(value, Path) else "")
def test_a_room_imports_only_rooms_above_it(room: str, path: Path) -> None:
    known = {found for name in names_of(path) if (found := room_of(name)) is not None}
    allowed = MAY_IMPORT[room] | ({"models", "inference", "plugins"} if path == MODEL_CODE else set())
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


def test_only_the_parser_knows_argparse() -> None:
    """What `python -m` starts beside `vsrpp` reads its own arguments."""
    files = [path for _, path in FILES if path.name != "__main__.py"]
    knows = [module_of(path) for path in files if any(name.split(".")[0] == "argparse" for name in names_of(path))]
    assert knows == ["vsrpp.cli.parser"]


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
